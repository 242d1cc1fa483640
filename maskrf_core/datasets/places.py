"""What is in the pictures of a scene, under whatever name: the same place must not be trained and tested on."""

from collections.abc import Set

DTU_TEST_SCANS = {"birds": "scan106", "bricks": "scan40", "snowman": "scan69", "tools": "scan37"}
"""Scenes of dtu_test that are called by what they show."""
HELD_OUT_SCANS = tuple(f"scan{number}" for number in (24, 40, 37, 114, 122, 110, 65, 55, 106, 83, 97, 118, 105, 63, 69))
"""Scans of DTU that are tested on, as in the published evaluation."""
LLFF_TEST_CAPTURES = (
    "data2_fernvlsb",
    "data2_hugetrike",
    "data2_trexsanta",
    "data3_orchid",
    "data5_leafscene",
    "data5_lotr",
    "data5_redflower",
)
"""Scenes of LLFF's release (real_iconic) that show what its test scenes show; IBRNet's page says to remove them."""
HELD_OUT = frozenset(
    [f"dtu_train/{scan}" for scan in HELD_OUT_SCANS] + [f"real_iconic/{capture}" for capture in LLFF_TEST_CAPTURES]
)
"""Places that are never trained on, whatever is tested here."""


def is_among(place: str, places: Set[str]) -> bool:
    """Whether a place is one of these, or of a data set that stands among them as a whole."""
    return place in places or (place.split("/")[0] in places and place not in HELD_OUT)


def place_of(name: str) -> str:
    """The place that a scene's name stands for, whatever size, background or data set it is taken from.

    `nerf_synthetic/lego/black_400` → its first two words; `llff_colmap/fern/high` is `nerf_llff/fern`, and
    `dtu_test/birds/black_800` is `dtu_train/scan106`.
    """
    data_set, *rest = name.split("/")[:2]
    scene = "/".join(rest)
    if data_set == "llff_colmap":
        data_set = "nerf_llff"
    if data_set == "dtu_test":
        data_set, scene = "dtu_train", DTU_TEST_SCANS.get(scene, scene)
    return f"{data_set}/{scene}" if scene else data_set
