"""What the published layouts with a COLMAP model share: ids, poses, and K scaled to the images as they are returned."""

from pathlib import Path

import numpy as np
from jaxtyping import Float

from maskrf_core.datasets.captures.colmap_models import ColmapModel, ColmapView, read_colmap_model
from maskrf_core.datasets.files.checked_files import path_inside
from maskrf_core.datasets.readers.scene_ids import look_up
from maskrf_core.support.errors import DatasetError


class PinholeModel:
    """A COLMAP model without distortion; ids "1" to "N" are its images in the order of COLMAP's ids.

    Raises:
        DatasetError: the model is missing or broken, a camera has distortion, a listed image is absent.
    """

    def __init__(self, scene_name: str, model_folder: Path, image_folder: Path):
        self.scene_name = scene_name
        self.model: ColmapModel = read_colmap_model(model_folder)
        self.views = {str(row + 1): view for row, view in enumerate(self.model.views)}
        self.paths = {image_id: path_inside(image_folder, view.name) for image_id, view in self.views.items()}
        for view in self.model.views:
            if not view.camera.is_pinhole:
                raise DatasetError(
                    f"{model_folder}: the camera of {view.name} is {view.camera.model} with distortion, which this "
                    "layout has undone already. Put photographs and model into captures/ and open capture/<name>/raw."
                )
        absent = [path.name for path in self.paths.values() if not path.is_file()]
        if absent:
            raise DatasetError(
                f"{image_folder}: {len(absent)} of the {len(self.paths)} images that the model lists are missing, "
                f"the first is {absent[0]}. Unpack the data set again."
            )

    def view(self, image_id: str) -> ColmapView:
        """The view of an id; `DatasetError` for an id that the scene has not."""
        return look_up(self.views, image_id, self.scene_name)

    def scaled_K(self, image_id: str, size: tuple[int, int]) -> Float[np.ndarray, "3 3"]:
        """Intrinsics for an image of `size` (height, width); no half-pixel shift, because checkpoints were trained
        without it."""
        camera = self.view(image_id).camera
        height, width = size
        return np.diag([width / camera.width, height / camera.height, 1.0]) @ camera.K
