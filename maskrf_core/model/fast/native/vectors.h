// A block of samples, a number of each in a lane of a vector register, and what layers do to it.
//
// A channel of all samples of the block lies together, so that every operation is one of whole vectors, and a weight is
// read once for the block. Compilers turn the vectors below into whatever registers the machine has.
#pragma once

#include <cmath>
#include <cstdint>
#include <initializer_list>

#if defined(__AVX512F__)
constexpr int LANES = 16, OUTPUTS_AT_ONCE = 16;  // 32 registers, of which 16 hold sums
#else
constexpr int LANES = 8, OUTPUTS_AT_ONCE = 8;
#endif

typedef float Vector __attribute__((vector_size(LANES * sizeof(float))));  // a number of each sample of a block
typedef int32_t Integers __attribute__((vector_size(LANES * sizeof(int32_t))));

inline Vector in_all_lanes(float value) { return value - Vector{}; }

inline Vector larger(Vector x, Vector y) { return x > y ? x : y; }

// x = n log 2 + r with |r| <= log 2 / 2; returns exp(r) - 1 and 2^n. Between the smallest and largest normal numbers.
inline Vector reduced_exponential(Vector x, Vector &power) {
    x = x > 88.0f ? in_all_lanes(88.0f) : x;
    x = x < -87.0f ? in_all_lanes(-87.0f) : x;
    const Vector shifted = x * 1.44269504f + 12582912.0f;  // 1.5 * 2^23: what is behind the point is rounded away
    const Vector n = shifted - 12582912.0f;
    const Vector r = (x - n * 0.693359375f) + n * 2.12194440e-4f;  // log 2 in two parts, the first of few bits
    // Taylor's series to r^7: its rest is below 6e-9.
    Vector sum = r * (1.0f / 5040) + 1.0f / 720;
    sum = sum * r + 1.0f / 120;
    sum = sum * r + 1.0f / 24;
    sum = sum * r + 1.0f / 6;
    sum = sum * r + 0.5f;
    power = (Vector)((__builtin_convertvector(n, Integers) + 127) << 23);
    return sum * r * r + r;
}

inline Vector exponential(Vector x) {
    Vector power;
    const Vector less_one = reduced_exponential(x, power);
    return power * less_one + power;
}

// Activations are objects, not functions: what takes one is compiled for it, with it in place of a call.
inline constexpr auto elu = [](Vector x) {
    Vector power;
    const Vector less_one = reduced_exponential(x, power);
    return x > 0.0f ? x : power * less_one + (power - 1.0f);
};

inline constexpr auto relu = [](Vector x) { return x < 0.0f ? Vector{} : x; };  // what is no number stays so
inline constexpr auto identity = [](Vector x) { return x; };
inline constexpr auto sigmoid = [](Vector x) { return 1.0f / (1.0f + exponential(-x)); };

// max(x, 0) + log(1 + u) with u = exp(-|x|), and log(1 + u) = 2 artanh(u / (2 + u)), whose argument is at most 1/3.
inline constexpr auto softplus = [](Vector x) {
    const Vector u = exponential(x > 0.0f ? -x : x);
    const Vector z = u / (2.0f + u), square = z * z;
    Vector sum = square * (1.0f / 15) + 1.0f / 13;
    for (float odd : {11.0f, 9.0f, 7.0f, 5.0f, 3.0f, 1.0f}) sum = sum * square + 1.0f / odd;
    return relu(x) + 2.0f * z * sum;
};

// What weights[input * OUTPUTS + output] make of INPUTS channels, COUNT outputs from the first on, begun from `start`.
template <int INPUTS, int OUTPUTS, int COUNT, typename Start, typename Finish>
inline void some_outputs(const float *weights, const Vector *x, int first, Start start, Finish finish) {
    Vector sum[COUNT];
    for (int n = 0; n < COUNT; n++) sum[n] = start(first + n);
    for (int k = 0; k < INPUTS; k++)
        for (int n = 0; n < COUNT; n++) sum[n] += x[k] * weights[k * OUTPUTS + first + n];
    for (int n = 0; n < COUNT; n++) finish(first + n, sum[n]);
}

template <int INPUTS, int OUTPUTS, typename Start, typename Finish>
inline void product(const float *weights, const Vector *x, Start start, Finish finish) {
    constexpr int whole = OUTPUTS / OUTPUTS_AT_ONCE * OUTPUTS_AT_ONCE;
    for (int first = 0; first < whole; first += OUTPUTS_AT_ONCE)
        some_outputs<INPUTS, OUTPUTS, OUTPUTS_AT_ONCE>(weights, x, first, start, finish);
    if constexpr (OUTPUTS > whole) some_outputs<INPUTS, OUTPUTS, OUTPUTS - whole>(weights, x, whole, start, finish);
}

// A linear layer: its matrix, input by input, and its biases behind it.
template <int INPUTS, int OUTPUTS, bool BIASED = true>
struct Linear {
    static constexpr int SIZE = (INPUTS + BIASED) * OUTPUTS;
    const float *weights;

    // y may not be x.
    template <typename Activation>
    void operator()(const Vector *x, Vector *y, Activation activation) const {
        const float *bias = weights + INPUTS * OUTPUTS;
        product<INPUTS, OUTPUTS>(
            weights, x, [&](int n) { return BIASED ? in_all_lanes(bias[n]) : Vector{}; },
            [&](int n, Vector sum) { y[n] = activation(sum); });
    }
};

// Reads the layers one after the other, as Python wrote them.
struct Reader {
    const float *at;

    template <typename Layer>
    void operator()(Layer &layer) {
        layer.weights = at;
        at += Layer::SIZE;
    }

    const float *numbers(int count) {
        const float *found = at;
        at += count;
        return found;
    }
};
