"""Cameras with lenses, by COLMAP's camera models, and their photographs without the distortion."""

import math
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from jaxtyping import Float, Float32, Shaped, UInt8

from maskrf_core.datasets.files.downscaling import blur_against_aliasing
from maskrf_core.support.errors import DatasetError
from maskrf_core.support.importing import import_pycolmap

UNDISTORTED_MODELS = ("SIMPLE_PINHOLE", "PINHOLE")
LARGEST_SIDE = 100_000  # pixels; more is taken for damage
WIDEST, NARROWEST, ZOOM_STEP = 0.5, 4.0, 0.995  # zooms that are tried, as factors to the lens's focal length


@dataclass(frozen=True)
class LensCamera:
    """A camera model of COLMAP, its image size and parameters, in COLMAP's pixels: the first one's centre is (½, ½)."""

    model: str
    width: int
    height: int
    params: tuple[float, ...]

    @property
    def K(self) -> Float[np.ndarray, "3 3"]:
        """Return the intrinsics without the distortion, in COLMAP's pixels."""
        return np.array(self._made().calibration_matrix(), np.float64)

    @property
    def is_pinhole(self) -> bool:
        """Tell whether straight lines stay straight."""
        camera = self._made()
        extra = [self.params[index] for index in camera.extra_params_idxs()]
        fisheye = "FISHEYE" in self.model or self.model in ("FOV", "EUCM")
        return self.model in UNDISTORTED_MODELS or not (fisheye or any(extra))

    def project(self, rays: Float[np.ndarray, "ray 3"]) -> Float[np.ndarray, "ray 2"]:
        """Project rays in the camera's frame (OpenCV axes) to COLMAP's pixels."""
        return np.asarray(self._made().img_from_cam(np.ascontiguousarray(rays, np.float64)), np.float64)

    def resized(self, width: int, height: int) -> "LensCamera":
        """Return the camera of the same photograph at another size."""
        if (width, height) == (self.width, self.height):
            return self
        camera = self._made()
        camera.rescale(width, height)
        return LensCamera(self.model, width, height, tuple(map(float, camera.params)))

    def check(self, where: str) -> None:
        """Raise `DatasetError` unless the size, focal lengths and distortion are numbers that a camera can have.

        Models without focal lengths, as of spherical panoramas, are refused: no pinhole view shows what they see.
        """
        fits = 0 < self.width <= LARGEST_SIDE and 0 < self.height <= LARGEST_SIDE  # pycolmap cannot hold others
        if fits and not len(self._made().focal_length_idxs()):
            remedy = "Cut the panoramas into perspective views, and make the cameras of these."
            raise DatasetError(f"{where}: its camera is {self.model}, a perspective one was expected. {remedy}")
        if not fits or not all(map(math.isfinite, self.params)) or not (np.diag(self.K)[:2] > 0).all():
            what = f"a camera of {self.width}×{self.height} pixels with the parameters {list(self.params)} is damaged"
            expected = "positive focal lengths and finite numbers were expected"
            raise DatasetError(f"{where}: {what}; {expected}. Copy or export it again.")

    def _made(self):
        pycolmap = import_pycolmap()

        return pycolmap.Camera(model=self.model, width=self.width, height=self.height, params=list(self.params))


@lru_cache(maxsize=64)
def parameter_count(model: int | str) -> tuple[str, int] | None:
    """Return name and number of parameters of a camera model of COLMAP, given by number or name; None if unknown."""
    pycolmap = import_pycolmap()

    known = {key: kind for name, kind in pycolmap.CameraModelId.__members__.items() for key in (name, kind.value)}
    kind = known.get(model)
    if kind is None or kind == pycolmap.CameraModelId.INVALID:
        return None
    return kind.name, len(pycolmap.Camera.create_from_model_id(1, kind, 1.0, 1, 1).params)


def pinhole_intrinsics(camera: LensCamera, size: tuple[int, int], where: str) -> Float[np.ndarray, "3 3"]:
    """Return K of the widest undistorted view of `size` (height, width) with nothing from outside the photograph.

    K has the centre of the first pixel at (0, 0). The view covers `size`: a photograph of another shape loses its
    longer sides. Focal lengths are scaled together; what was a pinhole camera of this size already stays as it is.
    """
    K = _widest_intrinsics(camera, size)
    if K is None:
        raise DatasetError(
            f"{where}: the distortion of its camera ({camera.model}, {list(camera.params)}) leaves no picture without "
            "black borders. Correct its parameters, or take photographs with a narrower lens."
        )
    return K.copy()


@lru_cache(maxsize=16)  # most captures have one camera
def _widest_intrinsics(camera: LensCamera, size: tuple[int, int]) -> Float[np.ndarray, "3 3"] | None:
    height, width = size
    cover = max(width / camera.width, height / camera.height)
    middle = np.array([[1, 0, -camera.width / 2], [0, 1, -camera.height / 2], [0, 0, 1.0]])
    to_canvas = np.array([[cover, 0, width / 2 - 0.5], [0, cover, height / 2 - 0.5], [0, 0, 1]]) @ middle
    native = to_canvas @ camera.K
    if camera.is_pinhole:
        return native
    across, down = np.arange(width), np.arange(height)  # of the border: if it comes from inside the photograph, all do
    x = np.concatenate([across, across, np.full(height, 0), np.full(height, width - 1)])
    y = np.concatenate([np.full(width, 0), np.full(width, height - 1), down, down])
    last = np.array([camera.width - 1, camera.height - 1])
    best, zoom = None, NARROWEST  # inwards out: what lies beyond the lens's reach may be folded back into the picture
    while zoom >= WIDEST:
        K = native.copy()
        K[[0, 1], [0, 1]] *= zoom
        source = _source(camera, K, x, y)
        if not ((source >= 0) & (source <= last)).all():  # NaN, for rays that the model cannot show, is neither
            break
        best, zoom = K, zoom * ZOOM_STEP
    return best


def undistort(
    photograph: UInt8[np.ndarray, "height width channel"],
    camera: LensCamera,
    K: Float[np.ndarray, "3 3"],
    size: tuple[int, int],
) -> UInt8[np.ndarray, "new_height new_width channel"]:
    """Show the photograph as a pinhole camera sees it: blurred if it becomes smaller, then sampled bicubically."""
    if camera.is_pinhole and photograph.shape[:2] == size == (camera.height, camera.width):
        return photograph
    scale = K[0, 0] / camera.K[0, 0]
    if scale < 1:
        photograph = blur_against_aliasing(photograph, scale)
    source_x, source_y = _source_map(camera, tuple(K.ravel().tolist()), size)
    return cv2.remap(photograph, source_x, source_y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)


@lru_cache(maxsize=1)  # two numbers for every pixel
def _source_map(
    camera: LensCamera, K: tuple[float, ...], size: tuple[int, int]
) -> Float32[np.ndarray, "2 height width"]:
    """Return the place of each pixel in the photograph, (x, y) first."""
    across, matrix = np.arange(size[1]), np.array(K).reshape(3, 3)
    rows = [_source(camera, matrix, across, np.array(y)).astype(np.float32) for y in range(size[0])]  # spares memory
    return np.ascontiguousarray(np.stack(rows).transpose(2, 0, 1))


def _source(
    camera: LensCamera, K: Float[np.ndarray, "3 3"], x: Shaped[np.ndarray, "pixel"], y: Shaped[np.ndarray, "*_"]
) -> Float[np.ndarray, "pixel 2"]:
    """Return the places of pinhole pixels in the photograph; in both, the first pixel's centre is (0, 0)."""
    return camera.project(np.stack(np.broadcast_arrays(x, y, 1.0), axis=-1) @ np.linalg.inv(K).T) - 0.5
