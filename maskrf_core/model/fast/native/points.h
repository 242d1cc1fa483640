// Samples of rays, looked at in every reference view, become what is known at each place (`RenderPass`, up to the
// attention among the samples of a ray). A block of samples stays in a core's cache through all layers and views.
#pragma once

#include <algorithm>
#include <cstring>
#include <vector>

#include "vectors.h"

constexpr int FEATURES = 35, COLOURS = 3, IMAGE = 32, RAY = 32, HIDDEN = 32, GEOMETRY = 16;
constexpr int CAMERA = 32;        // numbers of a view: w2c 12, K 9, centre 3, near, far, and room
constexpr int OWN = FEATURES + RAY;  // of a view in the first layer: features, neural-ray embedding

struct Decoder {
    Linear<RAY, 32> first;
    Linear<32, 32> second;
};

struct PointLayers {
    Decoder mean, sharpness, mixing;
    Linear<32, 2> means, sharpnesses;
    Linear<32, 1> mixing_weight;
    Linear<4, 16> direction_0;
    Linear<16, FEATURES> direction_2;
    Linear<RAY + 2, 32> embedding_0;
    Linear<32, RAY> embedding_2;
    Linear<RAY, 8> trust_0;
    Linear<8, 1> trust_2;
    Linear<4 * FEATURES + OWN, 64> base_0;
    Linear<64, HIDDEN> base_2;
    Linear<HIDDEN, 32> residual_0;
    Linear<32, HIDDEN + 1> residual_2;
    Linear<HIDDEN, 32> visibility_0;
    Linear<32, 1> visibility_2;
    Linear<2 * HIDDEN + 1, 64> geometry_0;
    Linear<64, GEOMETRY> geometry_2;
    Linear<HIDDEN + 1 + 4, 16> blending_0;
    Linear<16, 8> blending_2;
    Linear<8, 1> blending_4;

    explicit PointLayers(Reader &read) {
        read(mean.first), read(mean.second), read(means);
        read(sharpness.first), read(sharpness.second), read(sharpnesses);
        read(mixing.first), read(mixing.second), read(mixing_weight);
        read(direction_0), read(direction_2), read(embedding_0), read(embedding_2);
        read(trust_0), read(trust_2), read(base_0), read(base_2);
        read(residual_0), read(residual_2), read(visibility_0), read(visibility_2);
        read(geometry_0), read(geometry_2), read(blending_0), read(blending_2), read(blending_4);
    }
};

// Reference views: channels-last images and maps, and cameras.
struct Views {
    const float *images, *maps, *cameras;
    int64_t count, width, height, columns, rows;
};

// Samples, all rays one after the other.
struct Samples {
    const float *origin, *directions, *depths, *half_before, *half_behind;
    int64_t rays, of_ray;
};

// What is kept of a view of a block, from the first look at it to the pooling of all views.
struct OfView {
    bool seen;  // whether any sample of the block projects into it
    Vector valid, trust, logit;
    Vector colour[COLOURS];
    Vector own[OWN];
    Vector x[HIDDEN + 1 + 4];  // feature in the light of all views, visibility, direction difference
};

// What a block of samples is, before any view.
struct Block {
    int there;  // samples; the lanes behind them repeat the last one
    Vector place[3], towards_query[3], half_before, half_behind;
};

inline void load_block(const Samples &samples, int64_t first, Block &block) {
    block.there = std::min<int64_t>(LANES, samples.rays * samples.of_ray - first);
    for (int s = 0; s < LANES; s++) {
        const int64_t at = first + std::min(s, block.there - 1);
        const float *direction = samples.directions + 3 * (at / samples.of_ray);
        const float length = std::sqrt(
            direction[0] * direction[0] + direction[1] * direction[1] + direction[2] * direction[2]);
        for (int k = 0; k < 3; k++) {
            block.place[k][s] = samples.origin[k] + samples.depths[at] * direction[k];
            block.towards_query[k][s] = -direction[k] / std::max(length, 1e-12f);
        }
        block.half_before[s] = samples.half_before[at];
        block.half_behind[s] = samples.half_behind[at];
    }
}

// The two places around a position along one side, border at the outside, and the second one's weight. Positions are in
// an image of `of_image` pixels; a map of another length has the half-size convention of `sample_map`.
struct Around {
    int64_t first, second;
    float share;

    Around(float position, bool same, int64_t length, int64_t of_image) {
        if (!same) position = position / (of_image - 1) * length - 0.5f;
        position = position > 0 ? position : 0;  // also what is not a number
        position = std::min(position, float(length - 1));
        first = int64_t(position);
        second = std::min(first + 1, length - 1);
        share = position - first;
    }
};

// Bilinear values of CHANNELS channels-last maps.
template <int CHANNELS>
inline void interpolate(
    const float *map, int64_t columns, int64_t rows, int64_t width, int64_t height, float x, float y, float *values) {
    const bool same = columns == width && rows == height;
    const Around across(x, same, columns, width), down(y, same, rows, height);
    const float *upper = map + down.first * columns * CHANNELS, *lower = map + down.second * columns * CHANNELS;
    const float *corners[4] = {
        upper + across.first * CHANNELS, upper + across.second * CHANNELS,
        lower + across.first * CHANNELS, lower + across.second * CHANNELS};
    const float weights[4] = {
        (1 - down.share) * (1 - across.share), (1 - down.share) * across.share,
        down.share * (1 - across.share), down.share * across.share};
    for (int c = 0; c < CHANNELS; c++)
        values[c] = corners[0][c] * weights[0] + corners[1][c] * weights[1] + corners[2][c] * weights[2]
                    + corners[3][c] * weights[3];
}

// Projects the block into a view and reads what it holds there: colour, image features (into own), ray features;
// positions in normalised inverse depth, and the direction difference (at the end of x).
inline void look(const Views &views, int64_t view, const Block &block, OfView &of, Vector *ray, Vector &position) {
    const float *camera = views.cameras + view * CAMERA;
    const float *w2c = camera, *K = camera + 12, *centre = camera + 21;
    const float near = 1 / camera[24], far = 1 / camera[25];
    const float *image = views.images + view * views.height * views.width * COLOURS;
    const float *maps = views.maps + view * views.rows * views.columns * (IMAGE + RAY);
    of.seen = false;
    for (int s = 0; s < LANES; s++) {
        const float x = block.place[0][s], y = block.place[1][s], z = block.place[2][s];
        float in_camera[3], projected[3], to_view[3];
        for (int k = 0; k < 3; k++)
            in_camera[k] = w2c[4 * k] * x + w2c[4 * k + 1] * y + w2c[4 * k + 2] * z + w2c[4 * k + 3];
        for (int k = 0; k < 3; k++)
            projected[k] = K[3 * k] * in_camera[0] + K[3 * k + 1] * in_camera[1] + K[3 * k + 2] * in_camera[2];
        const bool projectable = std::abs(projected[2]) >= 1e-4f;
        const float depth = projectable ? projected[2] : 1e-3f;
        const float across = projected[0] / depth, down = projected[1] / depth;
        const bool valid = projectable && across >= -0.5f && across < views.width - 0.5f && down >= -0.5f
                           && down < views.height - 0.5f;
        of.valid[s] = valid;
        of.seen |= valid;
        position[s] = (near - 1 / std::max(depth, 1e-5f)) / (near - far);

        float squared = 0, cosine = 0;
        for (int k = 0; k < 3; k++) {
            to_view[k] = centre[k] - block.place[k][s];
            squared += to_view[k] * to_view[k];
        }
        for (int k = 0; k < 3; k++) {
            to_view[k] /= std::max(std::sqrt(squared), 1e-12f);
            of.x[HIDDEN + 1 + k][s] = to_view[k] - block.towards_query[k][s];
            cosine += to_view[k] * block.towards_query[k][s];
        }
        of.x[HIDDEN + 1 + 3][s] = cosine;

        float colour[COLOURS] = {}, features[IMAGE + RAY] = {};
        if (valid) {
            interpolate<COLOURS>(image, views.width, views.height, views.width, views.height, across, down, colour);
            interpolate<IMAGE + RAY>(
                maps, views.columns, views.rows, views.width, views.height, across, down, features);
        }
        for (int c = 0; c < COLOURS; c++) of.colour[c][s] = colour[c];
        for (int c = 0; c < IMAGE; c++) of.own[COLOURS + c][s] = features[c];
        for (int c = 0; c < RAY; c++) ray[c][s] = features[IMAGE + c];
    }
}

template <typename Ends, typename Activation>
inline void decode(const Decoder &decoder, const Ends &ends, const Vector *ray, Vector *y, Activation activation) {
    Vector first[32], second[32];
    decoder.first(ray, first, elu);
    decoder.second(first, second, elu);
    ends(second, y, activation);
}

// Visibility and hit probability of the block in a view, by the distribution that its ray features say, as the two
// channels that the neural-ray embedding takes: 2 (p - 0.5).
inline void see(
    const PointLayers &layers, const Block &block, const Vector *ray, const Vector &position, const Vector &valid,
    Vector &hit, Vector &visibility) {
    Vector mean[2], sharpness[2], mixing;
    decode(layers.mean, layers.means, ray, mean, softplus);
    decode(layers.sharpness, layers.sharpnesses, ray, sharpness, softplus);
    decode(layers.mixing, layers.mixing_weight, ray, &mixing, sigmoid);
    // 0.5 + 0.5 tanh(z) is the logistic function of 2z.
    auto cdf = [&](Vector at) {
        Vector component[2];
        for (int k = 0; k < 2; k++) component[k] = sigmoid(2.0f * (sharpness[k] + 0.05f) * (at - mean[k]));
        return component[1] + mixing * (component[0] - component[1]);
    };
    const Vector before = cdf(position - block.half_before), behind = cdf(position + block.half_behind);
    hit = 2.0f * (behind - before) * valid - 1.0f;
    visibility = 2.0f * (1.0f - before) * valid - 1.0f;
}

// Makes the view's own part of the first layer, features and embedding, and how far the view is trusted.
inline void look_and_embed(const PointLayers &layers, const Views &views, int64_t view, const Block &block, OfView &of) {
    Vector ray[RAY + 2], position, hidden[32], direction[FEATURES];
    look(views, view, block, of, ray, position);
    if (!of.seen) return;
    see(layers, block, ray, position, of.valid, ray[RAY], ray[RAY + 1]);
    layers.embedding_0(ray, hidden, relu);
    layers.embedding_2(hidden, of.own + FEATURES, identity);
    layers.trust_0(of.own + FEATURES, hidden, elu);
    layers.trust_2(hidden, &of.trust, sigmoid);
    layers.direction_0(of.x + HIDDEN + 1, hidden, elu);
    layers.direction_2(hidden, direction, elu);
    std::copy(of.colour, of.colour + COLOURS, of.own);
    for (int c = 0; c < FEATURES; c++) of.own[c] += direction[c];
}

// Weighted mean and variance over views of COUNT channels that `values` finds; weights need not sum to one.
template <int COUNT, typename Values, typename Weight>
inline void mean_and_variance(
    const std::vector<OfView> &views, Values values, Weight weight, Vector *mean, Vector *variance) {
    std::fill(mean, mean + COUNT, Vector{});
    std::fill(variance, variance + COUNT, Vector{});
    for (const OfView &of : views) {
        if (!of.seen) continue;
        const Vector share = weight(of);
        for (int c = 0; c < COUNT; c++) mean[c] += values(of)[c] * share;
    }
    for (const OfView &of : views) {
        if (!of.seen) continue;
        const Vector share = weight(of);
        for (int c = 0; c < COUNT; c++) {
            const Vector difference = values(of)[c] - mean[c];
            variance[c] += share * (difference * difference);
        }
    }
}

// Makes the view's feature in the light of all views, the sample's visibility in it, and the logit of its colour.
inline void view_in_light_of_all(const PointLayers &layers, const Vector *shared, const Vector &scale, OfView &of) {
    Vector wide[64], base[HIDDEN], scaled[HIDDEN], hidden[32], residual[HIDDEN + 1];
    product<OWN, 64>(
        layers.base_0.weights + 4 * FEATURES * 64, of.own, [&](int n) { return shared[n]; },
        [&](int n, Vector sum) { wide[n] = elu(sum); });
    layers.base_2(wide, base, elu);
    for (int c = 0; c < HIDDEN; c++) scaled[c] = base[c] * (of.valid * scale);
    layers.residual_0(scaled, hidden, elu);
    layers.residual_2(hidden, residual, elu);
    const Vector gate = sigmoid(residual[HIDDEN]) * of.valid;
    for (int c = 0; c < HIDDEN; c++) {
        of.x[c] = base[c] + residual[c];
        scaled[c] = of.x[c] * gate;
    }
    layers.visibility_0(scaled, hidden, elu);
    layers.visibility_2(hidden, of.x + HIDDEN, sigmoid);
    of.x[HIDDEN] *= of.valid;
    layers.blending_0(of.x, hidden, elu);
    layers.blending_2(hidden, residual, elu);
    layers.blending_4(residual, &of.logit, identity);
}

// Blends the views' colours by the softmax of their logits, over the views that see the sample.
inline void blend(const std::vector<OfView> &views, Vector *blended) {
    Vector highest = in_all_lanes(-1e30f), total{}, colour[COLOURS] = {};
    for (const OfView &of : views)
        if (of.seen) highest = of.valid > 0.0f ? larger(highest, of.logit) : highest;
    for (const OfView &of : views) {
        if (!of.seen) continue;
        const Vector share = exponential(of.logit - highest) * of.valid;
        total += share;
        for (int c = 0; c < COLOURS; c++) colour[c] += share * of.colour[c];
    }
    for (int c = 0; c < COLOURS; c++) blended[c] = total > 0.0f ? colour[c] / total : Vector{};
}

// Writes geometry feature, blended colour and number of views of one block.
inline void aggregate(const PointLayers &layers, std::vector<OfView> &views, Vector *geometry, Vector *blended,
                      Vector &count) {
    Vector statistics[4 * FEATURES], shared[64], scale, visible{}, pooled[2 * HIDDEN + 1], hidden[64];
    count = Vector{};
    for (const OfView &of : views)
        if (of.seen) count += of.valid;
    scale = 1.0f / (count + 1e-8f);
    const auto own = [](const OfView &of) { return of.own; };
    const auto equally = [&](const OfView &of) { return of.valid * scale; };
    const auto by_trust = [&](const OfView &of) { return of.trust * equally(of); };
    mean_and_variance<FEATURES>(views, own, by_trust, statistics, statistics + FEATURES);
    mean_and_variance<FEATURES>(views, own, equally, statistics + 2 * FEATURES, statistics + 3 * FEATURES);
    const float *bias = layers.base_0.weights + (4 * FEATURES + OWN) * 64;
    product<4 * FEATURES, 64>(
        layers.base_0.weights, statistics, [&](int n) { return in_all_lanes(bias[n]); },
        [&](int n, Vector sum) { shared[n] = sum; });
    for (OfView &of : views) {
        if (!of.seen) continue;
        view_in_light_of_all(layers, shared, scale, of);
        visible += of.x[HIDDEN];
    }
    const auto by_visibility = [&](const OfView &of) { return of.x[HIDDEN] / (visible + 1e-8f); };
    mean_and_variance<HIDDEN>(views, [](const OfView &of) { return of.x; }, by_visibility, pooled, pooled + HIDDEN);
    pooled[2 * HIDDEN] = visible / (visible + 1e-8f) / float(views.size());
    layers.geometry_0(pooled, hidden, elu);
    layers.geometry_2(hidden, geometry, elu);
    blend(views, blended);
}

inline void points(const PointLayers &layers, const Views &views, const Samples &samples, float *geometry,
                   float *colours, int64_t *seen_by) {
    std::vector<OfView> of_views(views.count);
    Block block;
    Vector of_all[GEOMETRY], blended[COLOURS], count;
    for (int64_t first = 0; first < samples.rays * samples.of_ray; first += LANES) {
        load_block(samples, first, block);
        for (int64_t view = 0; view < views.count; view++)
            look_and_embed(layers, views, view, block, of_views[view]);
        aggregate(layers, of_views, of_all, blended, count);
        for (int s = 0; s < block.there; s++) {
            for (int c = 0; c < GEOMETRY; c++) geometry[(first + s) * GEOMETRY + c] = of_all[c][s];
            for (int c = 0; c < COLOURS; c++) colours[(first + s) * COLOURS + c] = blended[c][s];
            seen_by[first + s] = int64_t(count[s]);
        }
    }
}
