"""A camera with its lens: one of COLMAP's camera models with its parameters."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from maskrf_core.support.errors import DatasetError

UNDISTORTED_MODELS = ("SIMPLE_PINHOLE", "PINHOLE")
LARGEST_SIDE = 100_000
"""Pixels; more is taken for damage."""


@dataclass(frozen=True)
class LensCamera:
    """A camera model of COLMAP, its image size and parameters, in COLMAP's pixels: the first one's centre is (½, ½)."""

    model: str
    width: int
    height: int
    params: tuple[float, ...]

    @property
    def K(self) -> Float[np.ndarray, "3 3"]:
        """Intrinsics without the distortion, in COLMAP's pixels."""
        return np.array(self._made().calibration_matrix(), np.float64)

    @property
    def is_pinhole(self) -> bool:
        """Whether straight lines stay straight."""
        camera = self._made()
        extra = [self.params[index] for index in camera.extra_params_idxs()]
        fisheye = "FISHEYE" in self.model or self.model in ("FOV", "EUCM", "EQUIRECTANGULAR")
        return self.model in UNDISTORTED_MODELS or not (fisheye or any(extra))

    def project(self, rays: Float[np.ndarray, "ray 3"]) -> Float[np.ndarray, "ray 2"]:
        """Where rays in the camera's frame (OpenCV axes) meet the image, in COLMAP's pixels."""
        return np.asarray(self._made().img_from_cam(np.ascontiguousarray(rays, np.float64)), np.float64)

    def resized(self, width: int, height: int) -> "LensCamera":
        """The camera of the same photograph at another size."""
        if (width, height) == (self.width, self.height):
            return self
        camera = self._made()
        camera.rescale(width, height)
        return LensCamera(self.model, width, height, tuple(map(float, camera.params)))

    def check(self, where: str) -> None:
        """Raise `DatasetError` unless the size, focal lengths and distortion are numbers that a camera can have."""
        fits = 0 < self.width <= LARGEST_SIDE and 0 < self.height <= LARGEST_SIDE  # pycolmap cannot hold others
        if not fits or not all(map(math.isfinite, self.params)) or not (np.diag(self.K)[:2] > 0).all():
            raise DatasetError(
                f"{where}: a camera of {self.width}×{self.height} pixels with the parameters {list(self.params)} is "
                "damaged; positive focal lengths and finite numbers were expected. Copy or export it again."
            )

    def _made(self):
        import pycolmap  # heavy

        return pycolmap.Camera(model=self.model, width=self.width, height=self.height, params=list(self.params))
