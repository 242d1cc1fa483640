// Samples of rays become what is known at each place from all views (`AggregationNetwork`, up to the attention among the
// samples of a ray). A block of samples stays in a core's cache through all layers and views.
#pragma once

#include "views.h"

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
    Hidden &hidden = *of.hidden;
    Vector scaled[HIDDEN];
    product<OWN, 64>(
        layers.base_0.weights + 4 * FEATURES * 64, of.own, [&](int n) { return shared[n]; },
        [&](int n, Vector sum) { hidden.wide[n] = elu(sum); });
    layers.base_2(hidden.wide, hidden.base, elu);
    for (int c = 0; c < HIDDEN; c++) scaled[c] = hidden.base[c] * (of.valid * scale);
    layers.residual_0(scaled, hidden.residual, elu);
    layers.residual_2(hidden.residual, hidden.of_residual, elu);
    hidden.gate = sigmoid(hidden.of_residual[HIDDEN]) * of.valid;
    for (int c = 0; c < HIDDEN; c++) {
        of.x[c] = hidden.base[c] + hidden.of_residual[c];
        scaled[c] = of.x[c] * hidden.gate;
    }
    layers.visibility_0(scaled, hidden.visibility, elu);
    layers.visibility_2(hidden.visibility, of.x + HIDDEN, sigmoid);
    of.x[HIDDEN] *= of.valid;
    layers.blending_0(of.x, hidden.blending, elu);
    layers.blending_2(hidden.blending, hidden.second_blending, elu);
    layers.blending_4(hidden.second_blending, &of.logit, identity);
}

// Turns the logits of the views that see a sample into shares of its colour, and blends their colours by these.
inline void blend(std::vector<OfView> &views, Vector *blended) {
    Vector highest = in_all_lanes(-1e30f), total{};
    for (const OfView &of : views)
        if (of.seen) highest = of.valid > 0.0f ? larger(highest, of.logit) : highest;
    for (OfView &of : views) {
        if (!of.seen) continue;
        of.logit = exponential(of.logit - highest) * of.valid;
        total += of.logit;
    }
    std::fill(blended, blended + COLOURS, Vector{});
    for (OfView &of : views) {
        if (!of.seen) continue;
        of.logit = total == 0.0f ? Vector{} : of.logit / total;
        for (int c = 0; c < COLOURS; c++) blended[c] += of.logit * of.colour[c];
    }
}

// What all views together say of a block.
struct OfAll {
    Vector count, scale;                    // of views that see a sample; 1 / count
    Vector statistics[4 * FEATURES];        // mean and variance over views by trust, then with all views alike
    Vector visible, pooled[2 * HIDDEN + 1];  // summed visibility; mean and variance by visibility, mean weight
    Vector hidden[64], geometry[GEOMETRY], colour[COLOURS];

    // Weights over views: the first two do not sum to one, or to less where none sees the sample.
    Vector alike(const OfView &of) const { return of.valid * scale; }
    Vector by_trust(const OfView &of) const { return of.trust * alike(of); }
    Vector by_visibility(const OfView &of) const { return of.x[HIDDEN] / (visible + 1e-8f); }
};

inline void aggregate(const PointLayers &layers, std::vector<OfView> &views, OfAll &all) {
    Vector shared[64];
    all.count = all.visible = Vector{};
    for (const OfView &of : views)
        if (of.seen) all.count += of.valid;
    all.scale = 1.0f / (all.count + 1e-8f);
    const auto own = [](const OfView &of) { return of.own; };
    Vector *statistics = all.statistics;
    mean_and_variance<FEATURES>(
        views, own, [&](const OfView &of) { return all.by_trust(of); }, statistics, statistics + FEATURES);
    statistics += 2 * FEATURES;
    mean_and_variance<FEATURES>(
        views, own, [&](const OfView &of) { return all.alike(of); }, statistics, statistics + FEATURES);
    const float *bias = layers.base_0.weights + (4 * FEATURES + OWN) * 64;
    product<4 * FEATURES, 64>(
        layers.base_0.weights, all.statistics, [&](int n) { return in_all_lanes(bias[n]); },
        [&](int n, Vector sum) { shared[n] = sum; });
    for (OfView &of : views) {
        if (!of.seen) continue;
        view_in_light_of_all(layers, shared, all.scale, of);
        all.visible += of.x[HIDDEN];
    }
    mean_and_variance<HIDDEN>(
        views, [](const OfView &of) { return of.x; }, [&](const OfView &of) { return all.by_visibility(of); },
        all.pooled, all.pooled + HIDDEN);
    all.pooled[2 * HIDDEN] = all.visible / (all.visible + 1e-8f) / float(views.size());
    layers.geometry_0(all.pooled, all.hidden, elu);
    layers.geometry_2(all.hidden, all.geometry, elu);
    blend(views, all.colour);
}

// Views of a block with room for what the layers make of them: each its own, or one for all.
struct ViewsOfBlock {
    std::vector<Hidden> hidden;
    std::vector<OfView> views;

    ViewsOfBlock(int64_t count, bool kept) : hidden(kept ? count : 1), views(count) {
        for (int64_t view = 0; view < count; view++) views[view].hidden = &hidden[kept ? view : 0];
    }
};

// What is known of a block of samples, from all views.
struct Look {
    ViewsOfBlock of;
    Block block;
    OfAll all;

    Look(const Views &views, bool kept) : of(views.count, kept) {}

    void operator()(const PointLayers &layers, const Views &views, const Samples &samples, int64_t first) {
        load_block(samples, first, block);
        for (int64_t view = 0; view < views.count; view++)
            look_and_embed(layers, views, view, samples, block, of.views[view]);
        aggregate(layers, of.views, all);
    }
};

// Writes geometry feature, blended colour and number of views of the samples.
inline void points(const PointLayers &layers, const Views &views, const Samples &samples, float *geometry,
                   float *colours, int64_t *seen_by) {
    Look look(views, false);
    const OfAll &all = look.all;
    for (int64_t first = 0; first < samples.count(); first += LANES) {
        look(layers, views, samples, first);
        for (int s = 0; s < look.block.there; s++) {
            for (int c = 0; c < GEOMETRY; c++) geometry[(first + s) * GEOMETRY + c] = all.geometry[c][s];
            for (int c = 0; c < COLOURS; c++) colours[(first + s) * COLOURS + c] = all.colour[c][s];
            seen_by[first + s] = int64_t(all.count[s]);
        }
    }
}
