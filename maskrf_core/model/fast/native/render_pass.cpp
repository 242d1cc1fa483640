// One pass over some rays, coarse or fine, in float32: what `RenderPass` and `volume_render` compute, and its gradients.
// `native_pass.py` compiles this file alone, with whatever registers the machine has, and calls it.
#include <thread>

#include "point_gradients.h"
#include "ray_gradients.h"

// Calls `work(thread, first ray, end)` for as many shares of the rays as there are threads, at once.
template <typename Work>
inline void share(int64_t rays, int64_t threads, Work work) {
    std::vector<std::thread> others;
    for (int64_t thread = 1; thread < threads; thread++)
        others.emplace_back(work, thread, rays * thread / threads, rays * (thread + 1) / threads);
    work(0, 0, rays / threads);
    for (std::thread &other : others) other.join();
}

extern "C" void render_pass(
    const float *weights, const Views *views, const Samples *samples, const float *encodings, const Results *results,
    int64_t threads) {
    share(samples->rays, threads, [&](int64_t, int64_t first, int64_t end) {
        Reader read{weights};
        const PointLayers point_layers(read);
        const RayLayers ray_layers(read);
        const Samples some = samples->part(first, end);
        const Results of = results->part(first, samples->of_ray);
        points(point_layers, *views, some, of.geometry, of.colours, of.seen_by);
        rays(ray_layers, some, encodings, of);
    });
}

// `sums` has a row of all weights' gradients a thread, `d_maps` the maps' gradients a thread.
extern "C" void render_pass_gradients(
    const float *weights, const Views *views, const Samples *samples, const float *encodings, const Results *results,
    const Given *given, float *sums, int64_t numbers, float *d_maps, int64_t threads) {
    const int64_t map_values = views->count * views->rows * views->columns * (IMAGE + RAY);
    share(samples->rays, threads, [&](int64_t thread, int64_t first, int64_t end) {
        Reader read{weights};
        const PointLayers point_layers(read);
        const RayLayers ray_layers(read);
        const Samples some = samples->part(first, end);
        const WeightGradients grads{weights, sums + thread * numbers};
        std::vector<float> d_geometry(some.count() * GEOMETRY), d_colours(some.count() * COLOURS);
        ray_gradients(
            grads, ray_layers, some, encodings, results->part(first, samples->of_ray),
            given->part(first, samples->of_ray), d_geometry.data(), d_colours.data());
        point_gradients(
            grads, point_layers, *views, some, d_geometry.data(), d_colours.data(), d_maps + thread * map_values);
    });
}
