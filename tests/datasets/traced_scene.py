"""A scene whose depth is known exactly: textured spheres with highlights, traced on a dome of cameras."""

import numpy as np

SPHERES = ((0.0, 0.0, 0.0, 0.55), (0.75, 0.1, -0.2, 0.35), (-0.3, -0.65, -0.25, 0.3), (-0.15, 0.35, 0.55, 0.28))
"""(x, y, z, radius) each."""
LIGHT = np.array([0.4, 0.3, 0.87])
NEAR, FAR = 2.0, 4.6


class TracedScene:
    """Implements `maskrf_core.datasets.scene.Scene`; black background; `truth(id)` is the z-depth, 0 = background."""

    def __init__(self, size: int | tuple[int, int] = 64, views: int = 12, offers_depth: bool = False):
        """`size` is the side of a square image, or (height, width); the focal length goes by the height."""
        self.name = "traced/spheres"
        self.image_ids = [f"view-{index}" for index in range(views)]
        self._height, self._width = (size, size) if isinstance(size, int) else size
        self._offers_depth = offers_depth
        self._w2c = dict(zip(self.image_ids, (dome_camera(index, views) for index in range(views)), strict=True))
        self._traced = {image_id: self._trace(image_id) for image_id in self.image_ids}

    def image(self, image_id: str) -> np.ndarray:
        return self._traced[image_id][0]

    def K(self, image_id: str) -> np.ndarray:
        focal = 1.4 * self._height
        return np.array([[focal, 0, self._width / 2], [0, focal, self._height / 2], [0, 0, 1]])

    def w2c(self, image_id: str) -> np.ndarray:
        return self._w2c[image_id]

    def depth_range(self, image_id: str) -> tuple[float, float]:
        return NEAR, FAR

    def mask(self, image_id: str) -> np.ndarray:
        return self.truth(image_id) > 0

    def depth(self, image_id: str) -> np.ndarray | None:
        return self.truth(image_id) if self._offers_depth else None

    def has_depth(self, image_id: str) -> bool:
        return self._offers_depth

    def stamp(self) -> str | None:
        return None

    def truth(self, image_id: str) -> np.ndarray:
        return self._traced[image_id][1]

    def split(self, kind: str) -> tuple[list[str], list[str]]:
        return self.image_ids, self.image_ids

    def _trace(self, image_id: str) -> tuple[np.ndarray, np.ndarray]:
        w2c = self._w2c[image_id]
        centre = -w2c[:, :3].T @ w2c[:, 3]
        y, x = np.mgrid[: self._height, : self._width].astype(float)
        rays = np.stack([x, y, np.ones_like(x)], -1) @ np.linalg.inv(self.K(image_id)).T @ w2c[:, :3]
        depth = np.full(x.shape, np.inf)  # rays have z = 1 in the camera, so that their parameter is the depth
        normals = np.zeros_like(rays)
        for *middle, radius in SPHERES:
            offset = centre - middle
            a, b, c = (rays**2).sum(-1), rays @ offset, offset @ offset - radius**2
            root = b * b - a * c
            hit = np.where(root > 0, (-b - np.sqrt(np.maximum(root, 0))) / a, np.inf)
            closer = hit < depth
            depth = np.where(closer, hit, depth)
            normals[closer] = (centre + hit[closer, None] * rays[closer] - middle) / radius
        seen = np.isfinite(depth)
        points = centre + np.where(seen, depth, 0)[..., None] * rays
        colour = shade(points, normals, -rays / np.linalg.norm(rays, axis=-1, keepdims=True))
        image = (np.where(seen[..., None], colour, 0) * 255).astype(np.uint8)
        return image, np.where(seen, depth, 0).astype(np.float32)


def shade(points: np.ndarray, normals: np.ndarray, to_camera: np.ndarray) -> np.ndarray:
    """A marbled colour, Lambertian light and a broad highlight that moves with the camera."""
    waves = np.random.default_rng(0).normal(0, 9, (3, 8, 3))
    albedo = 0.5 + 0.07 * np.stack([np.sin(points @ wave.T + np.arange(8)).sum(-1) for wave in waves], -1)
    halfway = to_camera + LIGHT
    halfway /= np.linalg.norm(halfway, axis=-1, keepdims=True)
    highlight = np.maximum((normals * halfway).sum(-1), 0) ** 20
    diffuse = 0.5 + 0.5 * np.maximum(normals @ LIGHT, 0)
    return np.clip(albedo * diffuse[..., None] + 0.35 * highlight[..., None], 0, 1)


def dome_camera(index: int, count: int) -> np.ndarray:
    """w2c of the index-th camera of a spiral on the upper half sphere, at distance 3.3, looking at the origin."""
    height = 0.15 + 0.75 * index / max(count - 1, 1)
    angle = index * np.pi * (3 - np.sqrt(5))
    back = np.array([*np.sqrt(1 - height**2) * np.array([np.cos(angle), np.sin(angle)]), height])
    right = np.cross([0, 0, 1], back)
    right /= np.linalg.norm(right)
    rotation = np.stack([right, -np.cross(back, right), -back])
    return np.concatenate([rotation, rotation @ (-3.3 * back[:, None])], axis=1)
