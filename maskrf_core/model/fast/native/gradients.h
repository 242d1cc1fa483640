// Gradients of layers and activations over a block of samples. `d_x` is the gradient of x throughout; all are added to.
#pragma once

#include "vectors.h"

// Of activations, by their values.
inline Vector slope_of_elu(Vector y) { return y > 0.0f ? in_all_lanes(1.0f) : y + 1.0f; }
inline Vector slope_of_relu(Vector y) { return y > 0.0f ? in_all_lanes(1.0f) : Vector{}; }
inline Vector slope_of_sigmoid(Vector y) { return y * (1.0f - y); }
inline Vector slope_of_softplus(Vector y) { return 1.0f - exponential(-y); }

inline float sum_of_lanes(Vector x) {
    float sums[LANES];
    __builtin_memcpy(sums, &x, sizeof sums);
    for (int width = LANES / 2; width > 0; width /= 2)
        for (int s = 0; s < width; s++) sums[s] += sums[s + width];
    return sums[0];
}

// Sums of gradients of all weights, each at the place that its weight has among all.
struct WeightGradients {
    const float *weights;
    float *sums;

    float *of(const float *weight) const { return sums + (weight - weights); }
};

// Of what `product` makes: d_x from d_y, and the matrix's from both. A row of the matrix's is computed for LANES outputs
// at once, as sums over samples; for that d_y is laid out sample by sample.
template <int INPUTS, int OUTPUTS>
inline void product_gradient(
    const WeightGradients &grads, const float *weights, const Vector *x, const Vector *d_y, Vector *d_x) {
    constexpr int whole = OUTPUTS / LANES * LANES;
    float *d_weights = grads.of(weights);
    alignas(64) float by_sample[LANES][whole ? whole : 1];
    for (int n = 0; n < whole; n++)
        for (int s = 0; s < LANES; s++) by_sample[s][n] = d_y[n][s];
    for (int first = 0; first < whole; first += LANES)
        for (int k = 0; k < INPUTS; k++) {
            Vector sum;
            __builtin_memcpy(&sum, d_weights + k * OUTPUTS + first, sizeof sum);
            for (int s = 0; s < LANES; s++) sum += *reinterpret_cast<const Vector *>(&by_sample[s][first]) * x[k][s];
            __builtin_memcpy(d_weights + k * OUTPUTS + first, &sum, sizeof sum);
        }
    for (int n = whole; n < OUTPUTS; n++)
        for (int k = 0; k < INPUTS; k++) d_weights[k * OUTPUTS + n] += sum_of_lanes(x[k] * d_y[n]);
    if (d_x != nullptr)
        for (int k = 0; k < INPUTS; k++) {
            Vector sum = d_x[k];
            for (int n = 0; n < OUTPUTS; n++) sum += d_y[n] * weights[k * OUTPUTS + n];
            d_x[k] = sum;
        }
}

template <int OUTPUTS>
inline void bias_gradient(float *d_bias, const Vector *d_y) {
    for (int n = 0; n < OUTPUTS; n++) d_bias[n] += sum_of_lanes(d_y[n]);
}

// Of a linear layer; d_x may be missing.
template <int INPUTS, int OUTPUTS, bool BIASED>
inline void gradient(
    const WeightGradients &grads, const Linear<INPUTS, OUTPUTS, BIASED> &layer, const Vector *x, const Vector *d_y,
    Vector *d_x) {
    product_gradient<INPUTS, OUTPUTS>(grads, layer.weights, x, d_y, d_x);
    if constexpr (BIASED) bias_gradient<OUTPUTS>(grads.of(layer.weights + INPUTS * OUTPUTS), d_y);
}

// Of what comes before an activation, in place of what comes behind it.
template <int COUNT, typename Slope>
inline void through(const Vector *y, Vector *d_y, Slope slope) {
    for (int n = 0; n < COUNT; n++) d_y[n] *= slope(y[n]);
}

// Of values by their weighted mean and variance over views, for one view. `total` is the weights' sum. The gradient of the
// mean is first completed by what the variance has of it (`gradient_of_mean`). Returns the gradient of the view's weight.
template <int COUNT>
inline Vector mean_and_variance_gradient(
    const Vector *values, Vector weight, const Vector *mean, const Vector *d_mean, const Vector *d_variance,
    Vector *d_values) {
    Vector d_weight{};
    for (int c = 0; c < COUNT; c++) {
        const Vector difference = values[c] - mean[c];
        d_weight += values[c] * d_mean[c] + difference * difference * d_variance[c];
        d_values[c] += weight * (d_mean[c] + 2.0f * difference * d_variance[c]);
    }
    return d_weight;
}

// The variance Σ w (x - mean)² depends on the mean too, where the weights do not sum to one.
template <int COUNT>
inline void gradient_of_mean(const Vector *mean, Vector total, const Vector *d_variance, Vector *d_mean) {
    for (int c = 0; c < COUNT; c++) d_mean[c] -= 2.0f * d_variance[c] * mean[c] * (1.0f - total);
}
