"""The cameras of a scene together: their common target, up and viewing axes, and depth ranges between them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from maskrf_core.datasets.scene import Scene
from maskrf_core.support.errors import DatasetError

SMALLEST_MEAN_AXIS = 0.1
"""Length of the mean of unit axes below which they point everywhere and their mean means nothing."""
SMALLEST_CONVERGENCE = 1e-3
"""Smallest eigenvalue of the mean of I - f fᵀ over viewing axes f, about the square of the sine of their angles to each
other (2° here), below which they are parallel: the point nearest to all of them is anywhere along them."""
IN_FRONT = 0.9  # share of the cameras that must have the object before them
ROLL = 0.2
"""The cameras' right axes lie in a plane where their smallest second moment is below this share of the next one."""
NEIGHBOURS = 4
SMALLEST_SHARE_OF_NEAR = 0.5
"""Of a neighbour's near: a camera that moves towards the scene keeps at least so much of it."""


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
    def rights(self) -> Float[np.ndarray, "view 3"]:
        """Return unit vectors to the right of each image, in the world."""
        return self.w2c[:, 0, :3]

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
        """Return the index of the view that stands nearest to the mean of all."""
        return middle_view(self.centres)


def rig_of(scene: Scene, image_ids: Sequence[str]) -> CameraRig:
    """Gather the cameras of these views; one image is read, for its size.

    Raises:
        DatasetError: there are no views, or reading them says so.
    """
    if not image_ids:
        raise DatasetError(f"{scene.name}: a camera path needs at least one reference view, and there are none.")
    K, w2c, depth_range = (
        np.stack([np.asarray(part(image_id), dtype=np.float64) for image_id in image_ids])
        for part in (scene.K, scene.w2c, scene.depth_range)
    )
    centres = -np.einsum("vji,vj->vi", w2c[:, :, :3], w2c[:, :, 3])
    height, width = scene.image(image_ids[middle_view(centres)]).shape[:2]
    return CameraRig(scene.name, list(image_ids), K, w2c, depth_range, (height, width))


def middle_view(centres: Float[np.ndarray, "view 3"]) -> int:
    """Return the index of the centre nearest to their mean; the first of equals."""
    return int(np.linalg.norm(centres - centres.mean(axis=0), axis=1).argmin())


def mean_axis(axes: Float[np.ndarray, "view 3"]) -> Float[np.ndarray, "3"] | None:
    """Return the direction of the mean of unit vectors, or None where they point everywhere."""
    mean = axes.mean(axis=0)
    length = np.linalg.norm(mean)
    return mean / length if length >= SMALLEST_MEAN_AXIS else None


def viewing_axis(rig: CameraRig) -> Float[np.ndarray, "3"]:
    """Return the mean viewing direction of the cameras.

    Raises:
        DatasetError: they look everywhere.
    """
    axis = mean_axis(rig.forwards)
    if axis is None:
        raise DatasetError(
            f"{rig.name}: its cameras look in all directions, so no spiral or circle shows what they see. Use the path "
            "orbit or interpolate."
        )
    return axis


def up_axis(rig: CameraRig) -> Float[np.ndarray, "3"]:
    """Return the up axis of cameras around an object: normal to their level right axes, or the mean of their ups.

    Cameras without roll have their right axes in one plane, whatever their tilt, and up is its normal. The mean of the
    ups would lean where all cameras that look down stand on one side.
    """
    own = mean_axis(rig.ups)
    own = rig.ups[rig.middle] if own is None else own
    moments, axes = np.linalg.eigh(rig.rights.T @ rig.rights / len(rig.rights))
    if moments[0] > ROLL * moments[1] or moments[1] < SMALLEST_CONVERGENCE:
        return own
    return axes[:, 0] if axes[:, 0] @ own >= 0 else -axes[:, 0]


def common_target(rig: CameraRig) -> Float[np.ndarray, "3"]:
    """Return the point nearest to all optical axes: Σ (I - f fᵀ)(point - centre) = 0.

    Raises:
        DatasetError: the axes are parallel, or the point lies behind more than a tenth of the cameras.
    """
    across = np.eye(3) - rig.forwards[:, :, None] * rig.forwards[:, None]
    if np.linalg.eigvalsh(across.mean(axis=0))[0] < SMALLEST_CONVERGENCE:
        raise DatasetError(
            f"{rig.name}: the optical axes of its {len(rig.w2c)} cameras are parallel, so there is nothing to orbit. "
            "Use the path spiral or circle."
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

    The nearer a camera stands the more its range weighs.
    Each range keeps its length and is shifted by how much further or nearer the point on its camera's axis at the
    harmonic mean of near and far is from here: an orbit around an object shifts nothing, a step forward shifts by that
    step. The more a camera looks elsewhere the less is shifted. At a camera's own pose the range is its own, and from
    pose to pose nothing jumps: a camera's weight falls to 0 before another takes its place.
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
