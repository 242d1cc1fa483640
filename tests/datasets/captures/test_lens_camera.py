import cv2
import numpy as np
import pycolmap
import pytest

from maskrf_core.datasets.captures.lens_camera import LensCamera, pinhole_intrinsics, undistort
from maskrf_core.support.errors import DatasetError

HEIGHT, WIDTH = 120, 160
OPENCV = LensCamera("OPENCV", WIDTH, HEIGHT, (150.0, 148.0, 84.0, 57.0, 0.08, -0.05, 0.002, -0.001))
BARREL = LensCamera("SIMPLE_RADIAL", WIDTH, HEIGHT, (150.0, 80.0, 60.0, -0.15))
FISHEYE = LensCamera("OPENCV_FISHEYE", WIDTH, HEIGHT, (90.0, 90.0, 80.0, 60.0, 0.05, 0.01, 0.0, 0.0))
WRONG = LensCamera("OPENCV", WIDTH, HEIGHT, (150.0, 148.0, 900.0, 57.0, 0.1, 0.0, 0.0, 0.0))


def spots(pixels_xy: np.ndarray) -> np.ndarray:
    """White spots on black, centred at pixels whose first centre is (0, 0)."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    squared = (x - pixels_xy[:, 0, None, None]) ** 2 + (y - pixels_xy[:, 1, None, None]) ** 2
    return np.repeat((250 * np.exp(-squared / 8).max(0)).astype(np.uint8)[..., None], 3, axis=2)


def centroid(image: np.ndarray, near_xy: np.ndarray, radius: int) -> np.ndarray:
    y, x = np.mgrid[: image.shape[0], : image.shape[1]]
    weights = image[..., 0] * (np.hypot(x - near_xy[0], y - near_xy[1]) < radius)
    return np.array([(weights * x).sum(), (weights * y).sum()]) / weights.sum()


@pytest.mark.parametrize("camera", [OPENCV, BARREL, FISHEYE])
@pytest.mark.parametrize("size", [(120, 160), (60, 80), (45, 80)])
def test_a_projected_point_lands_where_the_pinhole_camera_says(camera: LensCamera, size: tuple[int, int]):
    """At full size, at half, and cropped to a wider shape."""
    K = pinhole_intrinsics(camera, size, "here")
    x, y = np.meshgrid(np.linspace(0.15, 0.85, 4) * size[1], np.linspace(0.15, 0.85, 3) * size[0])
    wanted = np.stack([x.ravel(), y.ravel()], -1)
    rays = np.concatenate([wanted, np.ones((len(wanted), 1))], axis=1) @ np.linalg.inv(K).T
    image = undistort(spots(camera.project(3 * rays) - 0.5), camera, K, size)
    assert image.shape == (*size, 3)
    for pixel in wanted:
        assert np.abs(centroid(image, pixel, 4 if size[0] < 100 else 7) - pixel).max() < 0.3


WIDE_LENSES = [name for name in pycolmap.CameraModelId.__members__ if "FISHEYE" in name or name == "EUCM"]


@pytest.mark.parametrize("model", WIDE_LENSES)
def test_wide_fisheyes_are_shown_as_far_as_a_pinhole_camera_can(model: str):
    """Of 200 degrees across, in every model that has such: the middle is shown, where a point lands as it should."""
    made = pycolmap.Camera.create_from_model_name(1, model, 45.0, WIDTH, HEIGHT)
    params = np.array(made.params)
    if model == "EUCM":
        params[made.extra_params_idxs()] = 0.6, 1.1
    camera = LensCamera(model, WIDTH, HEIGHT, tuple(params.tolist()))
    camera.check("here")
    K = pinhole_intrinsics(camera, (HEIGHT, WIDTH), "here")
    wanted = np.array([[80.0, 60.0], [70.0, 66.0], [92.0, 52.0]])
    rays = np.concatenate([wanted, np.ones((3, 1))], axis=1) @ np.linalg.inv(K).T
    image = undistort(spots(camera.project(rays) - 0.5), camera, K, (HEIGHT, WIDTH))
    for pixel in wanted:
        assert np.abs(centroid(image, pixel, 5) - pixel).max() < 0.3


def test_a_panorama_is_refused_by_name():
    with pytest.raises(DatasetError, match=r"here: its camera is EQUIRECTANGULAR"):
        LensCamera("EQUIRECTANGULAR", 200, 100, (200.0, 100.0)).check("here")


@pytest.mark.parametrize("camera", [OPENCV, BARREL, FISHEYE])
def test_nothing_from_outside_is_shown_and_not_much_is_lost(camera: LensCamera):
    K = pinhole_intrinsics(camera, (HEIGHT, WIDTH), "here")
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    rays = np.stack([x, y, np.ones_like(x)], -1).reshape(-1, 3) @ np.linalg.inv(K).T
    source = camera.project(rays) - 0.5
    assert (source >= 0).all()
    assert (source <= [WIDTH - 1, HEIGHT - 1]).all()
    touches = np.minimum(source, [WIDTH - 1, HEIGHT - 1] - source).min()
    assert touches < 1.5  # the view is as wide as it can be


def test_against_opencv():
    """The map of another library, for the same cameras, gives the same picture."""
    ours = pinhole_intrinsics(OPENCV, (HEIGHT, WIDTH), "here")
    image = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8), (0, 0), 2)
    K = OPENCV.K - [[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]]
    theirs = cv2.undistort(image, K, np.array(OPENCV.params[4:]), newCameraMatrix=ours)
    assert np.abs(undistort(image, OPENCV, ours, (HEIGHT, WIDTH)).astype(int) - theirs).max() <= 3


def test_pinhole_photographs_stay_as_they_are():
    camera = LensCamera("OPENCV", WIDTH, HEIGHT, (150.0, 148.0, 84.0, 57.0, 0.0, 0.0, 0.0, 0.0))
    image = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    K = pinhole_intrinsics(camera, (HEIGHT, WIDTH), "here")
    np.testing.assert_allclose(K, [[150, 0, 83.5], [0, 148, 56.5], [0, 0, 1]])
    np.testing.assert_array_equal(undistort(image, camera, K, (HEIGHT, WIDTH)), image)
    # Halved, the centre of the first pixel is half-way between two: (84 - ½·2)/2.
    half = pinhole_intrinsics(camera, (HEIGHT // 2, WIDTH // 2), "here")
    np.testing.assert_allclose(half, [[75, 0, 41.5], [0, 74, 28], [0, 0, 1]])


def test_distortion_that_no_view_can_undo():
    with pytest.raises(DatasetError, match=r"here: the distortion .* leaves no picture without black borders"):
        pinhole_intrinsics(WRONG, (HEIGHT, WIDTH), "here")
