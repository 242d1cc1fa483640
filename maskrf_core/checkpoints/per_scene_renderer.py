"""From a renderer of any scene to that of one scene, and a check of its use."""

import torch
from jaxtyping import Float
from torch import Tensor

from maskrf_core.datasets.batches.scene_views import ENCODER_MULTIPLE, SceneViews
from maskrf_core.model.renderer import Renderer
from maskrf_core.model.visibility_init import FEATURE_STRIDE
from maskrf_core.settings.sections import FreeMapSettings
from maskrf_core.support.errors import DatasetError
from maskrf_core.support.progress import tracked

VIEWS_AT_ONCE = 8  # a training view's map is what the init network makes of the view and its nearest ones


def for_one_scene(renderer: Renderer, views: SceneViews) -> Renderer:
    """Copy the renderer, with a free visibility map for each training view of the scene.

    A map begins as what the init network makes of its view, seen together with the 7 nearest training views (all, where
    there are fewer). The init network is left out of the copy; the other weights are those of `renderer`.

    Raises:
        DatasetError: the images are of unequal sizes, or a file of the scene is missing or broken.
        ValueError: the renderer has no init network.
    """
    if renderer.visibility_init is None:
        raise ValueError("a renderer without an init network cannot begin another scene")
    maps = initial_maps(renderer, views)
    count, (height, width), scene = len(maps), maps[0].shape[2:], views.scene.name
    settings = FreeMapSettings(views=count, height=height, width=width, scene=scene, shared_depth_range=True)
    model = renderer.settings.model_copy(update={"visibility_init": None, "free_maps": settings})
    special = Renderer(model, renderer.masked_modelling.settings)
    general = {name: value for name, value in renderer.state_dict().items() if not name.startswith("visibility_init.")}
    special.load_state_dict(general | {f"free_maps.maps.{place}": value for place, value in enumerate(maps)})
    return special.to(maps[0].device).train(renderer.training)


@torch.no_grad()
def initial_maps(renderer: Renderer, views: SceneViews) -> list[Float[Tensor, "1 32 _ _"]]:
    """Ask the init network about every training view: one map each, in their order."""
    device, inputs = next(renderer.parameters()).device, renderer.inputs._replace(shared_range=True)
    if inputs.depths:
        views.prepare_depths(views.training_ids)
    maps = []
    for image_id in tracked(views.training_ids, total=len(views.training_ids), title="free visibility maps"):
        others = [other for other in views.training_ids if other != image_id]
        together = [image_id, *views.nearest(image_id, others, min(VIEWS_AT_ONCE - 1, len(others)))]
        # Source views are sought among the training views alone: no other view may be seen.
        references, sources = views.working_views(together, views.training_ids, inputs)
        sources = None if sources is None else sources.to(device)
        of_view = renderer.visibility_init(references.to(device), sources)[:1]
        height, width = (-(-side // ENCODER_MULTIPLE) * ENCODER_MULTIPLE for side in views.load([image_id]).image_size)
        # Whatever the init network had its images padded to: rendering pads them to the encoders' multiple.
        maps.append(of_view[:, :, : height // FEATURE_STRIDE, : width // FEATURE_STRIDE].clone())
    sizes = {tuple(each.shape[2:]) for each in maps}
    if len(sizes) > 1:
        raise DatasetError(
            f"{views.scene.name}: its training views are of unequal sizes, so they have no free visibility maps. Bring "
            "them to one size, or take another scene."
        )
    return maps


def check_scene(renderer: Renderer, views: SceneViews) -> None:
    """Raise `DatasetError` if the renderer is that of another scene; a published one does not say of which it is."""
    free = renderer.settings.free_maps
    if free is None:
        return
    if free.scene is not None and free.scene != views.scene.name:
        raise DatasetError(
            f"{views.scene.name}: the model has free visibility maps of {free.scene}. Name that scene, or take the "
            "checkpoint that its training began from."
        )
    if free.views != len(views.training_ids):
        raise DatasetError(
            f"{views.scene.name}: has {len(views.training_ids)} training views, but the model has free visibility "
            f"maps of {free.views}: it is that of another scene, or the scene has changed since."
        )
