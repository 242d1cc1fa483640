"""Raw visibility features (NeuRay's G′) of reference views: from depth maps, from cost volumes, or learned for a scene.

NeuRay (Liu et al., CVPR 2022, arXiv 2107.13421), sections 3.4 and 3.5.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from maskrf_core.cameras import back_project, project
from maskrf_core.datasets.batches.batch import SourceViews, Views
from maskrf_core.model.layers import (
    PreActivationBlock,
    ResidualUNet,
    convolution,
    views_at_once,
    weighted_mean_and_variance,
)
from maskrf_core.model.mvsnet import PLANES, MVSNet, plane_depths
from maskrf_core.model.sampling import SMALLEST_DEPTH, depth_from_normalised, normalised_inverse_depth
from maskrf_core.settings.sections import FreeMapSettings, VisibilityInit
from maskrf_core.support.errors import DatasetError

PIXELS_AT_ONCE = 2**16  # pixels that a CPU looks at in all views together: what they need stays in its cache
LARGEST_DEPTH_DIFFERENCE = 1.5  # in lengths of the inverse depth range: a larger disagreement says nothing more
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)  # of red, green and blue in [0, 1]: MVSNet's images are normalised by them
MATCHED_AT = {(768, 1024): (576, 768), (800, 800): (640, 640)}
"""(height, width) of padded images → the size at which they are matched at evaluation, as published."""
FEATURE_STRIDE = 4  # image pixels to a feature pixel


class DepthVisibilityInit(nn.Module):
    """Raw visibility features of views from their depth maps, unknown ones (0) near: [view 32 height/4 width/4]."""

    def __init__(self):
        super().__init__()
        self.encoder = ResidualUNet(12, stem_channels=32, stem_size=8, stem_padding=2, blocks=(2, 2, 2))
        self.depth_skip = nn.Sequential(nn.Conv2d(1, 8, 2, 2), nn.ReLU(), nn.Conv2d(8, 16, 2, 2))
        self.head = nn.Conv2d(16 + 32, 32, 1)

    def forward(self, references: Views, sources: SourceViews | None = None) -> Float[Tensor, "view 32 _ _"]:
        if references.depths is None:
            raise DatasetError(
                "visibility from depth: the reference views have no depth maps; estimate them with "
                "maskrf_core.datasets.depth.depth_maps."
            )
        near, far = (bound[:, None, None, None] for bound in references.depth_range.unbind(dim=1))
        position = normalised_inverse_depth(references.depths, near, far).clamp(0, 1)
        depths = depth_from_normalised(position, near, far)

        encoded = []
        for of in views_at_once(len(references), *references.image_size):
            consistency = consistency_features(references, depths, of)
            encoded.append(self.encoder(torch.cat([references.images[of], position[of], consistency], dim=1)))
        return self.head(torch.cat([self.depth_skip(position), torch.cat(encoded)], dim=1))


def consistency_features(
    views: Views, depths: Float[Tensor, "view 1 height width"], of: slice = slice(None)
) -> Float[Tensor, "_ 8 height width"]:
    """Return mean and variance, over all views it projects into, of each pixel's colour and depth disagreement.

    Channels: colour mean 3, colour variance 3, depth mean 1, depth variance 1; `of` which views. Every pixel is
    back-projected with `depths` (positive) and projected into every view, its own included. Depth differences are of
    inverse depths, in lengths of the inverse depth range of the view projected into.
    """
    height, width = views.image_size
    points = back_project(views.K[of], views.w2c[of], depths[of, 0])
    colours_and_depths = torch.cat([views.images, depths], dim=1)
    near, far = (bound[:, None, None, None] for bound in views.depth_range.unbind(dim=1))
    rows = height if points.is_cuda else max(1, PIXELS_AT_ONCE // width)

    def of_rows(points: Tensor, colours: Tensor) -> Tensor:
        projection = project(views.K, views.w2c, points, height, width)
        # Few channels of very many points: torch's own sampling, channels first, is faster here than `sample_map`.
        x, y = projection.pixels_xy.unbind(dim=-1)
        grid = torch.stack([x / ((width - 1) / 2) - 1, y / ((height - 1) / 2) - 1], dim=-1)
        seen = functional.grid_sample(colours_and_depths, grid, padding_mode="border", align_corners=True)
        seen_inverse = 1 / seen[:, 3:].clamp(min=SMALLEST_DEPTH)
        own_inverse = 1 / projection.depth[:, None].clamp(min=SMALLEST_DEPTH)
        depth_difference = (seen_inverse - own_inverse).abs() / (1 / near - 1 / far)
        weights = projection.valid[:, None].to(seen.dtype)
        weights = weights / weights.sum(dim=0).clamp(min=1e-4)
        of_colours = weighted_mean_and_variance((seen[:, :3] - colours).abs(), weights)
        of_depths = weighted_mean_and_variance(depth_difference.clamp(max=LARGEST_DEPTH_DIFFERENCE), weights)
        return torch.cat([*of_colours, *of_depths])

    of_views = []
    for of_view, colours in zip(points, views.images[of], strict=True):
        parts = zip(of_view.split(rows), colours.split(rows, dim=1), strict=True)
        of_views.append(torch.cat([of_rows(*part) for part in parts], dim=1))
    return torch.stack(of_views)


class CostVolumeVisibilityInit(nn.Module):
    """Raw visibility features of reference views from matching them: [view 32 height/4 width/4]."""

    def __init__(self):
        super().__init__()
        self.mvsnet = MVSNet()
        self.register_buffer("imagenet_mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1))
        self.register_buffer("imagenet_std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1))
        self.encoder = ResidualUNet(3, stem_channels=32, stem_size=7, stem_padding=3, blocks=(2, 3, 6))
        self.volume_branch, self.depth_branch, self.head = (_branch(inputs) for inputs in (PLANES, 1, 32 + 32 + 32))

    def forward(self, references: Views, sources: SourceViews | None) -> Float[Tensor, "view 32 _ _"]:
        if sources is None:
            raise DatasetError(
                "visibility from cost volumes: the batch has no source views; make it with the renderer's `inputs`, as "
                "maskrf_core.datasets.batches.evaluation_batches does."
            )
        probabilities = self.plane_probabilities(references, sources)
        near, far = (bound[:, None, None, None] for bound in references.depth_range.unbind(dim=1))
        position = normalised_inverse_depth(expected_depth(probabilities, references.depth_range), near, far)
        parts = [self.encoder(references.images), self.volume_branch(probabilities), self.depth_branch(position)]
        return self.head(torch.cat(parts, dim=1))

    @torch.no_grad()
    def plane_probabilities(self, references: Views, sources: SourceViews) -> Float[Tensor, "view 64 _ _"]:
        """Return MVSNet's probabilities at a quarter of the images' resolution; at evaluation of some sizes they are
        from smaller images (`MATCHED_AT`), as published."""
        height, width = references.image_size
        matched = None if self.training else MATCHED_AT.get((height, width))
        references, others = (self._prepared(views, matched) for views in (references, sources.views))
        probabilities = self.mvsnet(references, SourceViews(others, sources.neighbours))
        if matched is None:
            return probabilities
        size = (height // 4, width // 4)
        return functional.interpolate(probabilities, size=size, mode="bilinear", align_corners=False)

    def _prepared(self, views: Views, size: tuple[int, int] | None) -> Views:
        """Normalise images for MVSNet and, for a size, resize them to it; rows 0 and 1 of K are scaled alike."""
        images = (views.images - self.imagenet_mean) / self.imagenet_std
        if size is None or len(views) == 0:
            return views.replace(images=images)
        height, width = views.image_size
        scale = views.K.new_tensor([size[1] / width, size[0] / height, 1])
        images = functional.interpolate(images, size=size, mode="bilinear", align_corners=False)
        return views.replace(images=images, K=views.K * scale[:, None], masks=None, depths=None, true_depths=None)


def expected_depth(
    probabilities: Float[Tensor, "view 64 _height _width"], depth_range: Float[Tensor, "view 2"]
) -> Float[Tensor, "view 1 _height _width"]:
    """Return the mean z-depth under the probabilities over each view's planes."""
    depths = torch.stack([plane_depths(each) for each in depth_range])
    return torch.einsum("vp,vphw->vhw", depths, probabilities)[:, None]


def _branch(inputs: int) -> nn.Sequential:
    return nn.Sequential(convolution(inputs, 32), PreActivationBlock(32), nn.Conv2d(32, 32, 1, bias=False))


class FreeMaps(nn.Module):
    """Raw visibility features of the training views of one scene, as parameters: [view 32 height/4 width/4]."""

    def __init__(self, settings: FreeMapSettings):
        super().__init__()
        self.settings = settings
        shape = (1, 32, settings.height, settings.width)
        self.maps = nn.ParameterList([nn.Parameter(torch.zeros(shape)) for _ in range(settings.views)])

    def forward(self, views: Views) -> Float[Tensor, "view 32 _ _"]:
        scene, count = self.settings.scene or "this scene", len(self.maps)
        places = [-1] if views.training_index is None else views.training_index.tolist()
        if not all(0 <= place < count for place in places):
            raise DatasetError(
                f"{scene}: a view is none of the {count} training views that have a free visibility map; take the "
                "references of the scene's test views, or the checkpoint that the per-scene training began from."
            )
        height, width = self.settings.height * FEATURE_STRIDE, self.settings.width * FEATURE_STRIDE
        if views.image_size != (height, width):
            raise DatasetError(
                f"{scene}: its free visibility maps are for images of {width}×{height} pixels with their padding; "
                f"these have {views.image_size[1]}×{views.image_size[0]}. Open the scene in the size of its training."
            )
        return torch.cat([self.maps[place] for place in places])


INIT_NETWORKS: dict[VisibilityInit, type[nn.Module]] = {
    "depth": DepthVisibilityInit,
    "cost_volume": CostVolumeVisibilityInit,
}
"""Called as `network(references, sources)`: [view 32 height/4 width/4]."""
