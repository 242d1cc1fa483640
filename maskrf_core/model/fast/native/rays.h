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

// Samples of one ray, in blocks; the lanes behind the last sample are attended to by none.
struct Ray {
    std::vector<Vector> x, query;     // [block][channel]
    std::vector<float> keys, values;  // [sample][channel]
    std::vector<float> logarithms;    // of how many samples each one stands for

    explicit Ray(int64_t samples)
        : x((samples + LANES - 1) / LANES * GEOMETRY), query(x.size()), keys(samples * GEOMETRY),
          values(samples * GEOMETRY), logarithms(samples) {}
};

// What a block of samples takes from all samples of its ray, head by head.
inline void attend(const Ray &ray, const Vector *query, int64_t samples, Vector *taken) {
    for (int head = 0; head < HEADS; head++) {
        const Vector *q = query + head * OF_HEAD;
        const auto score = [&](int64_t sample) {
            const float *key = ray.keys.data() + sample * GEOMETRY + head * OF_HEAD;
            Vector sum = q[0] * key[0];
            for (int d = 1; d < OF_HEAD; d++) sum += q[d] * key[d];
            return sum * 0.5f + ray.logarithms[sample];  // 1 / √OF_HEAD
        };
        Vector highest = in_all_lanes(-1e30f), total{}, sum[OF_HEAD] = {};
        for (int64_t sample = 0; sample < samples; sample++) highest = larger(highest, score(sample));
        for (int64_t sample = 0; sample < samples; sample++) {
            const float *value = ray.values.data() + sample * GEOMETRY + head * OF_HEAD;
            const Vector share = exponential(score(sample) - highest);
            total += share;
            for (int d = 0; d < OF_HEAD; d++) sum[d] += share * value[d];
        }
        for (int d = 0; d < OF_HEAD; d++) taken[head * OF_HEAD + d] = sum[d] / total;
    }
}

// Gives the channels of each sample mean 0 and variance 1, then scales and shifts them.
inline void normalise(const RayLayers &layers, Vector *x) {
    Vector mean{}, variance{};
    for (int c = 0; c < GEOMETRY; c++) mean += x[c] / float(GEOMETRY);
    for (int c = 0; c < GEOMETRY; c++) variance += (x[c] - mean) * (x[c] - mean) / float(GEOMETRY);
    Vector scale = variance + 1e-6f;
    for (int s = 0; s < LANES; s++) scale[s] = 1 / std::sqrt(scale[s]);
    for (int c = 0; c < GEOMETRY; c++) x[c] = (x[c] - mean) * scale * layers.norm_weight[c] + layers.norm_bias[c];
}

// Where the results go: of samples, then of rays.
struct Results {
    float *scene_features, *density, *hit_probability, *rgb, *depth;
};

inline void composite(
    const Results &results, int64_t ray, int64_t samples, const float *colours, const float *depths) {
    const int64_t first = ray * samples;
    float reaches = 1, rgb[COLOURS] = {}, depth = 0;
    for (int64_t at = first; at < first + samples; at++) {
        const float alpha = 1 - std::exp(-results.density[at]), hit = alpha * reaches;
        results.hit_probability[at] = hit;
        reaches *= 1 - alpha + 1e-10f;
        depth += hit * depths[at];
        for (int c = 0; c < COLOURS; c++) rgb[c] += hit * colours[at * COLOURS + c];
    }
    std::copy(rgb, rgb + COLOURS, results.rgb + ray * COLOURS);
    results.depth[ray] = depth;
}

// `encodings` are of a ray's samples, or, with `index`, of all samples that it may have, of which these are some.
inline void rays(
    const RayLayers &layers, const Samples &all, const float *geometry, const float *colours, const int64_t *seen_by,
    const float *encodings, const int64_t *index, const float *weight, const Results &results) {
    const int64_t samples = all.of_ray, blocks = (samples + LANES - 1) / LANES;
    Ray ray(samples);
    Vector made[GEOMETRY], hidden[16], density;
    for (int64_t number = 0; number < all.rays; number++) {
        const int64_t first = number * samples;
        for (int64_t s = 0; s < blocks * LANES; s++) {
            const int64_t at = first + std::min(s, samples - 1);
            const float *encoding = encodings + (index ? index[at] : at - first) * GEOMETRY;
            for (int c = 0; c < GEOMETRY; c++)
                ray.x[s / LANES * GEOMETRY + c][s % LANES] = geometry[at * GEOMETRY + c] + encoding[c];
            ray.logarithms[at - first] = weight ? std::log(weight[at]) : 0.0f;
        }
        for (int64_t block = 0; block < blocks; block++) {
            const Vector *x = ray.x.data() + block * GEOMETRY;
            const int64_t before = block * LANES, there = std::min<int64_t>(LANES, samples - before);
            Vector *query = ray.query.data() + block * GEOMETRY;
            layers.query(x, query, identity);
            for (int s = 0; s < there; s++)
                for (int c = 0; c < GEOMETRY && seen_by[first + before + s] <= 1; c++) query[c][s] = 0;
            for (const auto &[layer, rows] : {std::pair{&layers.key, &ray.keys}, std::pair{&layers.value, &ray.values}}) {
                (*layer)(x, made, identity);
                for (int s = 0; s < there; s++)
                    for (int c = 0; c < GEOMETRY; c++) (*rows)[(before + s) * GEOMETRY + c] = made[c][s];
            }
        }
        for (int64_t block = 0; block < blocks; block++) {
            Vector *x = ray.x.data() + block * GEOMETRY, taken[GEOMETRY];
            attend(ray, ray.query.data() + block * GEOMETRY, samples, taken);
            layers.output(taken, made, identity);
            for (int c = 0; c < GEOMETRY; c++) x[c] += made[c];
            normalise(layers, x);
            layers.density_0(x, hidden, elu);
            layers.density_2(hidden, &density, relu);
            for (int64_t s = block * LANES; s < std::min(samples, (block + 1) * LANES); s++) {
                const int64_t at = first + s;
                for (int c = 0; c < GEOMETRY; c++) results.scene_features[at * GEOMETRY + c] = x[c][s % LANES];
                results.density[at] = seen_by[at] ? density[s % LANES] * (weight ? weight[at] : 1.0f) : 0.0f;
            }
        }
        composite(results, number, samples, colours, all.depths);
    }
}
