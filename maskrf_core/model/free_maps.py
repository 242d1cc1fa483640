"""Visibility of one scene: a learnable map for each training view, and what a training view says of its own rays.

NeuRay (Liu et al., CVPR 2022, arXiv 2107.13421), sections 3.4 and 3.5.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from maskrf_core.datasets.batches.batch import Views
from maskrf_core.model.gathering import ReferenceFeatures
from maskrf_core.model.map_sampling import sample_map
from maskrf_core.model.render_pass import RenderPass
from maskrf_core.model.sampling import intervals, normalised_inverse_depth
from maskrf_core.model.visibility import SurfaceDistribution, own_hit_probability
from maskrf_core.settings.sections import FreeMapSettings
from maskrf_core.support.errors import DatasetError

FEATURE_STRIDE = 4
"""Image pixels to a feature pixel."""


class FreeMaps(nn.Module):
    """Raw visibility features (NeuRay's G′) of the training views of one scene, as parameters: zero until they are set.

    Called with views, gives their maps: [view 32 height/4 width/4]; only these get gradients.

    Raises:
        DatasetError: a view is no training view of the scene, or of another size than its map.
    """

    def __init__(self, settings: FreeMapSettings):
        super().__init__()
        self.settings = settings
        shape = (1, 32, settings.height, settings.width)
        self.maps = nn.ParameterList([nn.Parameter(torch.zeros(shape)) for _ in range(settings.views)])

    def forward(self, views: Views) -> Float[Tensor, "view 32 _ _"]:
        return torch.cat([self.maps[index] for index in self._checked_places(views)])

    def _checked_places(self, views: Views) -> list[int]:
        """Place of each view among the maps."""
        scene, count = self.settings.scene or "this scene", len(self.maps)
        places = [-1] if views.training_index is None else views.training_index.tolist()
        if not all(0 <= place < count for place in places):
            raise DatasetError(
                f"{scene}: a view is none of the {count} training views that have a free visibility map. A per-scene "
                "model renders from the views that it was trained on alone: take the references of the scene's test "
                "views, or use the checkpoint that the per-scene training began from."
            )
        height, width = self.settings.height * FEATURE_STRIDE, self.settings.width * FEATURE_STRIDE
        if views.image_size != (height, width):
            raise DatasetError(
                f"{scene}: its free visibility maps are for images of {width}×{height} pixels with their padding; "
                f"these have {views.image_size[1]}×{views.image_size[0]}. Open the scene in the size of its training."
            )
        return places


def self_hit_probability(
    render_pass: RenderPass,
    features: ReferenceFeatures,
    pixels_xy: Float[Tensor, "ray 2"],
    depths: Float[Tensor, "ray sample"],
    depth_range: Float[Tensor, "2"],
) -> Float[Tensor, "ray sample"]:
    """Probability that the surface lies at each sample of a view's own rays, by the view's own features alone.

    `features` are those of one view, through whose `pixels_xy` the rays go; `depth_range` is its own.
    """
    ray_features = sample_map(features.ray_features, pixels_xy[None, :, None], *features.views.image_size)
    distribution = render_pass.distribution_decoder(ray_features)
    of_rays = SurfaceDistribution(*(part[0] for part in distribution))
    position = normalised_inverse_depth(depths, depth_range[0], depth_range[1])
    return own_hit_probability(of_rays, position, intervals(depths, depth_range))
