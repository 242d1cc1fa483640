"""What each data set is: where it lies, how its scenes are called, what it is for and where it comes from."""

from collections.abc import Iterable
from dataclasses import dataclass

from maskrf_core.datasets.places import LLFF_TEST_CAPTURES

IBRNET = "https://github.com/googleinterns/IBRNet"
NEURAY = "https://github.com/liuyuan-pal/NeuRay"
MAY_BE_GONE = "the NeuRay authors' share (may be gone)"
FORWARD_CACHE = "colmap_forward_cache/<name of the scene>/dense_out/stereo/depth_maps"
DTU_CACHE = "colmap_dtu_cache/dtu_train/<scan>/dense/stereo/depth_maps"


@dataclass(frozen=True)
class Source:
    """Where a data set can be had, in words and as a link."""

    text: str
    link: str


@dataclass(frozen=True)
class DataSet:
    """One data set that there is a reader for."""

    title: str
    folders: tuple[str, ...]
    """Below the data root, the first one preferred; none for what comes with the package."""
    pattern: str
    """How its scenes are called for `open_scene`."""
    example: str
    needed: str
    """Files without which a scene cannot be opened, relative to its folder."""
    used_for: str
    sources: tuple[Source, ...]
    optional: str = ""
    size: str = ""
    """Of the download, as its page states it."""
    scenes: int | None = None
    """How many scenes were published, where their publication says so."""
    also_called: tuple[str, ...] = ()
    """Names that its folder has in other people's archives."""
    caution: str = ""
    test_scenes: tuple[str, ...] = ()
    """Scene folders that show what a test set shows, and must never be trained on."""

    def where(self) -> str:
        """The sources as Markdown."""
        return "; ".join(f"[{source.text}]({source.link})" for source in self.sources)


NERF = Source("NeRF's release", "https://www.matthewtancik.com/nerf")
NEURAY_TEST = Source(MAY_BE_GONE, f"{NEURAY}#download-datasets-and-pretrained-models")
NEURAY_TRAINING = Source(MAY_BE_GONE, f"{NEURAY}#download-training-sets")

DATA_SETS: dict[str, DataSet] = {
    "demo": DataSet(
        title="Demo scenes",
        folders=(),
        pattern="demo/<train|validation|test>_<number>",
        example="demo/train_00",
        needed="nothing: they come with the package",
        used_for="trying everything out",
        sources=(Source("rendered with mitsuba", "https://github.com/mitsuba-renderer/mitsuba3"),),
        scenes=24,
    ),
    "gso": DataSet(
        title="Google Scanned Objects",
        folders=("google_scanned_objects",),
        pattern="gso/<object>/<black|white>_<raw|size>",
        example="gso/Toy_Car/white_400",
        needed="rgb, mask, depth, pose, intrinsics",
        used_for="training (weight 80)",
        sources=(Source("IBRNet's renderings", f"{IBRNET}#e-google-scanned-objects"),),
        size="7.5 GB",
        scenes=1032,
        also_called=("google_scanned_objects_renderings",),
    ),
    "dtu_train": DataSet(
        title="DTU, training scans",
        folders=("dtu_train",),
        pattern="dtu_train/<scan>",
        example="dtu_train/scan1",
        needed="cameras.npz, image",
        optional=f"COLMAP depth in {DTU_CACHE}",
        used_for="training (weight 20)",
        sources=(NEURAY_TRAINING, Source("DTU", "https://roboimagedata.compute.dtu.dk/?page_id=36")),
        caution="DTU's own files are laid out otherwise: they need cameras.npz as in IDR.",
    ),
    "real_iconic": DataSet(
        title="LLFF, released scenes",
        folders=("real_iconic_noface",),
        pattern="real_iconic/<scene>/<factor>",
        example="real_iconic/garden/4",
        needed="poses_bounds.npy, images_<factor>",
        optional=f"COLMAP depth in {FORWARD_CACHE}",
        used_for="training (weight 10)",
        sources=(Source("IBRNet's page", f"{IBRNET}#b-llff-released-scenes"),),
        size="6.6 GB",
        caution="Seven of its scenes show what LLFF's test scenes show; they are never trained on here.",
        test_scenes=LLFF_TEST_CAPTURES,
    ),
    "space": DataSet(
        title="Spaces",
        folders=("spaces_dataset",),
        pattern="space/<scene>",
        example="space/scene_000",
        needed="data/800/<scene>/models.json and its images",
        optional=f"COLMAP depth in {FORWARD_CACHE}",
        used_for="training (weight 20)",
        sources=(
            Source("IBRNet's page", f"{IBRNET}#c-spaces-dataset"),
            Source("its repository", "https://github.com/augmentedperception/spaces_dataset"),
        ),
        scenes=100,
        also_called=("spaces_dataset-master", "spaces_dataset-main"),
    ),
    "real_estate": DataSet(
        title="RealEstate10K, 200 scenes",
        folders=("real_estate_dataset",),
        pattern="real_estate/<scene>/<height>_<width>",
        example="real_estate/000db54a47bd43fe/450_800",
        needed="train/cameras/<scene>.txt, train/frames/<scene>",
        optional=f"COLMAP depth in {FORWARD_CACHE}, the name without its size",
        used_for="training (weight 40)",
        sources=(Source("IBRNet's page: cameras, and a script for the frames", f"{IBRNET}#d-realestate10k"),),
        size="29 GB",
        scenes=200,
        also_called=("RealEstate10K-subset", "RealEstate10K"),
        caution="Its frames are fetched from YouTube, where some are no longer to be had.",
    ),
    "dtu_test": DataSet(
        title="DTU, test scenes",
        folders=("dtu_test", "dtu"),
        pattern="dtu_test/<scene>/black_<width>",
        example="dtu_test/birds/black_400",
        needed="cameras.npz, image, mask",
        optional="depth_range.npy; COLMAP depth in colmap_depth",
        used_for="evaluation",
        sources=(NEURAY_TEST, Source("IDR's release of DTU", "https://github.com/lioryariv/idr")),
        scenes=4,
        also_called=("DTU",),
    ),
    "llff_colmap": DataSet(
        title="LLFF, test scenes, with COLMAP's cameras",
        folders=("llff_colmap",),
        pattern="llff_colmap/<scene>/<high|low>",
        example="llff_colmap/fern/high",
        needed="images, sparse, depth_range.npy",
        optional="COLMAP depth in colmap_depth",
        used_for="evaluation",
        sources=(NEURAY_TEST,),
        scenes=8,
    ),
    "nerf_synthetic": DataSet(
        title="NeRF synthetic",
        folders=("nerf_synthetic",),
        pattern="nerf_synthetic/<scene>/<black|white>_<width>",
        example="nerf_synthetic/lego/black_400",
        needed="transforms_{train,val,test}.json and the RGBA images that they list",
        optional="COLMAP depth in colmap_depth",
        used_for="evaluation",
        sources=(NERF, NEURAY_TEST),
        scenes=8,
    ),
    "nerf_llff": DataSet(
        title="LLFF, test scenes, as NeRF has them",
        folders=("nerf_llff_data", "nerf_llff"),
        pattern="nerf_llff/<scene>/<factor>",
        example="nerf_llff/fern/8",
        needed="poses_bounds.npy, images_<factor>",
        used_for="evaluation",
        sources=(NERF,),
        scenes=8,
    ),
    "blended_mvs": DataSet(
        title="BlendedMVS",
        folders=("blended-mvs",),
        pattern="blended_mvs/<uid or published name>/half",
        example="blended_mvs/building/half",
        needed="blended_images/*_masked.jpg, cams",
        optional="COLMAP depth in colmap_depth",
        used_for="training (not in the paper's mixture)",
        sources=(Source("its repository", "https://github.com/YoYo000/BlendedMVS"),),
        size="27.5 GB (low resolution)",
        scenes=113,
        also_called=("BlendedMVS", "blended_mvs", "blendedmvs"),
    ),
    "example": DataSet(
        title="Scenes with a COLMAP model",
        folders=("example",),
        pattern="example/<scene>/<raw|size>",
        example="example/desk/raw",
        needed="images, sparse/0",
        optional="COLMAP depth in dense/stereo/depth_maps",
        used_for="your own",
        sources=(Source("NeuRay's instructions", f"{NEURAY}/blob/main/custom_rendering.md"),),
    ),
    "capture": DataSet(
        title="Your photographs",
        folders=("captures",),
        pattern="capture/<name>/<raw|size>",
        example="capture/fox/raw",
        needed="photographs (PNG or JPEG), in images or directly",
        optional="transforms.json, or a COLMAP model in sparse/0 or sparse",
        used_for="your own",
        sources=(Source("your camera", "https://colmap.github.io/tutorial.html"),),
    ),
}
"""By the first word of a scene's name, as in `maskrf_core.datasets.scene.LAYOUTS`.

Sources and numbers are those of the READMEs of IBRNet, NeuRay, Spaces and BlendedMVS, of NeRF's paper, and of the four
DTU scenes that the published system is evaluated on; where none states how many scenes there are, none is given.
"""


def markdown_table(names: Iterable[str] | None = None) -> str:
    """The data sets as a Markdown table, all or those named: what they are, where they lie, where to get them."""
    rows = [
        "| data set | name to type | below the data root | needed | used if there | for | from |",
        "|---|---|---|---|---|---|---|",
    ]
    return "\n".join([*rows, *(markdown_row(name) for name in (DATA_SETS if names is None else names))])


def markdown_row(name: str) -> str:
    """One data set as a row of `markdown_table`."""
    data_set = DATA_SETS[name]
    folders = " or ".join(f"`{folder}`" for folder in data_set.folders) or "(in the package)"
    # What stands in angle brackets would be taken for a tag.
    needed, optional = (part.replace("<", "&lt;") for part in (data_set.needed, data_set.optional))
    where = data_set.where() + (f", {data_set.size}" if data_set.size else "")
    where += f". {data_set.caution}" if data_set.caution else ""
    cells = [
        data_set.title,
        f"`{data_set.pattern}`",
        folders,
        needed,
        optional,
        data_set.used_for,
        where,
    ]
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"
