"""Cameras held to photographs: whether what looks alike in two views lies where the cameras say it can."""

import cv2
import numpy as np

from maskrf_core.datasets.scene import Scene


def fundamental_matrix(scene: Scene, first: str, second: str) -> np.ndarray:
    """F with `x2ᵀ F x1 = 0`, from the cameras (Hartley and Zisserman, section 9.2)."""
    pose1, pose2 = scene.w2c(first), scene.w2c(second)
    rotation = pose2[:, :3] @ pose1[:, :3].T
    x, y, z = pose2[:, 3] - rotation @ pose1[:, 3]
    essential = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]]) @ rotation
    return np.linalg.inv(scene.K(second)).T @ essential @ np.linalg.inv(scene.K(first))


def epipolar_errors(scene: Scene, first: str, second: str) -> np.ndarray:
    """Distance in pixels of each feature match in the second view from the line of its partner."""
    sift = cv2.SIFT_create(1500)
    (keys1, words1), (keys2, words2) = (
        sift.detectAndCompute(cv2.cvtColor(scene.image(view), cv2.COLOR_RGB2GRAY), None) for view in (first, second)
    )
    pairs = cv2.BFMatcher().knnMatch(words1, words2, k=2)
    good = [best for best, runner_up in pairs if best.distance < 0.75 * runner_up.distance]
    assert len(good) >= 50, "too few matches to judge by"
    points1 = np.array([[*keys1[match.queryIdx].pt, 1] for match in good])
    points2 = np.array([[*keys2[match.trainIdx].pt, 1] for match in good])
    lines = points1 @ fundamental_matrix(scene, first, second).T
    return np.abs((lines * points2).sum(1)) / np.linalg.norm(lines[:, :2], axis=1)
