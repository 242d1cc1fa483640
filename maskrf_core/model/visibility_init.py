"""The networks that make raw visibility features (NeuRay's G′) of reference views, by what they look at."""

from torch import nn

from maskrf_core.model.cost_volume_init import CostVolumeVisibilityInit
from maskrf_core.model.depth_init import DepthVisibilityInit
from maskrf_core.settings.sections import VisibilityInit

INIT_NETWORKS: dict[VisibilityInit, type[nn.Module]] = {
    "depth": DepthVisibilityInit,
    "cost_volume": CostVolumeVisibilityInit,
}
"""Called as `network(references, sources)`: [view 32 height/4 width/4]."""
