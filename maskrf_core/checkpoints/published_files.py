"""Files of weights: those that come with the package, and published checkpoints below the data root.

`model/generalization/<kind>.pth` is for all scenes, `model/finetune/<set>/<scene>.pth` for one.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from maskrf_core.support.errors import CheckpointError, in_short

WEIGHTS = Path(__file__).resolve().parents[1] / "weights"
SHIPPED = {"maskrf": WEIGHTS / "finetuned.safetensors", "maskrf-pretrained": WEIGHTS / "pretrained.safetensors"}
"""Names by which weights that come with the package can be asked for wherever a checkpoint is."""
MODEL_FOLDER = "model"  # below the data root, as the published README has it
PUBLISHED_ENDING = ".pth"


def file_of(given: str | Path) -> Path:
    """Return the file of weights that is meant: a name of those that come with the package, or a path."""
    return SHIPPED.get(str(given), Path(given))


def is_shipped(given: str | Path) -> bool:
    """Tell whether these weights, a name or a file, are of those that come with the package."""
    return file_of(given).resolve() in SHIPPED.values()


def settings_of_card(given: str | Path) -> dict[str, Any]:
    """Read from the card beside weights that ship the settings of their training, by section.

    Raises:
        CheckpointError: the card is missing or broken.
    """
    card = file_of(given).with_suffix(".json")
    try:
        return {**json.loads(card.read_text(encoding="utf-8"))["settings"]}
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{card}: cannot be read ({error}). Install the package again.") from error


def published_candidates(given: str, data_root: Path) -> list[Path]:
    """List where below the data root a checkpoint may be that is meant by `given`: a path in whole or in part, with or
    without its ending. `data/model/generalization/depth.pth` is found wherever the data root is."""
    path = Path(given)
    parts = path.parts[1:] if path.parts[:1] in {("data",), (data_root.name,)} else path.parts
    bases = [data_root, data_root / MODEL_FOLDER, data_root / MODEL_FOLDER / "generalization"]
    named = [base.joinpath(*parts) for base in bases]
    return [each for file in named for each in (file, file.with_name(f"{file.name}.pth"))]


def holds_checkpoints(folder: Path) -> bool:
    """Return whether a folder is one of per-scene checkpoints."""
    return folder.is_dir() and any(True for pattern in ("*.pth", "*/*.pth") for _ in folder.glob(pattern))


def checkpoint_of_scene(folder: Path, scenes: Sequence[str]) -> Path:
    """Find the file of a scene in a folder of per-scene checkpoints, `<set>/<scene>.pth` or `<scene>.pth`.

    Raises:
        CheckpointError: not one scene is asked for, or it has no file there; those that are there are listed.
    """
    if len(scenes) != 1:
        raise CheckpointError(
            f"{folder}: holds one checkpoint a scene, and {len(scenes)} scenes are asked for. Name one scene."
        )
    data_set, name = (*scenes[0].split("/"), "")[:2]
    from maskrf_core.datasets.records import record_of  # late: parameters are checked without numpy

    for set_name in (data_set, *record_of(data_set).checkpoint_folders, "."):
        if (file := folder / set_name / f"{name}.pth").is_file():
            return file
    there = in_short(sorted(str(file.relative_to(folder)) for file in folder.rglob("*.pth"))) or "none"
    raise CheckpointError(
        f"{folder}: holds no checkpoint of {scenes[0]} (sought as {data_set}/{name}.pth); there are: {there}."
    )


def published_files(data_root: Path) -> list[Path]:
    """List the checkpoints that are there, generalisation before per scene."""
    folders = [data_root / MODEL_FOLDER / part for part in ("generalization", "finetune")]
    return [file for folder in folders for file in sorted(folder.rglob("*.pth"))]
