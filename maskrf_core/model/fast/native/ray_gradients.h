// Gradients of what `rays` makes of the samples' geometry features and colours.
#pragma once

#include "gradients.h"
#include "rays.h"

// What a loss gives: of samples, then of rays.
struct Given {
    const float *scene_features, *density, *colours, *hit_probability, *rgb, *depth;

    Given part(int64_t ray, int64_t of_ray) const {
        const int64_t at = ray * of_ray;
        return {scene_features + at * GEOMETRY, density + at, colours + at * COLOURS, hit_probability + at,
                rgb + ray * COLOURS, depth + ray};
    }
};

// Of compositing: writes what the densities of a ray and its samples' colours have.
inline void composite_gradient(
    const Samples &all, const Results &of, const Given &given, int64_t number, const Ray &ray, float *d_density,
    float *d_colours) {
    const int64_t first = number * ray.samples;
    std::vector<float> passes(ray.samples), reaches(ray.samples), d_hit(ray.samples);
    float before = 1;
    for (int64_t s = 0; s < ray.samples; s++) {
        const int64_t at = first + s;
        const float density = ray.value[s / LANES][s % LANES] * factor(all, of, at);
        passes[s] = std::exp(-density), reaches[s] = before;
        before *= passes[s] + 1e-10f;
        d_hit[s] = given.hit_probability[at] + given.depth[number] * all.depths[at];
        for (int c = 0; c < COLOURS; c++) {
            d_hit[s] += given.rgb[number * COLOURS + c] * of.colours[at * COLOURS + c];
            d_colours[at * COLOURS + c] =
                given.colours[at * COLOURS + c] + given.rgb[number * COLOURS + c] * (1 - passes[s]) * reaches[s];
        }
    }
    float behind = 0;  // sum of d_hit · hit over all samples behind
    for (int64_t s = ray.samples - 1; s >= 0; s--) {
        const float d_alpha = d_hit[s] * reaches[s] - behind / (passes[s] + 1e-10f);
        behind += d_hit[s] * (1 - passes[s]) * reaches[s];
        d_density[s] = given.density[first + s] + d_alpha * passes[s];
    }
}

// Of the attention of one block of queries: to these, and to the keys and values of the whole ray.
inline void attention_gradient(
    const Ray &ray, const Vector *query, const Vector *taken, const Vector *d_taken, Vector *d_query, float *d_keys,
    float *d_values) {
    for (int head = 0; head < HEADS; head++) {
        const int from = head * OF_HEAD;
        const Vector highest = highest_score(ray, query, head);
        Vector total{}, whole{};
        for (int64_t sample = 0; sample < ray.samples; sample++)
            total += exponential(score(ray, query, head, sample) - highest);
        for (int d = 0; d < OF_HEAD; d++) whole += d_taken[from + d] * taken[from + d];
        for (int64_t sample = 0; sample < ray.samples; sample++) {
            const int64_t at = sample * GEOMETRY + from;
            const Vector share = exponential(score(ray, query, head, sample) - highest) / total;
            Vector d_share{};
            for (int d = 0; d < OF_HEAD; d++) d_share += d_taken[from + d] * ray.values[at + d];
            const Vector d_score = share * (d_share - whole) * 0.5f;
            for (int d = 0; d < OF_HEAD; d++) {
                d_query[from + d] += d_score * ray.keys[at + d];
                d_keys[at + d] += sum_of_lanes(d_score * query[from + d]);
                d_values[at + d] += sum_of_lanes(share * d_taken[from + d]);
            }
        }
    }
}

// Goes back from densities and scene features of a block to what it had before the norm, `d_sum`.
inline void density_gradient(
    const WeightGradients &grads, const RayLayers &layers, const Ray &ray, int64_t block, Vector d_value,
    const Vector *d_features, Vector *d_sum) {
    const Vector *normal = ray.normal.data() + block * GEOMETRY, *hidden = ray.hidden.data() + block * 16;
    Vector features[GEOMETRY], d_hidden[16] = {}, d_normal[GEOMETRY], mean{}, along{};
    for (int c = 0; c < GEOMETRY; c++) features[c] = normal[c] * layers.norm_weight[c] + layers.norm_bias[c];
    std::copy(d_features, d_features + GEOMETRY, d_normal);
    d_value *= slope_of_relu(ray.value[block]);
    gradient(grads, layers.density_2, hidden, &d_value, d_hidden);
    through<16>(hidden, d_hidden, slope_of_elu);
    gradient(grads, layers.density_0, features, d_hidden, d_normal);
    bias_gradient<GEOMETRY>(grads.of(layers.norm_bias), d_normal);
    for (int c = 0; c < GEOMETRY; c++) {
        grads.of(layers.norm_weight)[c] += sum_of_lanes(d_normal[c] * normal[c]);
        d_normal[c] *= layers.norm_weight[c];
        mean += d_normal[c] / float(GEOMETRY);
        along += d_normal[c] * normal[c] / float(GEOMETRY);
    }
    for (int c = 0; c < GEOMETRY; c++) d_sum[c] = ray.scale[block] * (d_normal[c] - mean - normal[c] * along);
}

// Writes what geometry features and colours have, and adds what the layers' weights have.
inline void ray_gradients(
    const WeightGradients &grads, const RayLayers &layers, const Samples &all, const float *encodings, const Results &of,
    const Given &given, float *d_geometry, float *d_colours) {
    Ray ray(all.of_ray);
    const int64_t lanes = ray.blocks * LANES;
    std::vector<float> d_density(lanes), d_keys(lanes * GEOMETRY), d_values(lanes * GEOMETRY);
    std::vector<Vector> d_x(ray.x.size()), d_query(ray.x.size());
    for (int64_t number = 0; number < all.rays; number++) {
        const int64_t first = number * ray.samples;
        follow(layers, all, encodings, of, number, ray);
        composite_gradient(all, of, given, number, ray, d_density.data(), d_colours);
        std::fill(d_keys.begin(), d_keys.end(), 0.0f);
        std::fill(d_values.begin(), d_values.end(), 0.0f);
        std::fill(d_query.begin(), d_query.end(), Vector{});
        for (int64_t block = 0; block < ray.blocks; block++) {
            const int64_t at = block * GEOMETRY, before = block * LANES;
            const int64_t there = std::min<int64_t>(LANES, ray.samples - before);
            Vector d_value{}, d_features[GEOMETRY] = {}, d_taken[GEOMETRY] = {};  // 0 in lanes without a sample
            for (int s = 0; s < there; s++) {
                d_value[s] = d_density[before + s] * factor(all, of, first + before + s);
                for (int c = 0; c < GEOMETRY; c++)
                    d_features[c][s] = given.scene_features[(first + before + s) * GEOMETRY + c];
            }
            density_gradient(grads, layers, ray, block, d_value, d_features, &d_x[at]);
            gradient(grads, layers.output, &ray.taken[at], &d_x[at], d_taken);
            attention_gradient(
                ray, &ray.query[at], &ray.taken[at], d_taken, &d_query[at], d_keys.data(), d_values.data());
            for (int s = 0; s < there; s++)  // a query that was set to 0
                for (int c = 0; c < GEOMETRY && of.seen_by[first + before + s] <= 1; c++) d_query[at + c][s] = 0;
        }
        for (int64_t block = 0; block < ray.blocks; block++) {
            const int64_t at = block * GEOMETRY, before = block * LANES;
            Vector d_key[GEOMETRY], d_value[GEOMETRY];
            for (int s = 0; s < LANES; s++)
                for (int c = 0; c < GEOMETRY; c++) {
                    d_key[c][s] = d_keys[(before + s) * GEOMETRY + c];
                    d_value[c][s] = d_values[(before + s) * GEOMETRY + c];
                }
            gradient(grads, layers.query, &ray.x[at], &d_query[at], &d_x[at]);
            gradient(grads, layers.key, &ray.x[at], d_key, &d_x[at]);
            gradient(grads, layers.value, &ray.x[at], d_value, &d_x[at]);
            for (int64_t s = before; s < std::min(ray.samples, before + LANES); s++)
                for (int c = 0; c < GEOMETRY; c++) d_geometry[(first + s) * GEOMETRY + c] = d_x[at + c][s % LANES];
        }
    }
}
