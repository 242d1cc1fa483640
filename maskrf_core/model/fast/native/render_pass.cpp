// One pass over some rays, coarse or fine, in float32 on one core: what `RenderPass` and `volume_render` compute.
// `native_pass.py` compiles this file alone, with whatever registers the machine has, and calls it.
#include "rays.h"

extern "C" void render_pass(
    const float *weights, const Views *views, const Samples *samples, const float *encodings, const int64_t *index,
    const float *weight, float *geometry, float *colours, int64_t *seen_by, const Results *results) {
    Reader read{weights};
    const PointLayers point_layers(read);
    const RayLayers ray_layers(read);
    points(point_layers, *views, *samples, geometry, colours, seen_by);
    rays(ray_layers, *samples, geometry, colours, seen_by, encodings, index, weight, *results);
}
