// Gradients of what `points` makes: to the layers' weights and to the maps. All but 19 numbers a sample is computed again.
#pragma once

#include "gradients.h"
#include "points.h"

template <int OUTPUTS>
inline void decoder_gradient(
    const WeightGradients &grads, const Decoder<OUTPUTS> &decoder, int number, const Hidden &hidden, const Vector *d_last,
    Vector *d_ray) {
    Vector d_second[32] = {}, d_first[32] = {};
    gradient(grads, decoder.last, hidden.second[number], d_last, d_second);
    through<32>(hidden.second[number], d_second, slope_of_elu);
    gradient(grads, decoder.second, hidden.first[number], d_second, d_first);
    through<32>(hidden.first[number], d_first, slope_of_elu);
    gradient(grads, decoder.first, hidden.ray, d_first, d_ray);
}

// Adds to what mean, sharpness and mixing weight have, given that of a cumulated probability `at` a place.
inline void cumulated_gradient(
    const Hidden &hidden, Vector at, Vector d_mixed, Vector *d_mean, Vector *d_sharpness, Vector &d_mixing) {
    const Cumulated of(hidden, at);
    const Vector share[2] = {hidden.mixing, 1.0f - hidden.mixing};
    d_mixing += d_mixed * (of.component[0] - of.component[1]);
    for (int k = 0; k < 2; k++) {
        const Vector d_argument = 2.0f * d_mixed * share[k] * slope_of_sigmoid(of.component[k]);
        d_sharpness[k] += d_argument * (at - hidden.mean[k]);
        d_mean[k] -= d_argument * (hidden.sharpness[k] + 0.05f);
    }
}

// Adds what the maps have of the block's image and ray features in a view.
inline void maps_gradient(
    const Views &views, int64_t view, const OfView &of, int there, const Vector *d_image, const Vector *d_ray,
    float *d_maps) {
    constexpr int CHANNELS = IMAGE + RAY;
    d_maps += view * views.rows * views.columns * CHANNELS;
    for (int s = 0; s < there; s++) {
        if (!(of.valid[s] > 0)) continue;
        float values[CHANNELS];
        for (int c = 0; c < IMAGE; c++) values[c] = d_image[c][s];
        for (int c = 0; c < RAY; c++) values[IMAGE + c] = d_ray[c][s];
        const Corners<CHANNELS> corners(
            views.columns, views.rows, views.width, views.height, of.hidden->across[s], of.hidden->down[s]);
        for (int corner = 0; corner < 4; corner++)
            for (int c = 0; c < CHANNELS; c++) d_maps[corners.at[corner] + c] += corners.weights[corner] * values[c];
    }
}

// Goes back from what a view's feature (d_x: 32, then visibility) and colour logit have to its part of the first layer.
inline void view_gradient(
    const WeightGradients &grads, const PointLayers &layers, const OfView &of, const Vector &scale, Vector d_logit,
    Vector *d_x, Vector *d_wide) {
    const Hidden &hidden = *of.hidden;
    Vector d_second[8] = {}, d_blending[16] = {}, d_of_x[HIDDEN + 5] = {};
    gradient(grads, layers.blending_4, hidden.second_blending, &d_logit, d_second);
    through<8>(hidden.second_blending, d_second, slope_of_elu);
    gradient(grads, layers.blending_2, hidden.blending, d_second, d_blending);
    through<16>(hidden.blending, d_blending, slope_of_elu);
    gradient(grads, layers.blending_0, of.x, d_blending, d_of_x);
    for (int c = 0; c <= HIDDEN; c++) d_x[c] += d_of_x[c];

    Vector scaled[HIDDEN], d_scaled[HIDDEN] = {}, d_visibility[32] = {}, d_residual[HIDDEN + 1], d_hidden[32] = {};
    Vector d_visible = d_x[HIDDEN] * of.valid * slope_of_sigmoid(of.x[HIDDEN]), d_gate{};
    for (int c = 0; c < HIDDEN; c++) scaled[c] = of.x[c] * hidden.gate;
    gradient(grads, layers.visibility_2, hidden.visibility, &d_visible, d_visibility);
    through<32>(hidden.visibility, d_visibility, slope_of_elu);
    gradient(grads, layers.visibility_0, scaled, d_visibility, d_scaled);
    for (int c = 0; c < HIDDEN; c++) {
        d_gate += d_scaled[c] * of.x[c];
        d_x[c] += d_scaled[c] * hidden.gate;
        d_residual[c] = d_x[c];
    }
    d_residual[HIDDEN] = d_gate * of.valid * slope_of_sigmoid(hidden.gate);
    through<HIDDEN + 1>(hidden.of_residual, d_residual, slope_of_elu);
    gradient(grads, layers.residual_2, hidden.residual, d_residual, d_hidden);
    through<32>(hidden.residual, d_hidden, slope_of_elu);
    const Vector share = of.valid * scale;
    for (int c = 0; c < HIDDEN; c++) scaled[c] = hidden.base[c] * share, d_scaled[c] = Vector{};
    gradient(grads, layers.residual_0, scaled, d_hidden, d_scaled);
    for (int c = 0; c < HIDDEN; c++) d_x[c] += d_scaled[c] * share;
    through<HIDDEN>(hidden.base, d_x, slope_of_elu);
    gradient(grads, layers.base_2, hidden.wide, d_x, d_wide);
    through<64>(hidden.wide, d_wide, slope_of_elu);
}

// Goes back from what a view's features, embedding (together d_own) and trust have to weights and maps.
inline void look_gradient(
    const WeightGradients &grads, const PointLayers &layers, const Views &views, int64_t view, const Samples &samples,
    const Block &block, const OfView &of, Vector d_trust, Vector *d_own, float *d_maps) {
    const Hidden &hidden = *of.hidden;
    Vector *d_features = d_own, *d_embedding = d_own + FEATURES;
    if (samples.masks) {
        float *d_token = grads.of(layers.token);
        for (int c = 0; c < FEATURES; c++) {
            if (!samples.zeros) d_token[c] += sum_of_lanes(d_features[c] * of.masked);
            d_features[c] *= 1.0f - of.masked;
        }
    }
    Vector d_of_direction[FEATURES], d_direction[16] = {};
    std::copy(d_features, d_features + FEATURES, d_of_direction);
    through<FEATURES>(hidden.of_direction, d_of_direction, slope_of_elu);
    gradient(grads, layers.direction_2, hidden.direction, d_of_direction, d_direction);
    through<16>(hidden.direction, d_direction, slope_of_elu);
    gradient(grads, layers.direction_0, of.x + HIDDEN + 1, d_direction, static_cast<Vector *>(nullptr));

    Vector d_trusted[8] = {}, d_hidden[32] = {}, d_ray[RAY + 2] = {};
    d_trust *= slope_of_sigmoid(of.trust);
    gradient(grads, layers.trust_2, hidden.trust, &d_trust, d_trusted);
    through<8>(hidden.trust, d_trusted, slope_of_elu);
    gradient(grads, layers.trust_0, of.own + FEATURES, d_trusted, d_embedding);
    gradient(grads, layers.embedding_2, hidden.embedding, d_embedding, d_hidden);
    through<32>(hidden.embedding, d_hidden, slope_of_relu);
    gradient(grads, layers.embedding_0, hidden.ray, d_hidden, d_ray);

    Vector d_mean[2] = {}, d_sharpness[2] = {}, d_mixing{};
    const Vector d_hit = 2.0f * of.valid * d_ray[RAY], d_visible = 2.0f * of.valid * d_ray[RAY + 1];
    cumulated_gradient(
        hidden, hidden.position - block.half_before, -(d_hit + d_visible), d_mean, d_sharpness, d_mixing);
    cumulated_gradient(hidden, hidden.position + block.half_behind, d_hit, d_mean, d_sharpness, d_mixing);
    through<2>(hidden.mean, d_mean, slope_of_softplus);
    through<2>(hidden.sharpness, d_sharpness, slope_of_softplus);
    d_mixing *= slope_of_sigmoid(hidden.mixing);
    decoder_gradient(grads, layers.mean, 0, hidden, d_mean, d_ray);
    decoder_gradient(grads, layers.sharpness, 1, hidden, d_sharpness, d_ray);
    decoder_gradient(grads, layers.mixing, 2, hidden, &d_mixing, d_ray);
    maps_gradient(views, view, of, block.there, d_features + COLOURS, d_ray, d_maps);
}

// Of one block, from what its geometry features and colours have.
inline void block_gradient(
    const WeightGradients &grads, const PointLayers &layers, const Views &views, const Samples &samples,
    const Block &block, const std::vector<OfView> &of_views, const OfAll &all, Vector *d_geometry,
    const Vector *d_colour, float *d_maps) {
    Vector d_hidden[64] = {}, d_pooled[2 * HIDDEN + 1] = {}, d_shared[64] = {}, d_statistics[4 * FEATURES] = {};
    through<GEOMETRY>(all.geometry, d_geometry, slope_of_elu);
    gradient(grads, layers.geometry_2, all.hidden, d_geometry, d_hidden);
    through<64>(all.hidden, d_hidden, slope_of_elu);
    gradient(grads, layers.geometry_0, all.pooled, d_hidden, d_pooled);
    gradient_of_mean<HIDDEN>(all.pooled, all.visible / (all.visible + 1e-8f), d_pooled + HIDDEN, d_pooled);

    struct OfGradients {
        Vector x[HIDDEN + 1], own[OWN], wide[64], weight, share, trust;
    };
    std::vector<OfGradients> of_gradients(of_views.size());
    Vector of_weights{}, of_shares{};
    for (size_t view = 0; view < of_views.size(); view++) {
        const OfView &of = of_views[view];
        if (!of.seen) continue;
        OfGradients &d = of_gradients[view];
        const Vector weight = all.by_visibility(of);
        d.weight = d_pooled[2 * HIDDEN] / float(of_views.size())
                   + mean_and_variance_gradient<HIDDEN>(of.x, weight, all.pooled, d_pooled, d_pooled + HIDDEN, d.x);
        for (int c = 0; c < COLOURS; c++) d.share += d_colour[c] * of.colour[c];
        of_weights += d.weight * weight;
        of_shares += d.share * of.logit;
    }
    for (size_t view = 0; view < of_views.size(); view++) {
        const OfView &of = of_views[view];
        if (!of.seen) continue;
        OfGradients &d = of_gradients[view];
        d.x[HIDDEN] += (d.weight - of_weights) / (all.visible + 1e-8f);
        view_gradient(grads, layers, of, all.scale, of.logit * (d.share - of_shares), d.x, d.wide);
        product_gradient<OWN, 64>(grads, layers.base_0.weights + 4 * FEATURES * 64, of.own, d.wide, d.own);
        for (int n = 0; n < 64; n++) d_shared[n] += d.wide[n];
    }
    product_gradient<4 * FEATURES, 64>(grads, layers.base_0.weights, all.statistics, d_shared, d_statistics);
    bias_gradient<64>(grads.of(layers.base_0.weights + (4 * FEATURES + OWN) * 64), d_shared);
    Vector trusted{}, alike = all.count * all.scale;
    for (const OfView &of : of_views)
        if (of.seen) trusted += all.by_trust(of);
    const Vector *by_trust = all.statistics, *equal = all.statistics + 2 * FEATURES;
    Vector *d_by_trust = d_statistics, *d_equal = d_statistics + 2 * FEATURES;
    gradient_of_mean<FEATURES>(by_trust, trusted, d_by_trust + FEATURES, d_by_trust);
    gradient_of_mean<FEATURES>(equal, alike, d_equal + FEATURES, d_equal);
    for (size_t view = 0; view < of_views.size(); view++) {
        const OfView &of = of_views[view];
        if (!of.seen) continue;
        OfGradients &d = of_gradients[view];
        const Vector d_trust = mean_and_variance_gradient<FEATURES>(
            of.own, all.by_trust(of), by_trust, d_by_trust, d_by_trust + FEATURES, d.own);
        mean_and_variance_gradient<FEATURES>(of.own, all.alike(of), equal, d_equal, d_equal + FEATURES, d.own);
        look_gradient(grads, layers, views, view, samples, block, of, d_trust * all.alike(of), d.own, d_maps);
    }
}

inline void point_gradients(
    const WeightGradients &grads, const PointLayers &layers, const Views &views, const Samples &samples,
    const float *d_geometry, const float *d_colours, float *d_maps) {
    Look look(views, true);
    for (int64_t first = 0; first < samples.count(); first += LANES) {
        look(layers, views, samples, first);
        Vector of_geometry[GEOMETRY] = {}, of_colour[COLOURS] = {};  // 0 in lanes that repeat a sample
        for (int s = 0; s < look.block.there; s++) {
            for (int c = 0; c < GEOMETRY; c++) of_geometry[c][s] = d_geometry[(first + s) * GEOMETRY + c];
            for (int c = 0; c < COLOURS; c++) of_colour[c][s] = d_colours[(first + s) * COLOURS + c];
        }
        block_gradient(
            grads, layers, views, samples, look.block, look.of.views, look.all, of_geometry, of_colour, d_maps);
    }
}
