// The samples of a ray attend to each other, get a density and are composited (`RayAttention`, `volume_render`).
#pragma once

#include <algorithm>
#include <vector>

#include "points.h"

constexpr int HEADS = 4, OF_HEAD = GEOMETRY / HEADS;

struct RayLayers {
    Linear<GEOMETRY, GEOMETRY, false> query, key, value, output;
    const float *norm_weight, *norm_bias;
    Linear<GEOMETRY, 16> density_0;
    Linear<16, 1> density_2;

    explicit RayLayers(Reader &read) {
        read(query), read(key), read(value), read(output);
        norm_weight = read.numbers(GEOMETRY), norm_bias = read.numbers(GEOMETRY);
        read(density_0), read(density_2);
    }
};

// Samples of one ray, in blocks; the lanes behind the last sample repeat it, and are attended to by none.
struct Ray {
    int64_t samples, blocks;
    std::vector<Vector> x, query, taken, normal, hidden, value;  // [block][channel]
    std::vector<Vector> scale;                                   // [block]: of the norm
    std::vector<float> keys, values;                             // [sample][channel]
    std::vector<float> logarithms;                               // of how many samples each one stands for

    explicit Ray(int64_t samples)
        : samples(samples), blocks((samples + LANES - 1) / LANES), x(blocks * GEOMETRY), query(x.size()),
          taken(x.size()), normal(x.size()), hidden(blocks * 16), value(blocks), scale(blocks),
          keys(samples * GEOMETRY), values(samples * GEOMETRY), logarithms(samples) {}
};

// How a block of queries scores one sample in a head, and the highest score of all samples.
inline Vector score(const Ray &ray, const Vector *query, int head, int64_t sample) {
    const float *key = ray.keys.data() + sample * GEOMETRY + head * OF_HEAD;
    const Vector *q = query + head * OF_HEAD;
    Vector sum = q[0] * key[0];
    for (int d = 1; d < OF_HEAD; d++) sum += q[d] * key[d];
    return sum * 0.5f + ray.logarithms[sample];  // 1 / √OF_HEAD
}

inline Vector highest_score(const Ray &ray, const Vector *query, int head) {
    Vector highest = in_all_lanes(-1e30f);
    for (int64_t sample = 0; sample < ray.samples; sample++)
        highest = larger(highest, score(ray, query, head, sample));
    return highest;
}

// What a block of samples takes from all samples of its ray, head by head.
inline void attend(const Ray &ray, const Vector *query, Vector *taken) {
    for (int head = 0; head < HEADS; head++) {
        const Vector highest = highest_score(ray, query, head);
        Vector total{}, sum[OF_HEAD] = {};
        for (int64_t sample = 0; sample < ray.samples; sample++) {
            const float *value = ray.values.data() + sample * GEOMETRY + head * OF_HEAD;
            const Vector share = exponential(score(ray, query, head, sample) - highest);
            total += share;
            for (int d = 0; d < OF_HEAD; d++) sum[d] += share * value[d];
        }
        for (int d = 0; d < OF_HEAD; d++) taken[head * OF_HEAD + d] = sum[d] / total;
    }
}

// Gives the channels of each sample mean 0 and variance 1; returns what they were multiplied by.
inline Vector normalise(Vector *x) {
    Vector mean{}, variance{};
    for (int c = 0; c < GEOMETRY; c++) mean += x[c] / float(GEOMETRY);
    for (int c = 0; c < GEOMETRY; c++) variance += (x[c] - mean) * (x[c] - mean) / float(GEOMETRY);
    Vector scale = variance + 1e-6f;
    for (int s = 0; s < LANES; s++) scale[s] = 1 / std::sqrt(scale[s]);
    for (int c = 0; c < GEOMETRY; c++) x[c] = (x[c] - mean) * scale;
    return scale;
}

// Results, of samples, then of rays. The first three are read again by gradients.
struct Results {
    float *geometry, *colours;
    int64_t *seen_by;
    float *scene_features, *density, *hit_probability, *rgb, *depth;

    Results part(int64_t ray, int64_t of_ray) const {
        const int64_t at = ray * of_ray;
        return {geometry + at * GEOMETRY, colours + at * COLOURS, seen_by + at, scene_features + at * GEOMETRY,
                density + at, hit_probability + at, rgb + ray * COLOURS, depth + ray};
    }
};

// Lets the samples of ray `number` attend to each other: all that `Ray` holds, up to the density's `value`.
inline void follow(
    const RayLayers &layers, const Samples &all, const float *encodings, const Results &of, int64_t number, Ray &ray) {
    const int64_t first = number * ray.samples;
    Vector made[GEOMETRY];
    for (int64_t s = 0; s < ray.blocks * LANES; s++) {
        const int64_t at = first + std::min(s, ray.samples - 1);
        const float *encoding = encodings + (all.index ? all.index[at] : at - first) * GEOMETRY;
        for (int c = 0; c < GEOMETRY; c++)
            ray.x[s / LANES * GEOMETRY + c][s % LANES] = of.geometry[at * GEOMETRY + c] + encoding[c];
        ray.logarithms[at - first] = all.weight ? std::log(all.weight[at]) : 0.0f;
    }
    for (int64_t block = 0; block < ray.blocks; block++) {
        const Vector *x = ray.x.data() + block * GEOMETRY;
        Vector *query = ray.query.data() + block * GEOMETRY;
        const int64_t before = block * LANES, there = std::min<int64_t>(LANES, ray.samples - before);
        layers.query(x, query, identity);
        for (int s = 0; s < there; s++)
            for (int c = 0; c < GEOMETRY && of.seen_by[first + before + s] <= 1; c++) query[c][s] = 0;
        layers.key(x, made, identity);
        for (int s = 0; s < there; s++)
            for (int c = 0; c < GEOMETRY; c++) ray.keys[(before + s) * GEOMETRY + c] = made[c][s];
        layers.value(x, made, identity);
        for (int s = 0; s < there; s++)
            for (int c = 0; c < GEOMETRY; c++) ray.values[(before + s) * GEOMETRY + c] = made[c][s];
    }
    for (int64_t block = 0; block < ray.blocks; block++) {
        const int64_t at = block * GEOMETRY;
        Vector *normal = ray.normal.data() + at, *taken = ray.taken.data() + at;
        attend(ray, ray.query.data() + at, taken);
        layers.output(taken, normal, identity);
        for (int c = 0; c < GEOMETRY; c++) normal[c] += ray.x[at + c];
        ray.scale[block] = normalise(normal);
        for (int c = 0; c < GEOMETRY; c++) made[c] = normal[c] * layers.norm_weight[c] + layers.norm_bias[c];
        layers.density_0(made, ray.hidden.data() + block * 16, elu);
        layers.density_2(ray.hidden.data() + block * 16, &ray.value[block], relu);
    }
}

// What a density is multiplied by: how many samples it stands for, if any view sees it.
inline float factor(const Samples &all, const Results &of, int64_t at) {
    return of.seen_by[at] ? (all.weight ? all.weight[at] : 1.0f) : 0.0f;
}

inline void composite(const Results &of, int64_t ray, int64_t samples, const float *depths) {
    float reaches = 1, rgb[COLOURS] = {}, depth = 0;
    for (int64_t at = ray * samples; at < (ray + 1) * samples; at++) {
        const float alpha = 1 - std::exp(-of.density[at]), hit = alpha * reaches;
        of.hit_probability[at] = hit;
        reaches *= 1 - alpha + 1e-10f;
        depth += hit * depths[at];
        for (int c = 0; c < COLOURS; c++) rgb[c] += hit * of.colours[at * COLOURS + c];
    }
    std::copy(rgb, rgb + COLOURS, of.rgb + ray * COLOURS);
    of.depth[ray] = depth;
}

// `encodings` are of all places that a sample can have on its ray.
inline void rays(const RayLayers &layers, const Samples &all, const float *encodings, const Results &of) {
    Ray ray(all.of_ray);
    for (int64_t number = 0; number < all.rays; number++) {
        follow(layers, all, encodings, of, number, ray);
        for (int64_t s = 0; s < ray.samples; s++) {
            const int64_t at = number * ray.samples + s, block = s / LANES;
            for (int c = 0; c < GEOMETRY; c++)
                of.scene_features[at * GEOMETRY + c] =
                    ray.normal[block * GEOMETRY + c][s % LANES] * layers.norm_weight[c] + layers.norm_bias[c];
            of.density[at] = ray.value[block][s % LANES] * factor(all, of, at);
        }
        composite(of, number, ray.samples, all.depths);
    }
}
