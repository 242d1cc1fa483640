"""Path tracing a composition with mitsuba (`scalar_rgb`: no LLVM, no GPU), and exact depth by casting rays."""

from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8

from maskrf_core.datasets.procedural.composition import Composition, Item
from maskrf_core.support.errors import MaskrfError

BLOCK = 16
"""Tile size in pixels. Fixed because each tile has its own random numbers and mitsuba else chooses by core count."""


def load_mitsuba() -> Any:
    """Import mitsuba, and set its variant.

    Raises:
        MaskrfError: mitsuba is not installed.
    """
    try:
        import mitsuba
    except ImportError as error:
        raise MaskrfError(
            "Rendering the demo scenes needs mitsuba, which is not installed (reading them does not). "
            "Install the extra: python -m pip install 'maskrf-core[demo]'."
        ) from error
    mitsuba.set_variant("scalar_rgb")
    return mitsuba


def build_scene(composition: Composition) -> Any:
    """Build the mitsuba scene of a composition, world coordinates unchanged."""
    mi = load_mitsuba()
    upright = mi.ScalarTransform4f().rotate([1, 0, 0], 90)
    sky = mi.Bitmap(composition.environment.astype(np.float32))
    light = {"type": "envmap", "bitmap": sky, "to_world": upright}
    integrator = {"type": "path", "max_depth": 4, "hide_emitters": True, "block_size": BLOCK}
    items = {f"item_{k}": _mitsuba_mesh(mi, item) for k, item in enumerate(composition.items)}
    return mi.load_dict({"type": "scene", "integrator": integrator, "light": light, **items})


def _mitsuba_mesh(mi: Any, item: Item) -> Any:
    properties = mi.Properties()
    properties["mesh_bsdf"] = mi.load_dict(_material(mi, item))
    sizes, parts = (len(item.mesh.vertices), len(item.mesh.triangles)), ("has_vertex_normals", "has_vertex_texcoords")
    mesh = mi.Mesh("item", *sizes, props=properties, **dict.fromkeys(parts, True))
    parameters = mi.traverse(mesh)
    parameters["vertex_positions"] = item.mesh.vertices.astype(np.float32).ravel()
    parameters["vertex_normals"] = item.mesh.normals.astype(np.float32).ravel()
    parameters["vertex_texcoords"] = item.mesh.uv.astype(np.float32).ravel()
    parameters["faces"] = item.mesh.triangles.astype(np.uint32).ravel()
    parameters.update()
    return mesh


def _material(mi: Any, item: Item) -> dict:
    texture = {
        "type": "bitmap",
        "bitmap": mi.Bitmap(item.texture.astype(np.float32)),
        "to_uv": mi.ScalarTransform4f().scale([item.repeats[0], item.repeats[1], 1]),
    }
    kinds = {
        "diffuse": {"type": "diffuse", "reflectance": texture},
        "plastic": {"type": "roughplastic", "diffuse_reflectance": texture, "alpha": item.roughness},
        "metal": {"type": "principled", "base_color": texture, "metallic": 0.75, "roughness": item.roughness},
    }
    return {"type": "twosided", "bsdf": kinds[item.material]}


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


def render_image(scene: Any, sensor: Any, samples: int, seed: int) -> UInt8[np.ndarray, "height width 3"]:
    """Render an sRGB picture on black; edges are blended with the background as in a photograph."""
    mi = load_mitsuba()
    linear = np.clip(np.asarray(mi.render(scene, sensor=sensor, spp=samples, seed=seed), dtype=np.float64), 0, 1)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.round(255 * encoded).astype(np.uint8)


def cast_depth(
    scene: Any, K: Float[np.ndarray, "3 3"], w2c: Float[np.ndarray, "3 4"], image_size: int
) -> tuple[Float32[np.ndarray, "height width"], Bool[np.ndarray, "height width"]]:
    """Cast rays for the z-depth at every pixel's centre, 0 where nothing is hit, and the mask of what is hit."""
    mi = load_mitsuba()
    x, y = np.meshgrid(np.arange(image_size), np.arange(image_size))
    in_camera = np.stack([x, y, np.ones_like(x)], -1) @ np.linalg.inv(K).T
    cosine = 1 / np.linalg.norm(in_camera, axis=-1)
    directions = (in_camera * cosine[..., None] @ w2c[:, :3]).reshape(-1, 3)
    origin = mi.Point3f(-w2c[:, :3].T @ w2c[:, 3])
    hits = [scene.ray_intersect(mi.Ray3f(origin, mi.Vector3f(direction))).t for direction in directions]
    depth = np.reshape(hits, (image_size, image_size)) * cosine
    mask = np.isfinite(depth)
    return np.where(mask, depth, 0).astype(np.float32), mask
