"""Epipolar lines, and features matched across views: whether cameras agree with the photographs."""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from maskrf_core.datasets.scene import Scene
from maskrf_core.support.errors import DatasetError
from maskrf_core.workbook.experiments.preparation import nearest_views

LARGEST_RATIO = 0.75  # of the best to the second best match's distance (Lowe, IJCV 2004): above it a match is no match
ENOUGH_MATCHES = 30  # fewer say nothing about the cameras
LARGEST_MEDIAN, LARGEST_QUARTILE = 2.0, 1.0  # pixels; where patterns repeat, half of the matches may be wrong
WORKING_SIDE = 256  # smaller images, in which hardly any features are found, are enlarged to this


class Segment(NamedTuple):
    """The epipolar line of a pixel of one view in another one, between near and far."""

    pixels_xy: Float[np.ndarray, "sample 2"]
    depths: Float[np.ndarray, "sample"]  # z-depth in the first view
    is_in_front: Bool[np.ndarray, "sample"]  # of the second camera; elsewhere the pixel is NaN


class EpipolarErrors(NamedTuple):
    """Distances of matched features from the epipolar lines of their partners."""

    median: float  # pixels of the photographs as they are; NaN where there are too few matches
    quartile: float  # the lower one
    matches: int
    pairs: int
    chance: float  # median distance of features to lines of features that they do not belong to

    @property
    def are_enough(self) -> bool:
        """Say whether there are so many matches that the median means something."""
        return self.matches >= ENOUGH_MATCHES

    @property
    def fit(self) -> bool | None:
        """Say whether photographs and cameras fit together; None where there are too few matches to tell."""
        within = self.median <= LARGEST_MEDIAN or self.quartile <= LARGEST_QUARTILE
        return within if self.are_enough else None

    def __str__(self) -> str:
        pairs = f"{self.pairs} pairs of views"
        if not self.are_enough:
            return f"too few matches to tell: {self.matches} in {pairs}, {ENOUGH_MATCHES} are needed"
        median = f"{self.median:.2f} px from the epipolar line, the median of {self.matches} matches in {pairs}"
        return f"{median}; features that do not belong together are {self.chance:.0f} px apart"


def epipolar_segment(
    scene: Scene, here: str, there: str, xy: tuple[float, float], depths: Float[np.ndarray, "sample"]
) -> Segment:
    """Project into view `there` the points at `depths` along the ray through pixel `xy` of view `here`."""
    K, w2c, K_there, w2c_there = _cameras(scene, here, there)
    in_camera = np.linalg.inv(K) @ [*xy, 1] * depths[:, None]
    points = (in_camera - w2c[:, 3]) @ w2c[:, :3]
    in_image = (points @ w2c_there[:, :3].T + w2c_there[:, 3]) @ K_there.T
    is_in_front = in_image[:, 2] > 0
    pixels = in_image[:, :2] / np.where(is_in_front, in_image[:, 2], 1)[:, None]
    return Segment(np.where(is_in_front[:, None], pixels, np.nan), np.asarray(depths, float), is_in_front)


def fundamental_matrix(scene: Scene, here: str, there: str) -> Float[np.ndarray, "3 3"]:
    """Compute F with `x_thereᵀ F x_here = 0` for homogeneous pixels of one point (Hartley & Zisserman, section 9.2)."""
    K, w2c, K_there, w2c_there = _cameras(scene, here, there)
    rotation = w2c_there[:, :3] @ w2c[:, :3].T
    cross = np.cross(np.eye(3), rotation @ w2c[:, 3] - w2c_there[:, 3])  # its product with v: translation × v
    return np.linalg.inv(K_there).T @ cross @ rotation @ np.linalg.inv(K)


def line_distances(
    F: Float[np.ndarray, "3 3"], xy_here: Float[np.ndarray, "match 2"], xy_there: Float[np.ndarray, "match 2"]
) -> Float[np.ndarray, "match"]:
    """Measure the pixels from each point to the epipolar line of its partner; of both directions, the larger one."""
    here, there = (np.c_[xy, np.ones(len(xy))] for xy in (xy_here, xy_there))
    lines_there, lines_here = here @ F.T, there @ F
    residual = np.abs((there * lines_there).sum(axis=1))
    return np.maximum(*(residual / np.hypot(lines[:, 0], lines[:, 1]) for lines in (lines_there, lines_here)))


def epipolar_errors(scene: Scene, image_ids: Sequence[str], *, views: int = 5, neighbours: int = 3) -> EpipolarErrors:
    """Match features of a few views with their nearest neighbours, and hold them to the cameras.

    No match is thrown away for not fitting the cameras, so wrong cameras cannot hide.
    """
    chosen = image_ids[:: max(1, len(image_ids) // views)][:views]
    pairs = [(here, there) for here in chosen for there in nearest_views(scene, here, image_ids, neighbours)]
    pairs = [pair for index, pair in enumerate(pairs) if pair[::-1] not in pairs[:index]]
    features = {name: _features(scene, name) for name in dict.fromkeys(name for pair in pairs for name in pair)}
    distances, unrelated = [np.zeros(0)], [np.zeros(0)]
    for here, there in pairs:
        xy_here, xy_there = _matched(features[here], features[there])
        F = fundamental_matrix(scene, here, there)
        distances.append(line_distances(F, xy_here, xy_there))
        unrelated.append(line_distances(F, xy_here, np.roll(xy_there, len(xy_there) // 2, axis=0)))
    pooled = np.concatenate(distances)
    if len(pooled) < ENOUGH_MATCHES:
        return EpipolarErrors(np.nan, np.nan, len(pooled), len(pairs), np.nan)
    quartile, median = np.quantile(pooled, [0.25, 0.5]).tolist()
    return EpipolarErrors(median, quartile, len(pooled), len(pairs), float(np.median(np.concatenate(unrelated))))


def strong_corner(
    image: UInt8[np.ndarray, "height width 3"], mask: Bool[np.ndarray, "height width"]
) -> tuple[float, float]:
    """Find (x, y) of a strong corner on the foreground: away from its outline, the one nearest to its middle."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    margin = max(3, min(mask.shape) // 32)
    inner = cv2.erode(np.pad(mask.astype(np.uint8), 1), np.ones((margin, margin), np.uint8), borderValue=0)[1:-1, 1:-1]
    inner = inner if inner.any() else mask.astype(np.uint8)
    corners = cv2.goodFeaturesToTrack(grey, 20, 0.05, margin, mask=np.ascontiguousarray(inner))
    y, x = (float(np.mean(part)) for part in (np.nonzero(mask) if mask.any() else np.nonzero(~mask)))
    if corners is None:
        return x, y
    corners = corners[:, 0]
    return tuple(corners[np.hypot(*(corners - [x, y]).T).argmin()].tolist())


def point_of(text: str | None, scene: Scene, image_id: str) -> tuple[float, float]:
    """Return the pixel that is meant: `"x, y"`, or a corner of the foreground where nothing is said.

    Raises:
        DatasetError: it is not in the image.
    """
    image = scene.image(image_id)
    if not text:
        return strong_corner(image, scene.mask(image_id))
    x, y = (float(part) for part in text.split(","))
    height, width = image.shape[:2]
    if not (-0.5 <= x <= width - 0.5 and -0.5 <= y <= height - 0.5):
        raise DatasetError(f"point = {text!r}: {image_id} is {width}×{height} pixels. Give a point inside.")
    return x, y


def _cameras(scene: Scene, here: str, there: str) -> list[np.ndarray]:
    """Read K and w2c of both views."""
    return [np.asarray(read(name)) for name in (here, there) for read in (scene.K, scene.w2c)]


Features = tuple[np.ndarray, np.ndarray]  # pixels (feature, 2) and descriptors (feature, 128)


def _features(scene: Scene, image_id: str) -> Features:
    """Find SIFT features on the foreground, in pixels of the image as it is."""
    image, mask = scene.image(image_id), scene.mask(image_id)
    enlarged = max(1.0, WORKING_SIDE / min(image.shape[:2]))
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    grey = cv2.resize(grey, None, fx=enlarged, fy=enlarged, interpolation=cv2.INTER_CUBIC)
    inner = cv2.resize(mask.astype(np.uint8), grey.shape[::-1], interpolation=cv2.INTER_NEAREST)
    keypoints, descriptors = cv2.SIFT_create(2000).detectAndCompute(grey, inner)
    if descriptors is None:
        return np.zeros((0, 2)), np.zeros((0, 128))
    # A resized pixel (x + 0.5) / s - 0.5 is where it was.
    xy = (np.array([keypoint.pt for keypoint in keypoints]) + 0.5) / enlarged - 0.5
    return xy, descriptors.astype(np.float64)


def _matched(here: Features, there: Features) -> tuple[Float[np.ndarray, "match 2"], Float[np.ndarray, "match 2"]]:
    """Pair the pixels of features that are each other's best match, clearly better than the second best."""
    from skimage.feature import match_descriptors

    if min(len(here[0]), len(there[0])) < 2:
        return np.zeros((0, 2)), np.zeros((0, 2))
    pairs = match_descriptors(here[1], there[1], max_ratio=LARGEST_RATIO)
    return here[0][pairs[:, 0]], there[0][pairs[:, 1]]
