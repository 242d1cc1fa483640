"""One record a data set: all that is said of it; and questions about places and sources that the records answer."""

from collections.abc import Iterable, Set
from dataclasses import replace

from maskrf_core.datasets.data_set import ColmapDepth, DataSet, EveryNth, FrameWindow, NearestViews, split_renders

READERS = "maskrf_core.datasets.readers"
IBRNET = "https://github.com/googleinterns/IBRNet"
NEURAY = "https://github.com/liuyuan-pal/NeuRay"
MAY_BE_GONE = "the NeuRay authors' share (may be gone)"
NERF = "[NeRF's release](https://www.matthewtancik.com/nerf)"
NEURAY_TEST = f"[{MAY_BE_GONE}]({NEURAY}#download-datasets-and-pretrained-models)"
FORWARD_CACHE = "colmap_forward_cache/<name of the scene>/dense_out/stereo/depth_maps"
FORWARD_DEPTH = "{root}/colmap_forward_cache/%s/dense_out/stereo/depth_maps/{image_id}.%s.geometric.bin"
IN_SCENE = "{folder}/colmap_depth/{image_id}.%s.geometric.bin"
FORWARD_FACING = ("jittered_ranges", "crop_and_flip")
TRAINS_ON_REFERENCES = EveryNth(trains_on_all=False)

_PROCEDURAL = DataSet(
    name="procedural",
    title="Procedural scenes: objects, cutouts, tables, rooms",
    folders=("procedural",),
    pattern="procedural/<scene>",
    example="procedural/rooms_0000",
    needed="cameras.json, images.webp, depths.png",
    used_for="training",
    source="`python -m maskrf_core.datasets.procedural`, by [mitsuba](https://github.com/mitsuba-renderer/mitsuba3)",
    reader=f"{READERS}.procedural:read_procedural_scene",
    names=f"{READERS}.procedural:training_names",
    view_pool=NearestViews(times=(1, 2, 3), at_most=20),
    augmentation=("jittered_ranges", "estimated_depth"),
    exact_depth=True,
)

_RECORDS = (
    DataSet(
        name="demo",
        title="Demo scenes",
        folders=(),
        pattern="demo/<train|validation|test>_<number>",
        example="demo/train_00",
        needed="nothing: they come with the package",
        used_for="trying everything out",
        source="[rendered with mitsuba](https://github.com/mitsuba-renderer/mitsuba3)",
        scenes=24,
        reader="maskrf_core.datasets.demo:read_demo_scene",
        names="maskrf_core.datasets.demo:all_demo_scene_names",
        split=EveryNth(slice(2, None, 5)),
        exact_depth=True,
    ),
    DataSet(
        name="photographs",
        title="Photographs of a tankard",
        folders=(),
        pattern="photographs/<scene>",
        example="photographs/tankard",
        needed="nothing: they come with the package",
        used_for="trying everything out",
        source="[*Mary Rose tankard*, NeRD data](https://github.com/vork/maryRose), CC BY 4.0; 8 of 69, made smaller",
        scenes=1,
        reader="maskrf_core.datasets.demo:read_photographs",
        names="maskrf_core.datasets.demo:photographed_scene_names",
        same_places_as="nerf_llff",
    ),
    _PROCEDURAL,
    replace(
        _PROCEDURAL,
        name="procedural_half",
        title="Procedural scenes, every second pixel",
        pattern="procedural_half/<scene>",
        example="procedural_half/rooms_0000",
        names=f"{READERS}.procedural:half_names",
        same_places_as="procedural",
    ),
    replace(
        _PROCEDURAL,
        name="procedural_photographs",
        title="Procedural scenes as if photographed, depth unknown",
        pattern="procedural_photographs/<scene>",
        example="procedural_photographs/rooms_0000",
        reader=f"{READERS}.procedural:read_photographs",
        names=f"{READERS}.procedural:photograph_names",
        same_places_as="procedural",
        augmentation=("jittered_ranges",),
        exact_depth=False,
    ),
    DataSet(
        name="gso",
        title="Google Scanned Objects",
        folders=("google_scanned_objects",),
        pattern="gso/<object>/<black|white>_<raw|size>",
        example="gso/Toy_Car/white_400",
        needed="rgb, mask, depth, pose, intrinsics",
        used_for="training",
        weight=80.0,
        source=f"[IBRNet's renderings]({IBRNET}#e-google-scanned-objects), 7.5 GB",
        scenes=1032,
        also_called=("google_scanned_objects_renderings",),
        reader=f"{READERS}.text_layouts:read_object",
        names=f"{READERS}.text_layouts:object_names",
        view_pool=NearestViews(times=(3,), at_most=24),
        augmentation=("noisy_depth",),
        exact_depth=True,
        archive_pattern=r"<scene>/intrinsics/[^/]+\.txt",
    ),
    DataSet(
        name="dtu_train",
        title="DTU, training scans",
        folders=("dtu_train",),
        pattern="dtu_train/<scan>",
        example="dtu_train/scan1",
        needed="cameras.npz, image",
        optional="COLMAP depth in colmap_dtu_cache/dtu_train/<scan>/dense/stereo/depth_maps",
        used_for="training",
        weight=20.0,
        source=f"[{MAY_BE_GONE}]({NEURAY}#download-training-sets); "
        "[DTU](https://roboimagedata.compute.dtu.dk/?page_id=36). "
        "DTU's own files are laid out otherwise: they need cameras.npz as in IDR.",
        reader=f"{READERS}.dtu:read_training_scan",
        view_pool=NearestViews(times=(1, 2), at_most=12),
        augmentation=("jittered_ranges",),
        colmap_depth=ColmapDepth(
            ("{root}/colmap_dtu_cache/dtu_train/{scene}/dense/stereo/depth_maps/{image_id}.jpg.geometric.bin",),
            ends_at_far=True,
        ),
        held_out=tuple(f"scan{scan}" for scan in (24, 40, 37, 114, 122, 110, 65, 55, 106, 83, 97, 118, 105, 63, 69)),
        lists_held_out=False,
        archive_pattern=r"<scene>/cameras\.npz",
        archive_rank=1,
    ),
    DataSet(
        name="real_iconic",
        title="LLFF, released scenes",
        folders=("real_iconic_noface",),
        pattern="real_iconic/<scene>/<factor>",
        example="real_iconic/garden/4",
        needed="poses_bounds.npy, images_<factor>",
        optional=f"COLMAP depth in {FORWARD_CACHE}",
        used_for="training",
        weight=10.0,
        source=f"[IBRNet's page]({IBRNET}#b-llff-released-scenes), 6.6 GB. "
        "Seven of its scenes show what LLFF's test scenes show; they are never trained on here.",
        held_out=(
            "data2_fernvlsb",
            "data2_hugetrike",
            "data2_trexsanta",
            "data3_orchid",
            "data5_leafscene",
            "data5_lotr",
            "data5_redflower",
        ),
        reader=f"{READERS}.llff:read_iconic_scene",
        listed_size="4",
        view_pool=NearestViews(times=(1, 2, 3), at_most=20),
        augmentation=FORWARD_FACING,
        rays="centre",
        colmap_depth=ColmapDepth(
            tuple(FORWARD_DEPTH % ("real_iconic/{scene}/{size}", suffix) for suffix in ("jpg", "png")), ends_at_far=True
        ),
    ),
    DataSet(
        name="space",
        title="Spaces",
        folders=("spaces_dataset",),
        pattern="space/<scene>",
        example="space/scene_000",
        needed="data/800/<scene>/models.json and its images",
        optional=f"COLMAP depth in {FORWARD_CACHE}",
        used_for="training",
        weight=20.0,
        source=f"[IBRNet's page]({IBRNET}#c-spaces-dataset); "
        "[its repository](https://github.com/augmentedperception/spaces_dataset)",
        scenes=100,
        also_called=("spaces_dataset-master", "spaces_dataset-main"),
        reader=f"{READERS}.json_layouts:read_rig_scene",
        scenes_in="data/800",
        view_pool=NearestViews(),
        augmentation=FORWARD_FACING,
        rays="centre",
        colmap_depth=ColmapDepth((FORWARD_DEPTH % ("space/{scene}", "jpg"),), ends_at_far=True),
        archive_pattern=r"<scene>/models\.json",
    ),
    DataSet(
        name="real_estate",
        title="RealEstate10K, 200 scenes",
        folders=("real_estate_dataset",),
        pattern="real_estate/<scene>/<height>_<width>",
        example="real_estate/000db54a47bd43fe/450_800",
        needed="train/cameras/<scene>.txt, train/frames/<scene>",
        optional=f"COLMAP depth in {FORWARD_CACHE}, the name without its size",
        used_for="training",
        weight=40.0,
        source=f"[IBRNet's page: cameras, and a script for the frames]({IBRNET}#d-realestate10k), 29 GB. "
        "Its frames are fetched from YouTube, where some are no longer to be had.",
        scenes=200,
        also_called=("RealEstate10K-subset", "RealEstate10K"),
        reader=f"{READERS}.text_layouts:read_video",
        scenes_in="train/frames",
        listed_size="450_800",
        view_pool=FrameWindow(frames=32, shift=1, ends=4),
        augmentation=FORWARD_FACING,
        rays="centre",
        colmap_depth=ColmapDepth((FORWARD_DEPTH % ("real_estate/{scene}", "jpg"),), ends_at_far=True, any_shape=True),
        archive_pattern=r"train/(?:cameras|frames)/[^/]+\.txt",
    ),
    DataSet(
        name="dtu_test",
        title="DTU, test scenes",
        folders=("dtu_test", "dtu"),
        pattern="dtu_test/<scene>/black_<width>",
        example="dtu_test/birds/black_400",
        needed="cameras.npz, image, mask",
        optional="depth_range.npy; COLMAP depth in colmap_depth",
        used_for="evaluation",
        source=f"{NEURAY_TEST}; [IDR's release of DTU](https://github.com/lioryariv/idr)",
        scenes=4,
        also_called=("DTU",),
        reader=f"{READERS}.dtu:read_test_scan",
        names=f"{READERS}.dtu:scan_names",
        split=EveryNth(slice(3, -3, 8), trains_on_all=False),
        colmap_depth=ColmapDepth((IN_SCENE % "jpg",), within_mask=True),
        aliases={"birds": "scan106", "bricks": "scan40", "snowman": "scan69", "tools": "scan37"},
        same_places_as="dtu_train",
        archive_pattern=r"<scene>/mask/[^/]+\.(?:png|jpg)",
        checkpoint_folders=("dtu",),
    ),
    DataSet(
        name="llff_colmap",
        title="LLFF, test scenes, with COLMAP's cameras",
        folders=("llff_colmap",),
        pattern="llff_colmap/<scene>/<high|low>",
        example="llff_colmap/fern/high",
        needed="images, sparse, depth_range.npy",
        optional="COLMAP depth in colmap_depth",
        used_for="evaluation",
        source=NEURAY_TEST,
        scenes=8,
        reader=f"{READERS}.colmap_layouts:read_llff_scene",
        listed_size="high",
        split=TRAINS_ON_REFERENCES,
        colmap_depth=ColmapDepth((IN_SCENE % "jpg",)),
        same_places_as="nerf_llff",
        checkpoint_folders=("nerf_llff", "llff"),
    ),
    DataSet(
        name="nerf_synthetic",
        title="NeRF synthetic",
        folders=("nerf_synthetic",),
        pattern="nerf_synthetic/<scene>/<black|white>_<width>",
        example="nerf_synthetic/lego/black_400",
        needed="transforms_{train,val,test}.json and the RGBA images that they list",
        optional="COLMAP depth in colmap_depth",
        used_for="evaluation",
        source=f"{NERF}; {NEURAY_TEST}",
        scenes=8,
        reader=f"{READERS}.json_layouts:read_renders",
        names=f"{READERS}.json_layouts:render_names",
        split=split_renders,
        colmap_depth=ColmapDepth((IN_SCENE % "png",), within_mask=True),
        archive_pattern=r"<scene>/transforms_train\.json",
        checkpoint_folders=("nerf",),
    ),
    DataSet(
        name="nerf_llff",
        title="LLFF, test scenes, as NeRF has them",
        folders=("nerf_llff_data", "nerf_llff"),
        pattern="nerf_llff/<scene>/<factor>",
        example="nerf_llff/fern/8",
        needed="poses_bounds.npy, images_<factor>",
        used_for="evaluation",
        source=NERF,
        scenes=8,
        reader=f"{READERS}.llff:read_nerf_scene",
        listed_size="8",
        split=TRAINS_ON_REFERENCES,
        archive_pattern=r"<scene>/images_\d+/[^/]+",
        archive_rank=2,
        checkpoint_folders=("llff_colmap", "llff"),
    ),
    DataSet(
        name="blended_mvs",
        title="BlendedMVS",
        folders=("blended-mvs",),
        pattern="blended_mvs/<uid or published name>/half",
        example="blended_mvs/building/half",
        needed="blended_images/*_masked.jpg, cams",
        optional="COLMAP depth in colmap_depth",
        used_for="training (not in the paper's mixture)",
        source="[its repository](https://github.com/YoYo000/BlendedMVS), 27.5 GB (low resolution)",
        scenes=113,
        also_called=("BlendedMVS", "blended_mvs", "blendedmvs"),
        reader=f"{READERS}.text_layouts:read_blended_scene",
        listed_size="half",
        colmap_depth=ColmapDepth((IN_SCENE % "jpg",)),
        aliases={
            "iron_dog": "5c1af2e2bee9a723c963d019",
            "building": "5bf18642c50e6f7f8bdbd492",
            "santa": "5be47bf9b18881428d8fbc1d",
            "dragon": "5bd43b4ba6b28b1ee86b92dd",
            "mermaid": "5ba19a8a360c7c30c1c169df",
            "laid_man": "59e75a2ca9e91f2c5526005d",
        },
        archive_pattern=r"<scene>/cams/\d+_cam\.txt",
    ),
    DataSet(
        name="example",
        title="Scenes with a COLMAP model",
        folders=("example",),
        pattern="example/<scene>/<raw|size>",
        example="example/desk/raw",
        needed="images, sparse/0",
        optional="COLMAP depth in dense/stereo/depth_maps",
        source=f"[NeuRay's instructions]({NEURAY}/blob/main/custom_rendering.md)",
        reader=f"{READERS}.colmap_layouts:read_example",
        listed_size="raw",
        colmap_depth=ColmapDepth(("{folder}/dense/stereo/depth_maps/{file}.geometric.bin",)),
        archive_pattern=r"<scene>/sparse/0/cameras\.(?:bin|txt)",
        archive_rank=1,
    ),
    DataSet(
        name="capture",
        title="Your photographs",
        folders=("captures",),
        pattern="capture/<name>/<raw|size>",
        example="capture/fox/raw",
        needed="photographs (PNG or JPEG), in images (also in folders there) or directly; or one video",
        optional="transforms.json, or a COLMAP model in sparse/0 or sparse, or these in colmap",
        source="[your camera](https://colmap.github.io/tutorial.html)",
        reader=f"{READERS}.capture:read_capture",
        names=f"{READERS}.capture:capture_names",
        split=TRAINS_ON_REFERENCES,
        view_choice="nearest_looking",
    ),
)
DATA_SETS: dict[str, DataSet] = {record.name: record for record in _RECORDS}
"""By the first word of a scene's name.

Sources and numbers are those of the READMEs of IBRNet, NeuRay, Spaces and BlendedMVS, of NeRF's paper, and of the four
DTU scenes that the published system is evaluated on; where none states how many scenes there are, none is given.
View pools and augmentation are NeuRay's; held-out captures of LLFF's release are those that IBRNet's page removes.
"""
UNKNOWN = DataSet("", "", "", (), "")


def record_of(scene: str) -> DataSet:
    """Return the record of a scene's data set, by the scene's name; an empty one for scenes of no known data set."""
    return DATA_SETS.get(scene.split("/")[0], UNKNOWN)


def published_weights() -> dict[str, float]:
    """Return how often each data set of the published mixture is drawn, relative to the others."""
    return {name: record.weight for name, record in DATA_SETS.items() if record.weight is not None}


def place_of(name: str) -> str:
    """Return the place that a scene's name stands for, whatever size, background or data set it is taken from.

    `nerf_synthetic/lego/black_400` gives its first two words, `llff_colmap/fern/high` gives `nerf_llff/fern`, and
    `dtu_test/birds/black_800` gives `dtu_train/scan106`.
    """
    data_set, *rest = name.split("/")[:2]
    record = record_of(name)
    return "/".join([record.same_places_as or data_set, *(record.aliases.get(scene, scene) for scene in rest)])


def held_out_places() -> frozenset[str]:
    """Return the places that are never trained on, whatever is tested: published models are tested on them."""
    return frozenset(f"{name}/{scene}" for name, record in DATA_SETS.items() for scene in record.held_out)


def is_among(place: str, places: Set[str]) -> bool:
    """Return whether a place is one of these, or of a data set that stands among them as a whole."""
    return place in places or (place.split("/")[0] in places and place not in held_out_places())


def markdown_table(names: Iterable[str] | None = None) -> str:
    """Return all data sets, or those named, as a Markdown table: where they lie, what is needed, where to get them."""
    rows = [
        "| data set | name to type | below the data root | needed | used if there | for | from |",
        "|---|---|---|---|---|---|---|",
    ]
    for record in map(DATA_SETS.get, DATA_SETS if names is None else names):
        folders = " or ".join(f"`{folder}`" for folder in record.folders) or "(in the package)"
        # What stands in angle brackets would be taken for a tag.
        needed, optional = (part.replace("<", "&lt;") for part in (record.needed, record.optional))
        used_for = record.used_for + (f" (weight {record.weight:g})" if record.weight else "")
        cells = [record.title, f"`{record.pattern}`", folders, needed, optional, used_for, record.source]
        rows.append("| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |")
    return "\n".join(rows)
