"""Make the demo scenes again: `python -m maskrf_core.datasets.procedural.render_demo [--scene test_00 …]`.

Needs the extra `demo` (mitsuba). Everything follows from the scenes' names, so a second run with the same version of
mitsuba gives the same files. A scene takes about 40 s of one core.
"""

import argparse
import json
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8
from tqdm import tqdm

from maskrf_core.datasets.demo import DATA_FOLDER, TILES_PER_ROW, encode_depth
from maskrf_core.datasets.procedural.composition import RECIPES, Item, compose, scene_generator
from maskrf_core.support.atomic_files import write_atomically
from maskrf_core.support.errors import MaskrfError

IMAGE_SIZE = 96
VIEW_COUNT = 20
SAMPLES_PER_PIXEL = 121  # the square of a prime, as mitsuba's orthogonal sampler wants it
DEPTH_MARGIN = 0.03
BLOCK = 16  # tile size in pixels: each tile has its own random numbers, and mitsuba else chooses it by core count
AZIMUTH_STEP = np.radians(55)
"""Spreads 20 views almost as evenly as the golden angle (neighbours 23° to 27° apart, more without ground), and unlike
it puts every fifth view on another side of the scene, so that the query views surround it."""


class StagedScene(NamedTuple):
    """A scene ready to be photographed: mitsuba's scene, and the cameras exactly as they are stored."""

    mitsuba_scene: Any
    K: Float[np.ndarray, "view 3 3"]
    w2c: Float[np.ndarray, "view 3 4"]
    depth_ranges: Float[np.ndarray, "view 2"]


def dome_cameras(
    vertices: Float[np.ndarray, "vertex 3"], count: int, image_size: int, *, rng: np.random.Generator
) -> tuple[Float[np.ndarray, "view 3 3"], Float[np.ndarray, "view 3 4"]]:
    """Place `count` cameras on a spiral around `vertices` (z up): K and w2c, the first pixel's centre at (0, 0).

    All look near the scene's middle, which just fills each frame. A scene that reaches below z = -0.2 has no ground and
    is also seen from below.
    """
    target = 0.5 * (vertices.min(0) + vertices.max(0))
    reach = np.linalg.norm(vertices - target, axis=1).max()
    lowest, highest = (-30, 60) if vertices[:, 2].min() < -0.2 else (12, 68)
    heights = np.linspace(np.sin(np.radians(lowest)), np.sin(np.radians(highest)), count)
    start = rng.uniform(0, 2 * np.pi)
    K, w2c = np.zeros((count, 3, 3)), np.zeros((count, 3, 4))
    for view, height in enumerate(heights):
        azimuth = start + view * AZIMUTH_STEP + rng.uniform(-0.12, 0.12)
        elevation = np.arcsin(height) + np.radians(rng.uniform(-4, 4))
        distance = rng.uniform(2.6, 3.4) * reach
        across = np.cos(elevation)
        outward = np.array([across * np.cos(azimuth), across * np.sin(azimuth), np.sin(elevation)])
        aim = target + rng.uniform(-0.05, 0.05, 3)
        position, roll = aim + distance * outward, np.radians(rng.uniform(-6, 6))
        forward = (aim - position) / np.linalg.norm(aim - position)
        right = np.cross(forward, [0.0, 0.0, 1.0])
        right /= np.linalg.norm(right)
        down = np.cross(forward, right)
        right, down = np.cos(roll) * right + np.sin(roll) * down, np.cos(roll) * down - np.sin(roll) * right
        rotation = np.stack([right, down, forward])
        w2c[view] = np.column_stack([rotation, -rotation @ position])
        x, y, z = w2c[view, :, :3] @ vertices.T + w2c[view, :, 3:]
        filled = max(np.abs(x / z).max(), np.abs(y / z).max())
        focal, centre = rng.uniform(0.92, 1.04) * image_size / 2 / filled, (image_size - 1) / 2
        K[view] = [[focal, 0, centre], [0, focal, centre], [0, 0, 1]]
    return K, w2c


def stage_scene(scene: str) -> StagedScene:
    """Compose a scene (`test_00`) and place its cameras, all drawn from its name; world coordinates unchanged."""
    mi, rng = load_mitsuba(), scene_generator(scene)
    items, environment = compose(scene, rng=rng)
    vertices = np.concatenate([item.mesh.vertices for item in items])
    K, w2c = dome_cameras(vertices, VIEW_COUNT, IMAGE_SIZE, rng=rng)
    K, w2c = np.round(K, 6), np.round(w2c, 9)
    depth = np.einsum("vi,ni->vn", w2c[:, 2, :3], vertices) + w2c[:, 2, 3:]
    ranges = np.stack([depth.min(1) * (1 - DEPTH_MARGIN), depth.max(1) * (1 + DEPTH_MARGIN)], -1)
    sky = mi.Bitmap(environment.astype(np.float32))
    light = {"type": "envmap", "bitmap": sky, "to_world": mi.ScalarTransform4f().rotate([1, 0, 0], 90)}
    integrator = {"type": "path", "max_depth": 4, "hide_emitters": True, "block_size": BLOCK}
    meshes = {f"item_{k}": _mitsuba_mesh(mi, item) for k, item in enumerate(items)}
    mitsuba_scene = mi.load_dict({"type": "scene", "integrator": integrator, "light": light, **meshes})
    return StagedScene(mitsuba_scene, K, w2c, np.round(ranges, 4))


def photograph(
    staged: StagedScene, view: int, samples: int = SAMPLES_PER_PIXEL
) -> tuple[UInt8[np.ndarray, "height width 3"], Float32[np.ndarray, "height width"], Bool[np.ndarray, "height width"]]:
    """Take image (sRGB on black, edges blended), exact z-depth (0 on the background) and mask of one view."""
    mi, (scene, K, w2c) = load_mitsuba(), (staged.mitsuba_scene, staged.K[view], staged.w2c[view])
    rendered = mi.render(scene, sensor=make_sensor(K, w2c, IMAGE_SIZE), spp=samples, seed=view)
    linear = np.clip(np.asarray(rendered, dtype=np.float64), 0, 1)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    x, y = np.meshgrid(np.arange(IMAGE_SIZE), np.arange(IMAGE_SIZE))
    in_camera = np.stack([x, y, np.ones_like(x)], -1) @ np.linalg.inv(K).T  # rays through the pixels' centres
    cosine = 1 / np.linalg.norm(in_camera, axis=-1)
    directions = (in_camera * cosine[..., None] @ w2c[:, :3]).reshape(-1, 3)
    origin = mi.Point3f(-w2c[:, :3].T @ w2c[:, 3])
    hits = [scene.ray_intersect(mi.Ray3f(origin, mi.Vector3f(direction))).t for direction in directions]
    depth = np.reshape(hits, (IMAGE_SIZE, IMAGE_SIZE)) * cosine
    mask = np.isfinite(depth)
    return np.round(255 * encoded).astype(np.uint8), np.where(mask, depth, 0).astype(np.float32), mask


def load_mitsuba() -> Any:
    """Import mitsuba and set its variant; `MaskrfError` if it is not installed."""
    try:
        import mitsuba
    except ImportError as error:
        raise MaskrfError(
            "Rendering the demo scenes needs mitsuba, which is not installed (reading them does not). "
            "Install the extra: python -m pip install 'maskrf-core[demo]'."
        ) from error
    mitsuba.set_variant("scalar_rgb")
    return mitsuba


def _mitsuba_mesh(mi: Any, item: Item) -> Any:
    texture = {
        "type": "bitmap",
        "bitmap": mi.Bitmap(item.texture.astype(np.float32)),
        "to_uv": mi.ScalarTransform4f().scale([*item.repeats, 1]),
    }
    kinds = {
        "diffuse": {"type": "diffuse", "reflectance": texture},
        "plastic": {"type": "roughplastic", "diffuse_reflectance": texture, "alpha": item.roughness},
        "metal": {"type": "principled", "base_color": texture, "metallic": 0.75, "roughness": item.roughness},
    }
    properties = mi.Properties()
    properties["mesh_bsdf"] = mi.load_dict({"type": "twosided", "bsdf": kinds[item.material]})
    sizes, parts = (len(item.mesh.vertices), len(item.mesh.triangles)), ("has_vertex_normals", "has_vertex_texcoords")
    mesh = mi.Mesh("item", *sizes, props=properties, **dict.fromkeys(parts, True))
    parameters = mi.traverse(mesh)
    parameters["vertex_positions"] = item.mesh.vertices.astype(np.float32).ravel()
    parameters["vertex_normals"] = item.mesh.normals.astype(np.float32).ravel()
    parameters["vertex_texcoords"] = item.mesh.uv.astype(np.float32).ravel()
    parameters["faces"] = item.mesh.triangles.astype(np.uint32).ravel()
    parameters.update()
    return mesh


def make_sensor(K: Float[np.ndarray, "3 3"], w2c: Float[np.ndarray, "3 4"], image_size: int) -> Any:
    """Make the mitsuba sensor of one of our cameras, whose principal point must be the image's centre.

    Mitsuba's camera looks along z with x to the left and y up, and its first pixel's centre is (0.5, 0.5).
    """
    mi = load_mitsuba()
    c2w = np.eye(4)
    c2w[:3, :3], c2w[:3, 3] = w2c[:, :3].T, -w2c[:, :3].T @ w2c[:, 3]
    film = {"width": image_size, "height": image_size, "pixel_format": "rgb", "rfilter": {"type": "box"}}
    return mi.load_dict(
        {
            "type": "perspective",
            "fov": float(np.degrees(2 * np.arctan(image_size / 2 / K[0, 0]))),
            "to_world": mi.ScalarTransform4f(c2w @ np.diag([-1.0, -1.0, 1.0, 1.0])),
            "near_clip": 0.01,
            "film": {"type": "hdrfilm", **film},
            "sampler": {"type": "orthogonal"},  # least noise of all for the time, measured on test_02,
        }
    )


def _tiled(pictures: list[np.ndarray]) -> np.ndarray:
    return np.vstack([np.hstack(pictures[i : i + TILES_PER_ROW]) for i in range(0, len(pictures), TILES_PER_ROW)])


def write_scene(scene: str, output: Path, samples: int = SAMPLES_PER_PIXEL) -> None:
    """Render all views of a scene into the folder `output/<scene>`."""
    staged = stage_scene(scene)
    images, depths, cameras = [], [], {}
    for view in tqdm(range(VIEW_COUNT), desc=scene):
        image, depth, _ = photograph(staged, view, samples)
        near, far = staged.depth_ranges[view].tolist()
        images.append(image[..., ::-1])
        depths.append(encode_depth(depth, (near, far)))
        matrices = {"K": staged.K[view].tolist(), "w2c": staged.w2c[view].tolist()}
        cameras[f"view_{view:02d}"] = {**matrices, "depth_range": [near, far]}
    lines = ",\n".join(f"{json.dumps(image_id)}: {json.dumps(camera)}" for image_id, camera in cameras.items())
    lossless = [cv2.IMWRITE_WEBP_QUALITY, 101]
    smallest = [cv2.IMWRITE_PNG_COMPRESSION, 9, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_FILTERED]
    contents = {
        "cameras.json": f"{{\n{lines}\n}}\n".encode(),
        "images.webp": cv2.imencode(".webp", _tiled(images), lossless)[1].tobytes(),
        "depths.png": cv2.imencode(".png", _tiled(depths), smallest)[1].tobytes(),
    }
    for name, content in contents.items():
        write_atomically(output / scene / name, lambda file, content=content: file.write(content))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Render the demo scenes with mitsuba.")
    parser.add_argument("--scene", nargs="+", default=list(RECIPES), choices=list(RECIPES), help="default: all")
    parser.add_argument("--output", type=Path, default=DATA_FOLDER, help="folder for them; default: the package's")
    parser.add_argument("--samples", type=int, default=SAMPLES_PER_PIXEL, help="paths per pixel")
    arguments = parser.parse_args()
    for name in arguments.scene:
        write_scene(name, arguments.output, arguments.samples)
