"""Scenes with known truth, written in any format: white dots on black, drawn where each camera sees the points.

K has the centre of the first pixel at (0, 0), as everywhere here. In the renders of NeRF, LLFF's and the published text
formats it is by definition what the file says, without a half-pixel shift; in captures files count from (½, ½).
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from scipy.spatial.transform import Rotation

from maskrf_core.datasets.captures.lens_camera import LensCamera
from tests.datasets.captures.colmap_writer import write_model
from tests.datasets.readers.tree_parts import as_text, homogeneous

VIEWS, DOTS = 5, 4
SIGMA = 1.6  # pixels of a dot
APART, MARGIN = 24, 12  # pixels between dots, and to the border
TO_OPENGL = np.diag([1.0, -1, -1, 1])


@dataclass(frozen=True)
class MadeUpScene:
    """Cameras around a few points, in a world of any axes, units and origin."""

    size: tuple[int, int]
    K: np.ndarray
    w2c: np.ndarray  # [view 3 4]
    points: np.ndarray  # [point 3]
    depths: tuple[float, float]

    def pictures(self, lens: LensCamera | None = None) -> list[np.ndarray]:
        """RGB with the dots; seen through a lens, whose pixels count from (½, ½), if one is given."""
        y, x = np.mgrid[: self.size[0], : self.size[1]]
        pictures = []
        for w2c in self.w2c:
            in_camera = self.points @ w2c[:, :3].T + w2c[:, 3]
            places = lens.project(in_camera) - 0.5 if lens else project(self.K, in_camera)
            dots = sum(np.exp(-((x - u) ** 2 + (y - v) ** 2) / (2 * SIGMA**2)) for u, v in places)
            pictures.append(np.repeat(np.rint(255 * np.clip(dots, 0, 1)).astype(np.uint8)[..., None], 3, axis=-1))
        return pictures

    def c2w(self, view: int) -> np.ndarray:
        """4×4, OpenCV axes."""
        return np.linalg.inv(homogeneous(self.w2c[view]))


def project(K: np.ndarray, in_camera: np.ndarray) -> np.ndarray:
    pixels = in_camera @ K.T
    return pixels[:, :2] / pixels[:, 2:]


def make_up(
    generator: np.random.Generator,
    *,
    scale: float = 1.0,
    shift: float = 0.0,
    square: bool = False,
    middle: bool = False,
) -> MadeUpScene:
    """Draw sizes, principal point and pixel aspect (neither with `middle` and `square`), axes, cameras and points."""
    while True:
        height, width = (2 * int(side) for side in generator.integers(45, 64, 2))
        focal = generator.uniform(1.1, 1.6) * max(height, width)
        aspect = 1.0 if square else generator.uniform(0.8, 1.25)
        off = generator.uniform(-0.08, 0.08, 2) * (width, height) if middle is None else np.full(2, middle)
        K = np.array([[focal, 0, width / 2 + off[0]], [0, focal * aspect, height / 2 + off[1]], [0, 0, 1]])
        w2c = np.stack([_camera(generator) for _ in range(VIEWS)])
        candidates = generator.uniform(-1, 1, (200, 3))
        points = _dots_apart(K, w2c, candidates, (height, width))
        if points is not None:
            break
    axes, origin = Rotation.random(random_state=int(generator.integers(2**31))).as_matrix(), generator.normal(size=3)
    origin *= shift / np.linalg.norm(origin)
    moved = w2c.copy()  # the world x becomes scale · axes · x + origin
    moved[:, :, :3] = w2c[:, :, :3] @ axes.T
    moved[:, :, 3] = scale * w2c[:, :, 3] - moved[:, :, :3] @ origin
    return MadeUpScene((height, width), K, moved, scale * points @ axes.T + origin, (2 * scale, 6 * scale))


def _camera(generator: np.random.Generator) -> np.ndarray:
    """Some four units before the origin, looking near it, upright but for a few degrees."""
    turn = Rotation.from_euler("xyz", generator.uniform(-20, 20, 3), degrees=True).as_matrix()
    return np.column_stack([turn, [*generator.uniform(-0.1, 0.1, 2), generator.uniform(3.6, 4.4)]])


def _dots_apart(K: np.ndarray, w2c: np.ndarray, candidates: np.ndarray, size: tuple[int, int]) -> np.ndarray | None:
    """The first few candidates that every camera sees well inside its picture, and well apart."""
    places = np.stack([project(K, candidates @ each[:, :3].T + each[:, 3]) for each in w2c])  # [view point 2]
    inside = ((places > MARGIN) & (places < np.array(size[::-1]) - 1 - MARGIN)).all(axis=(0, 2))
    chosen: list[int] = []
    for index in np.flatnonzero(inside):
        if all(np.linalg.norm(places[:, index] - places[:, other], axis=-1).min() > APART for other in chosen):
            chosen.append(int(index))
    return candidates[chosen[:DOTS]] if len(chosen) >= DOTS else None


def _save(path: Path, picture: np.ndarray, turned: int = 1) -> None:
    """Lossless, or a JPEG as good as can be; `turned` is the orientation tag, stored pixels are turned back by it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    exif[0x0112] = turned
    stored = np.ascontiguousarray(np.rot90(picture)) if turned == 6 else picture
    Image.fromarray(stored).save(
        path, exif=exif, **({"quality": 100, "subsampling": 0} if path.suffix == ".jpg" else {})
    )


def _write_transforms(root: Path, scene: MadeUpScene, content: dict, each: dict, lens: LensCamera | None) -> str:
    folder = root / "captures/made"
    frames = []
    for view, picture in enumerate(scene.pictures(lens)):
        turned = 6 if view == 1 and {"w"} & {*content, *each} and scene.size[0] != scene.size[1] else 1
        _save(folder / f"images/{view}.png", picture, turned)
        pose = (scene.c2w(view) @ TO_OPENGL).tolist()
        frames.append({"file_path": f"images/{view}.png", "transform_matrix": pose, **each})
    (folder / "transforms.json").write_text(json.dumps({**content, "frames": frames}))
    return "capture/made/raw"


def _lens(scene: MadeUpScene) -> LensCamera:
    (fx, _, cx), (_, fy, cy) = scene.K[:2]
    params = (fx, fy, cx + 0.5, cy + 0.5, 0.06, -0.02, 0.003, -0.002)
    return LensCamera("OPENCV", scene.size[1], scene.size[0], params)


def write_instant_ngp(root: Path, scene: MadeUpScene) -> str:
    """For all frames: focal lengths beside the angles that its scripts write, and a lens."""
    lens = _lens(scene)
    fx, fy, cx, cy, k1, k2, p1, p2 = lens.params
    angles = {name: 2 * np.arctan(side / 2 / f) for name, side, f in
              (("camera_angle_x", lens.width, fx), ("camera_angle_y", lens.height, fy))}  # fmt: skip
    content = {"fl_x": fx, "fl_y": fy, "cx": cx, "cy": cy, "w": lens.width, "h": lens.height, "aabb_scale": 4}
    return _write_transforms(root, scene, content | angles | {"k1": k1, "k2": k2, "p1": p1, "p2": p2}, {}, lens)


def write_nerfstudio(root: Path, scene: MadeUpScene) -> str:
    """For each frame, with the list of its data managers; what stands for all frames is wrong."""
    lens = _lens(scene)
    fx, fy, cx, cy, k1, k2, p1, p2 = lens.params
    each = {"fl_x": fx, "fl_y": fy, "cx": cx, "cy": cy, "w": lens.width, "h": lens.height}
    each["distortion_params"] = [k1, k2, 0.0, 0.0, p1, p2]
    return _write_transforms(root, scene, {"camera_model": "OPENCV", "camera_angle_x": 0.1, "k1": 9}, each, lens)


def write_angles(root: Path, scene: MadeUpScene) -> str:
    """Angles alone, in degrees."""
    height, width = scene.size
    content = {"x_fov": np.degrees(2 * np.arctan(width / 2 / scene.K[0, 0]))}
    content["y_fov"] = np.degrees(2 * np.arctan(height / 2 / scene.K[1, 1]))
    return _write_transforms(root, scene, content, {}, None)


def write_colmap(root: Path, scene: MadeUpScene, *, text: bool) -> str:
    """A model with a lens and some points, as COLMAP writes it."""
    lens, folder = _lens(scene), root / "captures/made"
    for view, picture in enumerate(scene.pictures(lens)):
        _save(folder / f"images/{view}.png", picture)
    points = np.concatenate([scene.points + offset for offset in np.eye(3) * 0.05 * scene.depths[0]])
    write_model(folder / "sparse/0", {f"{k}.png": (lens, w2c) for k, w2c in enumerate(scene.w2c)}, points, text=text)
    return "capture/made/raw"


def write_example(root: Path, scene: MadeUpScene) -> str:
    """COLMAP without a lens, the published example."""
    folder, (height, width) = root / "example/made", scene.size
    (fx, _, cx), (_, fy, cy) = scene.K[:2]
    lens = LensCamera("PINHOLE", width, height, (fx, fy, cx, cy))
    for view, picture in enumerate(scene.pictures()):
        _save(folder / f"images/{view}.png", picture)
    points = np.concatenate([scene.points + offset for offset in np.eye(3) * 0.05 * scene.depths[0]])
    write_model(folder / "sparse/0", {f"{k}.png": (lens, w2c) for k, w2c in enumerate(scene.w2c)}, points)
    return "example/made/raw"


def write_llff(root: Path, scene: MadeUpScene) -> str:
    """Columns down, right, back, centre; one focal length, the principal point in the middle."""
    folder, rows = root / "nerf_llff_data/made", []
    for view, picture in enumerate(scene.pictures()):
        _save(folder / f"images/{view}.png", picture)
        right, down, forward, centre = scene.c2w(view)[:3].T
        rows.append(
            [*np.stack([down, right, -forward, centre, [*scene.size, scene.K[0, 0]]], 1).ravel(), *scene.depths]
        )
    np.save(folder / "poses_bounds.npy", np.array(rows))
    return "nerf_llff/made/1"


def write_dtu(root: Path, scene: MadeUpScene) -> str:
    """Projections of the world, and the sphere that the object is in: scale_mat brings it back to the unit sphere."""
    folder, arrays, scale = root / "dtu_train/made", {}, np.eye(4)
    scale[:3] *= scene.depths[0]
    scale[:3, 3] = scene.points.mean(0)
    for view, picture in enumerate(scene.pictures()):
        _save(folder / f"image/{view:03}.png", picture)
        arrays |= {f"world_mat_{view}": homogeneous(scene.K @ scene.w2c[view]), f"scale_mat_{view}": scale}
    np.savez(folder / "cameras.npz", **arrays)
    return "dtu_train/made"


def write_blended_mvs(root: Path, scene: MadeUpScene) -> str:
    folder = root / "blended-mvs/made"
    for view, picture in enumerate(scene.pictures()):
        _save(folder / f"blended_images/{view:08}_masked.jpg", picture)
        camera = f"extrinsic\n{as_text(homogeneous(scene.w2c[view]))}\n\nintrinsic\n{as_text(scene.K)}\n\n"
        (folder / "cams").mkdir(exist_ok=True)
        (folder / f"cams/{view:08}_cam.txt").write_text(f"{camera}{scene.depths[0]!r} 0.1 128 {scene.depths[1]!r}\n")
    return "blended_mvs/made/half"


def write_real_estate(root: Path, scene: MadeUpScene) -> str:
    """Intrinsics over the image's size, poses row by row."""
    train, (height, width) = root / "real_estate_dataset/train", scene.size
    (fx, _, cx), (_, fy, cy) = scene.K[:2]
    lines = ["https://example.invalid"]
    for view, picture in enumerate(scene.pictures()):
        _save(train / f"frames/made/{view}000.png", picture)
        numbers = [fx / width, fy / height, cx / width, cy / height, 0.0, 0.0, *scene.w2c[view].ravel().tolist()]
        lines.append(" ".join([f"{view}000", *map(repr, map(float, numbers))]))
    (train / "cameras").mkdir()
    (train / "cameras/made.txt").write_text("\n".join(lines))
    return f"real_estate/made/{height}_{width}"


def write_nerf_synthetic(root: Path, scene: MadeUpScene) -> str:
    """Opaque renders in three splits, with the lens shift that add-ons write."""
    folder, width = root / "nerf_synthetic/made", scene.size[1]
    (fx, _, cx), (_, fy, cy) = scene.K[:2]
    pictures = [cv2.cvtColor(picture, cv2.COLOR_RGB2RGBA) for picture in scene.pictures()]
    for part, views in {"train": (0, 1, 2), "val": (3,), "test": (4,)}.items():
        frames = []
        for view in views:
            _save(folder / f"{part}/r_{view}.png", pictures[view])
            frames.append(
                {"file_path": f"./{part}/r_{view}", "transform_matrix": (scene.c2w(view) @ TO_OPENGL).tolist()}
            )
        content = {"camera_angle_x": 2 * np.arctan(width / 2 / fx), "fl_y": fy, "cx": cx, "cy": cy, "frames": frames}
        (folder / f"transforms_{part}.json").write_text(json.dumps(content))
    return f"nerf_synthetic/made/black_{width}"


@dataclass(frozen=True)
class Format:
    """How a format is written, and what it cannot say."""

    write: Callable[[Path, MadeUpScene], str]
    square: bool = False  # pixels are
    middle: float | None = None  # where the principal point is, from half the sides; None: anywhere
    shift: float = 0.0  # pixels by which the published rule for downscaling moves what is shown


FORMATS = {
    "instant-ngp": Format(write_instant_ngp),
    "nerfstudio": Format(write_nerfstudio),
    "angles": Format(write_angles, middle=-0.5),
    "COLMAP text": Format(lambda root, scene: write_colmap(root, scene, text=True)),
    "COLMAP binary": Format(lambda root, scene: write_colmap(root, scene, text=False)),
    "example": Format(write_example),
    "LLFF": Format(write_llff, square=True, middle=0.0),
    "DTU": Format(write_dtu),
    "BlendedMVS": Format(write_blended_mvs, shift=-0.25),
    "RealEstate10K": Format(write_real_estate),
    "NeRF synthetic": Format(write_nerf_synthetic),
}
