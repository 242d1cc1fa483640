"""Seconds a view of depth estimated at 400×300, and how good it is where the truth is known.

`python -m tests.benchmarks.depth` takes traced spheres; `--scene NAME --data-root FOLDER` a scene of a data set, at its
own size. Everything counts: sweep, refinement, confirmation. All views are estimated several times over, in turn with
an estimation whose costs are computed the plain way.
"""

import time
from pathlib import Path
from unittest.mock import patch

import numpy as np

from maskrf_core.datasets.depth import plane_sweep
from maskrf_core.datasets.depth.depth_estimation import chosen_device, estimate_depth_maps
from maskrf_core.datasets.scene import Scene, open_scene
from maskrf_core.workbook.experiments.measurements import Comparison, Spread, in_turn
from tests.benchmarks import reference_depth
from tests.benchmarks.measuring import keep, options
from tests.datasets.traced_scene import TracedScene

HEIGHT, WIDTH = 300, 400


def quality(scene: Scene, maps: dict[str, np.ndarray], truths: dict[str, np.ndarray | None]) -> dict[str, float]:
    """Measure the share of the foreground that has depth; the median and 90 % quantile of its relative error."""
    masks = {image_id: scene.mask(image_id) for image_id in maps}
    kept = sum((depth > 0).sum() for depth in maps.values()) / sum(mask.sum() for mask in masks.values())
    if any(truth is None for truth in truths.values()):
        return {"completeness": float(kept)}
    known = {image_id: (depth > 0) & (truths[image_id] > 0) for image_id, depth in maps.items()}
    errors = np.concatenate([np.abs(maps[i][k] / truths[i][k] - 1) for i, k in known.items()])
    return {
        "completeness": float(kept),
        "median_relative_error": float(np.median(errors)),
        "relative_error_90": float(np.quantile(errors, 0.9)),
    }


class Estimation:
    """Estimates all maps of some views, by the package or the plain way; keeps the maps and the processor's time."""

    def __init__(self, scene: Scene, ids: list[str], device: str):
        self.ids, self.processor_seconds = ids, []
        self._estimate = lambda: dict(estimate_depth_maps(scene, ids, device=device, progress=False))

    def here(self) -> None:
        """Estimate as the package does."""
        used = time.process_time()
        self.maps = self._estimate()
        self.processor_seconds.append((time.process_time() - used) / len(self.ids))

    def straightforward(self) -> None:
        """Estimate with every plane and neighbour compared on its own."""
        with patch.object(plane_sweep, "photometric_costs", reference_depth.photometric_costs):
            self.plain_maps = self._estimate()

    def agreement(self) -> float:
        """Compute the share of the pixels with depth on which both agree to 1 %."""
        pairs = [(self.maps[image_id], self.plain_maps[image_id]) for image_id in self.ids]
        same = sum(((ours > 0) & (abs(ours - plain) <= 0.01 * ours)).sum() for ours, plain in pairs)
        return float(same / sum(((ours > 0) | (plain > 0)).sum() for ours, plain in pairs))


def main() -> None:
    """Time it, print it, keep it in runs/benchmarks/."""
    parser = options("Time the estimation of depth maps.")
    parser.add_argument("--scene", help="such as nerf_llff/fern/8; default: traced spheres")
    parser.add_argument("--data-root", type=Path, default=Path("data"))
    parser.add_argument("--views", type=int, default=8, help="the first so many views of the scene")
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args()
    if arguments.scene:
        scene = open_scene(arguments.scene, arguments.data_root)
        truth = scene.depth
    else:
        scene = TracedScene(size=(HEIGHT, WIDTH), views=arguments.views)
        truth = scene.truth
    ids = list(scene.image_ids[: arguments.views])
    estimation = Estimation(scene, ids, arguments.device)
    seconds = in_turn({name: getattr(estimation, name) for name in ("here", "straightforward")}, arguments.repeats)
    by_view = {name: [each / len(ids) for each in measured] for name, measured in seconds.items()}
    height, width = estimation.maps[ids[0]].shape
    result = {
        "device": str(chosen_device(arguments.device)),
        "scene": f"{scene.name}, {len(ids)} views of {width}×{height}",
        "seconds_per_view": Spread.of(by_view["here"]),
        "processor_seconds_per_view": Spread.of(estimation.processor_seconds[1::2]),  # every other one does not count
        "agreement": estimation.agreement(),
        **quality(scene, estimation.maps, {image_id: truth(image_id) for image_id in ids}),
        "comparisons": {f"depth of a view, {scene.name}": Comparison.of("s", **by_view)},
    }
    keep(f"depth_{scene.name.replace('/', '_')}", arguments.repeats, result)


if __name__ == "__main__":
    main()
