"""A small picture of a query, rendered with a share of its features masked, for several renderers and shares."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float

from maskrf_core.datasets.batches.evaluation_batches import all_pixels
from maskrf_core.model.gathering import query_colours, rays_of
from maskrf_core.model.renderer import Renderer
from maskrf_core.rendering.evaluation import psnr
from maskrf_core.support.progress import tracked
from maskrf_core.workbook.experiments.ray_inspection import Inspection, draw_mask_on, fine_samples

SIDE = 32  # pixels of the longer side
RAYS = 256  # at a time
RATIOS = tuple(tenth / 10 for tenth in range(10))
FEW_RATIOS = (0.0, 0.5, 0.9)
Picture = Float[np.ndarray, "height width 3"]


class MaskedPictures(NamedTuple):
    """A query, true and as rendered under masks: pictures by the name of the renderer and the mask ratio."""

    query_id: str
    truth: Picture
    pictures: dict[str, dict[float, Picture]]

    def psnr(self, name: str, ratio: float) -> float:
        """Return the PSNR of a picture in dB, over its few pixels."""
        return psnr(self.pictures[name][ratio], self.truth)


def masked_pictures(
    inspection: Inspection,
    names: Sequence[str],
    ratios: Sequence[float] = FEW_RATIOS,
    *,
    strategy: str = "ray_and_view",
    seed: int = 0,
    side: int = SIDE,
) -> MaskedPictures:
    """Render the inspected query, `side` pixels long, by each renderer and at each ratio."""
    query = inspection.encoded(names[0])[0].query
    height, width = query.image_size
    scale = max(height, width) / min(side, max(height, width))
    rows, columns = max(1, round(height / scale)), max(1, round(width / scale))
    pixels_xy = ((all_pixels(rows, columns) + 0.5) * scale - 0.5).to(query.images.device)
    truth = query_colours(query, pixels_xy).view(rows, columns, 3).cpu().numpy()
    found: dict[str, dict[float, list[np.ndarray]]] = {name: {ratio: [] for ratio in ratios} for name in names}
    chunks = [(name, number, part) for name in names for number, part in enumerate(pixels_xy.split(RAYS))]
    for name, number, part in tracked(chunks, total=len(chunks), title="rendering under masks"):
        features_and_rays = inspection.encoded(name)[1], rays_of(query, part)
        masks = (strategy, seed + number)  # the same ones for every renderer
        rendered = _under_masks(inspection.renderers[name], features_and_rays, ratios, *masks)
        for ratio, colours in zip(ratios, rendered, strict=True):
            found[name][ratio].append(colours)
    pictures = {
        name: {ratio: np.concatenate(parts).reshape(rows, columns, 3).clip(0, 1) for ratio, parts in of.items()}
        for name, of in found.items()
    }
    return MaskedPictures(inspection.query_id, truth, pictures)


@torch.inference_mode()
def _under_masks(
    renderer: Renderer, features_and_rays: tuple, ratios: Sequence[float], strategy: str, seed: int
) -> list[Float[np.ndarray, "ray 3"]]:
    """Render rays at each ratio; what no mask changes is computed once."""
    fine = fine_samples(renderer, *features_and_rays)
    samples, rendered = fine.merged.samples, []
    for ratio in ratios:
        mask = draw_mask_on(fine, strategy, ratio, seed) if ratio else None
        points = renderer.fine.aggregation(fine.views, fine.visibility, samples, mask=mask)
        rendered.append(renderer.composite(points, samples.depths, fine.coarse.ray_mask).rgb.cpu().numpy())
    return rendered
