// A block of samples looked at in a reference view: what it holds there, how visible they are in it, and the features and
// embedding that the aggregation takes (`RenderPass.look`, and the first lines of `AggregationNetwork.weighed`).
#pragma once

#include <algorithm>
#include <cstring>
#include <vector>

#include "vectors.h"

constexpr int FEATURES = 35, COLOURS = 3, IMAGE = 32, RAY = 32, HIDDEN = 32, GEOMETRY = 16;
constexpr int CAMERA = 32;        // numbers of a view: w2c 12, K 9, centre 3, near, far, and room
constexpr int OWN = FEATURES + RAY;  // of a view in the first layer: features, neural-ray embedding

template <int OUTPUTS>
struct Decoder {
    Linear<RAY, 32> first;
    Linear<32, 32> second;
    Linear<32, OUTPUTS> last;
};

struct PointLayers {
    Decoder<2> mean, sharpness;
    Decoder<1> mixing;
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
    const float *token;  // stands in for the features of a view that is masked

    explicit PointLayers(Reader &read) {
        read(mean.first), read(mean.second), read(mean.last);
        read(sharpness.first), read(sharpness.second), read(sharpness.last);
        read(mixing.first), read(mixing.second), read(mixing.last);
        read(direction_0), read(direction_2), read(embedding_0), read(embedding_2);
        read(trust_0), read(trust_2), read(base_0), read(base_2);
        read(residual_0), read(residual_2), read(visibility_0), read(visibility_2);
        read(geometry_0), read(geometry_2), read(blending_0), read(blending_2), read(blending_4);
        token = read.numbers(FEATURES);
    }
};

// Reference views: channels-last images and maps, and cameras.
struct Views {
    const float *images, *maps, *cameras;
    int64_t count, width, height, columns, rows;
};

// Samples, all rays one after the other. Where they are some of a ray's, `index` says which, and `weight` of how many each
// stands; bit v of `masks` is set where view v is masked. All three may be missing.
struct Samples {
    const float *origin, *directions, *depths, *half_before, *half_behind, *weight;
    const int64_t *index, *masks;
    int64_t rays, of_ray, zeros;  // zeros: whether they stand in for masked features, not the token

    int64_t count() const { return rays * of_ray; }

    Samples part(int64_t first, int64_t end) const {
        const int64_t at = first * of_ray;
        return {origin, directions + 3 * first, depths + at, half_before + at, half_behind + at,
                weight ? weight + at : nullptr, index ? index + at : nullptr, masks ? masks + at : nullptr,
                end - first, of_ray, zeros};
    }
};

// What the layers make of a view on their way: read again only by gradients, so that a rendering's views share one.
struct Hidden {
    Vector across, down, position;  // pixel; normalised inverse depth
    Vector ray[RAY + 2];            // ray features, hit probability, visibility: the latter two as 2 (p - 0.5)
    Vector first[3][32], second[3][32], mean[2], sharpness[2], mixing;  // of the three decoders
    Vector embedding[32], trust[8], direction[16], of_direction[FEATURES];
    Vector wide[64], base[HIDDEN], residual[32], of_residual[HIDDEN + 1], gate, visibility[32];
    Vector blending[16], second_blending[8];
};

// What is kept of a view of a block, from the first look at it to the pooling of all views.
struct OfView {
    bool seen;  // whether any sample of the block projects into it
    Vector valid, masked, trust, logit;
    Vector colour[COLOURS];
    Vector own[OWN];
    Vector x[HIDDEN + 1 + 4];  // feature in the light of all views, visibility, direction difference
    Hidden *hidden;
};

// What a block of samples is, before any view.
struct Block {
    int there;  // samples; the lanes behind them repeat the last one
    Vector place[3], towards_query[3], half_before, half_behind;
    int64_t masks[LANES];
};

inline void load_block(const Samples &samples, int64_t first, Block &block) {
    block.there = std::min<int64_t>(LANES, samples.count() - first);
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
        block.masks[s] = samples.masks ? samples.masks[at] : 0;
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

// The four values around a position in a map of CHANNELS channels that lie together: where they begin, and their weights.
template <int CHANNELS>
struct Corners {
    int64_t at[4];
    float weights[4];

    Corners(int64_t columns, int64_t rows, int64_t width, int64_t height, float x, float y) {
        const bool same = columns == width && rows == height;
        const Around across(x, same, columns, width), down(y, same, rows, height);
        for (int corner = 0; corner < 4; corner++) {
            const bool right = corner % 2, lower = corner / 2;
            const int64_t row = lower ? down.second : down.first, column = right ? across.second : across.first;
            at[corner] = (row * columns + column) * CHANNELS;
            weights[corner] = (lower ? down.share : 1 - down.share) * (right ? across.share : 1 - across.share);
        }
    }

    void interpolate(const float *map, float *values) const {
        for (int c = 0; c < CHANNELS; c++)
            values[c] = map[at[0] + c] * weights[0] + map[at[1] + c] * weights[1] + map[at[2] + c] * weights[2]
                        + map[at[3] + c] * weights[3];
    }
};

// Projects the block into a view and reads what it holds there: colour, image features (into own), ray features;
// positions in normalised inverse depth, and the direction difference (at the end of x).
inline void look(const Views &views, int64_t view, const Block &block, OfView &of) {
    Hidden &hidden = *of.hidden;
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
        of.masked[s] = float(block.masks[s] >> view & 1);
        hidden.across[s] = across, hidden.down[s] = down;
        hidden.position[s] = (near - 1 / std::max(depth, 1e-5f)) / (near - far);

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
            Corners<COLOURS>(views.width, views.height, views.width, views.height, across, down)
                .interpolate(image, colour);
            Corners<IMAGE + RAY>(views.columns, views.rows, views.width, views.height, across, down)
                .interpolate(maps, features);
        }
        for (int c = 0; c < COLOURS; c++) of.colour[c][s] = colour[c];
        for (int c = 0; c < IMAGE; c++) of.own[COLOURS + c][s] = features[c];
        for (int c = 0; c < RAY; c++) hidden.ray[c][s] = features[IMAGE + c];
    }
}

template <int OUTPUTS, typename Activation>
inline void decode(const Decoder<OUTPUTS> &decoder, int number, Hidden &hidden, Vector *y, Activation activation) {
    decoder.first(hidden.ray, hidden.first[number], elu);
    decoder.second(hidden.first[number], hidden.second[number], elu);
    decoder.last(hidden.second[number], y, activation);
}

// The two logistic components of a distribution at a place, and their mixture: the probability of a surface before it.
struct Cumulated {
    Vector component[2], mixed;

    // 0.5 + 0.5 tanh(z) is the logistic function of 2z.
    Cumulated(const Hidden &hidden, Vector at) {
        for (int k = 0; k < 2; k++)
            component[k] = sigmoid(2.0f * (hidden.sharpness[k] + 0.05f) * (at - hidden.mean[k]));
        mixed = component[1] + hidden.mixing * (component[0] - component[1]);
    }
};

// Makes the view's own part of the first layer, features and embedding, and how far the view is trusted.
inline void look_and_embed(
    const PointLayers &layers, const Views &views, int64_t view, const Samples &samples, const Block &block, OfView &of) {
    look(views, view, block, of);
    if (!of.seen) return;
    Hidden &hidden = *of.hidden;
    decode(layers.mean, 0, hidden, hidden.mean, softplus);
    decode(layers.sharpness, 1, hidden, hidden.sharpness, softplus);
    decode(layers.mixing, 2, hidden, &hidden.mixing, sigmoid);
    const Cumulated before(hidden, hidden.position - block.half_before);
    const Cumulated behind(hidden, hidden.position + block.half_behind);
    hidden.ray[RAY] = 2.0f * (behind.mixed - before.mixed) * of.valid - 1.0f;
    hidden.ray[RAY + 1] = 2.0f * (1.0f - before.mixed) * of.valid - 1.0f;
    Vector *features = of.own, *embedding = of.own + FEATURES;
    layers.embedding_0(hidden.ray, hidden.embedding, relu);
    layers.embedding_2(hidden.embedding, embedding, identity);
    layers.trust_0(embedding, hidden.trust, elu);
    layers.trust_2(hidden.trust, &of.trust, sigmoid);
    layers.direction_0(of.x + HIDDEN + 1, hidden.direction, elu);
    layers.direction_2(hidden.direction, hidden.of_direction, elu);
    std::copy(of.colour, of.colour + COLOURS, features);
    for (int c = 0; c < FEATURES; c++) {
        features[c] += hidden.of_direction[c];
        if (samples.masks)
            features[c] = of.masked > 0.0f ? in_all_lanes(samples.zeros ? 0.0f : layers.token[c]) : features[c];
    }
}
