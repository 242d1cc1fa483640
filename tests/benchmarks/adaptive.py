"""The adaptive rendering mode and bfloat16 against the exact mode: what they lose, and how much faster adaptive is.

`python -m tests.benchmarks.adaptive` renders an embedded scene with random weights, to see that everything runs; to
measure, say `--checkpoint FILE --scenes nerf_llff/fern/8 ... --data-root FOLDER`. All modes render the same views at
64 + 32 samples, and PSNR is against the photographs; seconds are of one block of pixels, exact and adaptive in turn.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from maskrf_core.datasets.batches.batch import SceneBatch
from maskrf_core.datasets.batches.evaluation_batches import all_pixels, evaluation_batch
from maskrf_core.model.fast.adaptive_rendering import ADAPTIVE_SETTINGS, AdaptiveSettings
from maskrf_core.model.gathering import ReferenceFeatures, query_colours
from maskrf_core.model.renderer import Renderer
from maskrf_core.rendering.chunk_renderer import ChunkRenderer
from maskrf_core.rendering.evaluation import load, open_for_evaluation
from maskrf_core.rendering.rendered_views import spread as spread_over
from maskrf_core.settings.sections import ModelSettings, RenderingSettings
from maskrf_core.workbook.experiments.measurements import Comparison, Spread, in_turn
from tests.benchmarks.measuring import keep, options
from tests.benchmarks.published_size import RAYS_PER_CHUNK, VIEWS, colours

SIDE = 48
"""Of the block of pixels, in the middle of the view, that is timed."""


class Modes:
    """One query of one scene, rendered in any mode from references that were encoded once."""

    def __init__(self, renderer: Renderer, batch: SceneBatch, rays_per_chunk: int, saving: AdaptiveSettings):
        self.renderer, self.batch, self.rays_per_chunk, self.saving = renderer, batch, rays_per_chunk, saving
        with torch.inference_mode():
            self.features: ReferenceFeatures = renderer.encode(batch.references, batch.sources)

    def exact(self, pixels_xy: Tensor) -> Tensor:
        """Render colours (ray, 3)."""
        return self._rendered(pixels_xy)

    def bfloat16(self, pixels_xy: Tensor) -> Tensor:
        """Render the same in less precision."""
        return self._rendered(pixels_xy, precision="bf16-mixed")

    def adaptive(self, pixels_xy: Tensor) -> Tensor:
        """Render the same from fewer samples."""
        return self._rendered(pixels_xy, mode="adaptive")

    def _rendered(self, pixels_xy: Tensor, **asked: str) -> Tensor:
        made = ChunkRenderer(self.renderer, RenderingSettings(**asked), self.rays_per_chunk, self.saving)
        return colours(made.render(self.features, self.batch.query, pixels_xy))


def batches(scene: str, renderer: Renderer, data_root: Path, views: int) -> Iterator[tuple[str, SceneBatch]]:
    """Draw test views of one scene, or of all scenes of a group, each from its nearest references."""
    for opened in open_for_evaluation([scene], data_root, "test", VIEWS):
        references, queries = opened.scene.split("test")
        if renderer.inputs.depths:
            opened.prepare_depths(references)
        for image_id in spread_over(queries, views):
            batch = evaluation_batch(opened, image_id, references, VIEWS, renderer.inputs)
            yield f"{opened.scene.name}, {image_id}", batch


def psnr(colours: Tensor, truth: Tensor) -> float:
    """Compute the PSNR of colours clipped to [0, 1], in dB."""
    return float(-10 * (colours.clamp(0, 1) - truth).square().mean().log10())


def quality(modes: Modes, rows: int) -> dict[str, float]:
    """Measure PSNR of every `rows`-th row in every mode, how much less than the exact one's, and how near to it."""
    pixels = modes.batch.pixels_xy
    pixels = pixels[pixels[:, 1] % rows == 0]
    truth = query_colours(modes.batch.query, pixels)
    exact = modes.exact(pixels)
    found = {"psnr_exact": psnr(exact, truth)}
    for name, rendered in (("adaptive", modes.adaptive(pixels)), ("bfloat16", modes.bfloat16(pixels))):
        found[f"psnr_{name}"] = psnr(rendered, truth)
        found[f"lost_db_{name}"] = found["psnr_exact"] - found[f"psnr_{name}"]
        found[f"psnr_of_{name}_to_exact"] = psnr(rendered, exact.clamp(0, 1))
    return found


def middle(height: int, width: int, side: int) -> Tensor:
    """Return a square of pixels in the middle of a picture, or as much of it as there is."""
    rows, columns = min(side, height), min(side, width)
    return all_pixels(rows, columns) + torch.tensor([(width - columns) // 2, (height - rows) // 2])


def speed(modes: Modes, repeats: int, side: int) -> dict:
    """Time both modes in turn."""
    pixels = middle(*modes.batch.query.image_size, side)
    seconds = in_turn({"exact": partial(modes.exact, pixels), "adaptive": partial(modes.adaptive, pixels)}, repeats)
    return {
        "rays": len(pixels),
        "rays_per_second": {name: Spread.of([len(pixels) / each for each in of]) for name, of in seconds.items()},
        "comparison": Comparison.of("s", seconds["adaptive"], seconds["exact"]),
    }


def measured(renderer: Renderer, scene: str, arguments, saving: AdaptiveSettings) -> dict:
    """Measure quality over the views of a scene, and the speed in the first of them."""
    rows, speeds = {}, {}
    for name, batch in batches(scene, renderer, arguments.data_root, arguments.views):
        modes = Modes(renderer, batch, arguments.rays_per_chunk, saving)
        rows[name] = quality(modes, arguments.rows)
        speeds = speeds or speed(modes, arguments.repeats, arguments.side)
        print(f"{name}: {rows[name]}", flush=True)
    names = list(next(iter(rows.values())))
    return {
        "mean": {name: sum(row[name] for row in rows.values()) / len(rows) for name in names},
        "views": rows,
    } | speeds


def main() -> None:
    """Measure, print, keep it in runs/benchmarks/."""
    parser = options("Hold the adaptive rendering mode against the exact one.")
    parser.add_argument("--checkpoint", type=Path, help="weights, ours or published; default: random ones")
    parser.add_argument("--scenes", nargs="+", default=["demo/test_00"])
    parser.add_argument("--data-root", type=Path, default=Path("data"))
    parser.add_argument("--views", type=int, default=1, help="test views of each scene")
    parser.add_argument("--rows", type=int, default=1, help="judge every so many-th row of a view, to save time")
    parser.add_argument("--rays-per-chunk", type=int, default=RAYS_PER_CHUNK)
    parser.add_argument("--side", type=int, default=SIDE, help="of the block of pixels that is timed")
    parser.add_argument("--grid", type=int, default=ADAPTIVE_SETTINGS.grid)
    parser.add_argument("--samples", type=int, default=ADAPTIVE_SETTINGS.samples, help="of the thinned fine pass")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    renderer = load(arguments.checkpoint) if arguments.checkpoint else Renderer()
    default = ModelSettings()
    counts = {"coarse_samples": default.coarse_samples, "fine_samples": default.fine_samples}
    renderer.settings = renderer.settings.model_copy(update=counts)  # no weight depends on them
    saving = AdaptiveSettings(arguments.grid, arguments.samples)
    scenes = {scene: measured(renderer.eval(), scene, arguments, saving) for scene in arguments.scenes}
    result = {
        "checkpoint": arguments.checkpoint.name if arguments.checkpoint else "random weights",
        "rays_per_chunk": arguments.rays_per_chunk,
        "rows": arguments.rows,
        **saving._asdict(),
        "comparisons": {f"adaptive rendering, {name}": part.pop("comparison") for name, part in scenes.items()},
        "scenes": scenes,
    }
    keep("adaptive", arguments.repeats, result)


if __name__ == "__main__":
    main()
