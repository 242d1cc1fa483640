"""Photographs of made scenes, by mitsuba (extra `demo`): colours, exact depth and masks."""

import functools
import warnings
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8

from maskrf_core.datasets.procedural.contents import Contents, Item
from maskrf_core.support.errors import MaskrfError

DEPTH_MARGIN = 0.03
OLDEST_LLVM = 16
BLOCK = 16  # tile size in pixels: each tile has its own random numbers, and mitsuba else chooses it by core count
METERED_VIEWS, METERED_SAMPLES, METERED_LEVEL = 4, 9, 0.1
SKY = {"type": "path", "max_depth": 4, "hide_emitters": True}
LAMPS = {"type": "direct", "emitter_samples": 1, "bsdf_samples": 0}
AMBIENT = 0.1
"""What all surfaces of a closed scene get from each other, times their colour: traced, it would take many times as long
to be free of noise."""


class StagedScene(NamedTuple):
    """A scene ready to be photographed: mitsuba's scene, the cameras exactly as they are stored, and the exposure."""

    mitsuba_scene: Any
    contents: Contents
    exposure: float

    @property
    def K(self) -> Float[np.ndarray, "view 3 3"]:
        """Return the intrinsics as stored."""
        return self.contents.K

    @property
    def w2c(self) -> Float[np.ndarray, "view 3 4"]:
        """Return the poses as stored."""
        return self.contents.w2c


class Photograph(NamedTuple):
    """One view: sRGB with edges blended, z-depth through the pixels' centres (0 where nothing is), and its range."""

    image: UInt8[np.ndarray, "height width 3"]
    depth: Float32[np.ndarray, "height width"]
    depth_range: tuple[float, float]

    @property
    def mask(self) -> Bool[np.ndarray, "height width"]:
        """Tell where a ray through the pixel's centre meets a surface."""
        return self.depth > 0


def stage(contents: Contents) -> StagedScene:
    """Build mitsuba's scene; cameras are rounded to what is stored, and a closed scene is exposed by what it shows."""
    mi = load_mitsuba()
    contents = contents._replace(K=np.round(contents.K, 6), w2c=np.round(contents.w2c, 9))
    closed = contents.environment is None
    described: dict[str, Any] = {"type": "scene"}
    described |= {f"item_{k}": _mitsuba_mesh(mi, item) for k, item in enumerate(contents.items)}
    if not closed:
        sky = mi.Bitmap(contents.environment.astype(np.float32))
        upright = mi.ScalarTransform4f().rotate([1, 0, 0], 90)
        described["light"] = {"type": "envmap", "bitmap": sky, "to_world": upright}
    staged = StagedScene(mi.load_dict(described), contents, 1.0)
    return staged._replace(exposure=_metered(staged)) if closed else staged


def photograph(staged: StagedScene, view: int, samples: int) -> Photograph:
    """Take one view at so many paths a pixel, the square of a prime."""
    depth = _exact_depth(staged, view)
    if staged.contents.environment is None:
        colours = _rendered(staged, view, {"type": "aov", "aovs": "colours:albedo"}, samples)
        linear = staged.exposure * _rendered(staged, view, LAMPS, samples) + AMBIENT * colours
    else:
        seen = _rendered(staged, view, SKY, samples, pixel_format="rgba")
        behind = np.zeros(3) if staged.contents.background is None else staged.contents.background
        linear = seen[..., :3] + (1 - seen[..., 3:]) * behind
    linear = np.clip(linear, 0, 1)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    if staged.contents.environment is None:
        surfaces = depth[depth > 0]
    else:  # hidden ones too, as all around the scene is nothing
        vertices = np.concatenate([item.mesh.vertices for item in staged.contents.items])
        surfaces = vertices @ staged.w2c[view, 2, :3] + staged.w2c[view, 2, 3]
    near, far = surfaces.min() * (1 - DEPTH_MARGIN), surfaces.max() * (1 + DEPTH_MARGIN)
    return Photograph(np.round(255 * encoded).astype(np.uint8), depth, (round(float(near), 4), round(float(far), 4)))


@functools.cache
def load_mitsuba() -> Any:
    """Import mitsuba and set its fastest variant that runs here, on one thread; `MaskrfError` if it is not installed.

    Without LLVM (16 or later) pictures take many times as long; they differ by their noise alone. Earlier ones end the
    process on code that they cannot compile.
    """
    try:
        import mitsuba
    except ImportError as error:
        raise MaskrfError(
            "Making scenes needs mitsuba, which is not installed (reading them does not). "
            "Install the extra: python -m pip install 'maskrf-core[demo]'."
        ) from error
    try:
        mitsuba.set_variant("llvm_ad_rgb")
        import drjit

        drjit.set_thread_count(1)  # scenes are made side by side, one a core
        mitsuba.Float(1.0) + mitsuba.Float(mitsuba.UInt32(1))
        if (version := drjit.detail.llvm_version())[0] < OLDEST_LLVM:
            raise ImportError(f"version {OLDEST_LLVM} or later is needed, and {version[0]} is there")
    except (ImportError, RuntimeError) as error:
        warnings.warn(f"LLVM is not used, so that making scenes takes longer: {error}", stacklevel=2)
        mitsuba.set_variant("scalar_rgb")
    mitsuba.set_log_level(mitsuba.LogLevel.Error)  # it warns of lamps brighter than paper
    return mitsuba


def make_sensor(
    K: Float[np.ndarray, "3 3"], w2c: Float[np.ndarray, "3 4"], image_size: int, pixel_format: str = "rgb"
) -> Any:
    """Make the mitsuba sensor of one of our cameras, whose principal point must be the image's centre.

    Mitsuba's camera looks along z with x to the left and y up, and its first pixel's centre is (0.5, 0.5).
    """
    mi = load_mitsuba()
    c2w = np.eye(4)
    c2w[:3, :3], c2w[:3, 3] = w2c[:, :3].T, -w2c[:, :3].T @ w2c[:, 3]
    film = {"width": image_size, "height": image_size, "pixel_format": pixel_format, "rfilter": {"type": "box"}}
    return mi.load_dict(
        {
            "type": "perspective",
            "fov": float(np.degrees(2 * np.arctan(image_size / 2 / K[0, 0]))),
            "to_world": mi.ScalarTransform4f(c2w @ np.diag([-1.0, -1.0, 1.0, 1.0])),
            "near_clip": 0.01,
            "film": {"type": "hdrfilm", **film},
            "sampler": {"type": "orthogonal"},  # least noise of all for the time, measured on demo/test_02
        }
    )


def _rendered(
    staged: StagedScene, view: int, integrator: dict[str, Any], samples: int, pixel_format: str = "rgb"
) -> Float[np.ndarray, "height width channel"]:
    mi = load_mitsuba()
    sensor = make_sensor(staged.K[view], staged.w2c[view], staged.contents.image_size, pixel_format)
    integrator = mi.load_dict({**integrator, "block_size": BLOCK})
    rendered = mi.render(staged.mitsuba_scene, sensor=sensor, integrator=integrator, spp=samples, seed=view)
    return np.asarray(rendered, dtype=np.float64)


def _metered(staged: StagedScene) -> float:
    """Return the exposure that makes the median radiance of a few rough views a middle grey, METERED_LEVEL."""
    views = np.linspace(0, len(staged.K) - 1, METERED_VIEWS).astype(int).tolist()
    grey = np.concatenate([_rendered(staged, view, LAMPS, METERED_SAMPLES).mean(-1).ravel() for view in views])
    return METERED_LEVEL / max(float(np.median(grey)), 1e-6)


def _exact_depth(staged: StagedScene, view: int) -> Float32[np.ndarray, "height width"]:
    """Cast one ray through each pixel's centre; mitsuba computes in float32."""
    mi, (scene, contents, _), w2c = load_mitsuba(), staged, staged.w2c[view]
    x, y = np.meshgrid(*2 * [np.arange(contents.image_size)])
    in_camera = np.stack([x, y, np.ones_like(x)], -1) @ np.linalg.inv(staged.K[view]).T
    cosine = 1 / np.linalg.norm(in_camera, axis=-1)
    directions = (in_camera * cosine[..., None] @ w2c[:, :3]).reshape(-1, 3)
    origin = (-w2c[:, :3].T @ w2c[:, 3]).tolist()
    if mi.variant().startswith("llvm"):
        rays = mi.Ray3f(mi.Point3f(*origin), mi.Vector3f(np.ascontiguousarray(directions.T, np.float32)))
        hits = np.array(scene.ray_intersect(rays).t)
    else:
        rays = (mi.Ray3f(mi.Point3f(origin), mi.Vector3f(direction)) for direction in directions)
        hits = np.array([scene.ray_intersect(ray).t for ray in rays])
    depth = hits.reshape(x.shape) * cosine
    return np.where(np.isfinite(depth), depth, 0).astype(np.float32)


def _mitsuba_mesh(mi: Any, item: Item) -> Any:
    def bitmap(colours: np.ndarray) -> dict[str, Any]:
        to_uv = mi.ScalarTransform4f().scale([*item.repeats, 1])
        return {"type": "bitmap", "bitmap": mi.Bitmap(colours.astype(np.float32)), "to_uv": to_uv}

    texture = bitmap(item.texture)
    kinds = {
        "diffuse": {"type": "diffuse", "reflectance": texture},
        "plastic": {"type": "roughplastic", "diffuse_reflectance": texture, "alpha": item.roughness},
        "metal": {"type": "principled", "base_color": texture, "metallic": 0.75, "roughness": item.roughness},
    }
    properties = mi.Properties()
    properties["mesh_bsdf"] = mi.load_dict({"type": "twosided", "bsdf": kinds[item.material]})
    if item.emission:
        radiance = (item.emission * item.texture.mean((0, 1))).tolist()  # a pattern would take ten times as long
        properties["mesh_emitter"] = mi.load_dict({"type": "area", "radiance": {"type": "rgb", "value": radiance}})
    sizes, parts = (len(item.mesh.vertices), len(item.mesh.triangles)), ("has_vertex_normals", "has_vertex_texcoords")
    mesh = mi.Mesh("item", *sizes, props=properties, **dict.fromkeys(parts, True))
    parameters = mi.traverse(mesh)
    parameters["vertex_positions"] = item.mesh.vertices.astype(np.float32).ravel()
    parameters["vertex_normals"] = item.mesh.normals.astype(np.float32).ravel()
    parameters["vertex_texcoords"] = item.mesh.uv.astype(np.float32).ravel()
    parameters["faces"] = item.mesh.triangles.astype(np.uint32).ravel()
    parameters.update()
    return mesh
