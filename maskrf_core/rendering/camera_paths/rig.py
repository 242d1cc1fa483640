"""The cameras of a scene together: their common target, up and viewing axes, and depth ranges between them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from maskrf_core.datasets.scene import Scene
from maskrf_core.support.errors import DatasetError

SMALLEST_MEAN_AXIS = 0.1  # the mean of unit axes is shorter where they point everywhere, and means nothing
SMALLEST_CONVERGENCE = 1e-3
"""Smallest eigenvalue of the mean of I - f fᵀ over viewing axes f, about the square of the sine of their angles to each
other (2° here), below which they are parallel: the point nearest to all of them is anywhere along them."""
IN_FRONT = 0.9  # share of the cameras that must have the object before them
ROLL = 0.2  # right axes lie in a plane where their smallest second moment is below this share of the next one
NEIGHBOURS = 4
SMALLEST_SHARE_OF_NEAR = 0.5  # of a neighbour's near, which a camera that moves towards the scene keeps


@dataclass(frozen=True)
class CameraRig:
    """Cameras of one scene; `size` (height, width) is that of the middle view's image."""

    name: str
    image_ids: list[str]
    K: Float[np.ndarray, "view 3 3"]
    w2c: Float[np.ndarray, "view 3 4"]
    depth_range: Float[np.ndarray, "view 2"]
    size: tuple[int, int]

    @property
    def centres(self) -> Float[np.ndarray, "view 3"]:
        """Return the camera centres in the world."""
        return -np.einsum("vji,vj->vi", self.w2c[:, :, :3], self.w2c[:, :, 3])

    @property
    def ups(self) -> Float[np.ndarray, "view 3"]:
        """Return unit vectors upwards in each image, in the world."""
        return -self.w2c[:, 1, :3]

    @property
    def forwards(self) -> Float[np.ndarray, "view 3"]:
        """Return unit vectors along each optical axis, in the world."""
        return self.w2c[:, 2, :3]

    @property
    def middle(self) -> int:
        """Return the index of the view that stands nearest to the mean of all; the first of equals."""
        return int(np.linalg.norm(self.centres - self.centres.mean(axis=0), axis=1).argmin())


def rig_of(scene: Scene, image_ids: Sequence[str]) -> CameraRig:
    """Gather the cameras of these views, at least one; one image is read, for its size."""
    if not image_ids:
        raise DatasetError(f"{scene.name}: a camera path needs at least one reference view, and there are none.")
    parts = (
        np.stack([np.asarray(part(image_id), dtype=np.float64) for image_id in image_ids])
        for part in (scene.K, scene.w2c, scene.depth_range)
    )
    rig = CameraRig(scene.name, list(image_ids), *parts, size=(0, 0))
    height, width = scene.image(image_ids[rig.middle]).shape[:2]
    return replace(rig, size=(height, width))


def mean_axis(axes: Float[np.ndarray, "view 3"]) -> Float[np.ndarray, "3"] | None:
    """Return the direction of the mean of unit vectors, or None where they point everywhere."""
    mean = axes.mean(axis=0)
    length = np.linalg.norm(mean)
    return mean / length if length >= SMALLEST_MEAN_AXIS else None


def up_axis(rig: CameraRig) -> Float[np.ndarray, "3"]:
    """Return the up axis of cameras around an object: normal to their level right axes, or the mean of their ups.

    Cameras without roll have their right axes in one plane, whatever their tilt, and up is its normal. The mean of the
    ups would lean where all cameras that look down stand on one side.
    """
    rights, own = rig.w2c[:, 0, :3], mean_axis(rig.ups)
    own = rig.ups[rig.middle] if own is None else own
    moments, axes = np.linalg.eigh(rights.T @ rights / len(rights))
    if moments[0] > ROLL * moments[1] or moments[1] < SMALLEST_CONVERGENCE:
        return own
    return axes[:, 0] if axes[:, 0] @ own >= 0 else -axes[:, 0]


def common_target(rig: CameraRig) -> Float[np.ndarray, "3"]:
    """Return the point nearest to all optical axes, if it lies before nine tenths: Σ (I - f fᵀ)(point - centre) = 0."""
    across = np.eye(3) - rig.forwards[:, :, None] * rig.forwards[:, None]
    if np.linalg.eigvalsh(across.mean(axis=0))[0] < SMALLEST_CONVERGENCE:
        raise DatasetError(
            f"{rig.name}: the optical axes of its {len(rig.w2c)} cameras are parallel, so nothing can be orbited. Use "
            "the path spiral or circle."
        )
    target = np.linalg.solve(across.sum(axis=0), np.einsum("vij,vj->i", across, rig.centres))
    depths = np.einsum("vi,vi->v", target - rig.centres, rig.forwards)
    if (depths > 0).mean() < IN_FRONT:
        raise DatasetError(
            f"{rig.name}: its cameras do not look at one object (the point nearest to their axes lies behind "
            f"{(depths <= 0).sum()} of {len(depths)}), so there is nothing to orbit. Use the path interpolate."
        )
    return target


def depth_range_at(rig: CameraRig, w2c: Float[np.ndarray, "3 4"]) -> tuple[float, float]:
    """Return (near, far) of a camera where no photograph was taken: the weighted ranges of the nearest cameras.

    Each range keeps its length and is shifted by how much further or nearer the point on its camera's axis at the
    harmonic mean of near and far is from here, less the more the camera looks elsewhere: an orbit around an object
    shifts nothing, a step forward shifts by that step. At a camera's own pose the range is its own, and from pose to
    pose nothing jumps.
    """
    centre, forward = -w2c[:, :3].T @ w2c[:, 3], w2c[2, :3]
    weights = neighbour_weights(np.linalg.norm(rig.centres - centre, axis=1))
    near, far = rig.depth_range.T
    middle = 2 / (1 / near + 1 / far)
    alignment = (rig.forwards @ forward).clip(0, 1)
    shift = alignment * ((rig.centres - centre) @ forward + middle * (alignment - 1))
    near = weights @ np.maximum(near + shift, SMALLEST_SHARE_OF_NEAR * near)
    return float(near), float(near + weights @ (rig.depth_range[:, 1] - rig.depth_range[:, 0]))


def neighbour_weights(distances: Float[np.ndarray, "view"]) -> Float[np.ndarray, "view"]:
    """Return weights that sum to 1, of the `NEIGHBOURS` nearest views only; all of it on views at distance 0.

    Shepard's interpolation with Franke and Little's weights: ((R - d)⁺ / (R d))², R the distance of the next nearest.
    """
    here = distances <= 1e-9 * max(distances.max(), 1e-300)
    if here.any():
        return here / here.sum()
    reach = np.sort(distances)[NEIGHBOURS] if len(distances) > NEIGHBOURS else np.inf
    closeness = 1 / distances - 1 / reach
    weights = np.where(distances < reach, closeness, 0.0) ** 2
    if weights.sum() <= 0:  # the nearest ones are as far away as the next
        weights = (distances <= reach).astype(float)
    return weights / weights.sum()
