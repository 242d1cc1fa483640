"""Cameras for photographs: COLMAP's incremental structure from motion, in a child process that may die without us.

`python -m maskrf_core.datasets.captures.structure_from_motion <work folder>` is that child; `reconstruct` starts it.
"""

import os
import re
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

from maskrf_core.datasets.captures.capture_sources import LEAST_VIEWS
from maskrf_core.datasets.captures.colmap_models import is_colmap_model, read_colmap_model
from maskrf_core.datasets.files.image_files import image_size, read_image, save_upright
from maskrf_core.datasets.files.image_folders import names_below
from maskrf_core.support.errors import DatasetError, in_short
from maskrf_core.support.importing import import_pycolmap
from maskrf_core.support.paths import ROOT
from maskrf_core.support.progress import Progress

EXHAUSTIVE_UP_TO = 150  # photographs; of more, each is matched with 20 neighbours a side and at powers of two, by name
LARGEST_SIDE = 2000  # pixels at which features are sought in larger photographs
LEAST_REGISTERED = 1 / 3
REFINED_FROM = 20  # registered photographs that determine the principal point, too; with fewer it stays in the middle
ADVICE = (
    "Photograph a scene that does not move, with texture and without mirrors, from 20 or more places around it, each "
    "photograph overlapping the one before by two thirds, sharp, evenly lit and with the zoom unchanged."
)


def reconstruct(photographs: list[Path], model_folder: Path, name: str) -> None:
    """Write a COLMAP model of the photographs to `model_folder`, whole or not at all.

    In it photographs are called as `photograph_names` says, whatever they are called on disk, and stand upright, as
    their orientation tags say. Those of one folder and size share an OPENCV camera; runs differ in the last digits.
    """
    if len(photographs) < LEAST_VIEWS:
        raise DatasetError(f"{name}: {len(photographs)} photographs, at least {LEAST_VIEWS} are needed. {ADVICE}")
    model_folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".sfm.", dir=model_folder.parent, ignore_cleanup_errors=True) as temporary:
        work = Path(temporary)
        (work / "model").mkdir()
        for path, called in zip(photographs, photograph_names(photographs), strict=True):
            put_upright(path, work / "images" / called)
        command = [sys.executable, "-m", "maskrf_core.datasets.captures.structure_from_motion", str(work)]
        run_child(command, name, len(photographs))
        registered = {int(Path(view.name).stem) for view in read_colmap_model(work / "model").views}
        left_out = [shown for index, shown in enumerate(names_below(photographs)) if index not in registered]
        found = f"{name}: {len(registered)} of {len(photographs)} photographs could be registered"
        if len(registered) < max(LEAST_VIEWS, LEAST_REGISTERED * len(photographs)):
            raise DatasetError(f"{found}, which is too few; not {in_short(left_out)}. {ADVICE}")
        if left_out:
            warnings.warn(f"{found}; left out: {in_short(left_out)}.", stacklevel=2)
        try:
            (work / "model").rename(model_folder)
        except OSError:
            if not is_colmap_model(model_folder):  # else another process was faster
                raise


def photograph_names(photographs: list[Path]) -> list[str]:
    """Name photographs in the model: a folder for those of one folder and size, which share a camera; a number."""
    folders = list(dict.fromkeys(path.parent for path in photographs))
    names = []
    for index, path in enumerate(photographs):
        (height, width), rig = image_size(path, upright=True), folders.index(path.parent)
        names.append(f"{width}x{height}{f'_{rig}' if rig else ''}/{index:05d}{path.suffix.lower()}")
    return names


def put_upright(path: Path, target: Path) -> None:
    """Make a link to the photograph, or a turned copy that keeps what EXIF says of the lens."""
    read_image(path)  # strictly: COLMAP passes over what it cannot read
    target.parent.mkdir(parents=True, exist_ok=True)
    save_upright(path, target)


def run_child(command: list[str], name: str, photographs: int) -> None:
    """Run COLMAP in a process of its own, its log turned into a bar; `DatasetError` with the log's end if it fails."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    progress = Progress(2 * photographs, 0, f"cameras of {name}")
    last: list[str] = []
    child = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace", env=environment
    )
    try:
        for line in child.stderr or ():
            last = [*last[-4:], line.strip()]
            if said := re.search(r"STAGE (.+)", line):
                progress.line(f"{name}: {said[1]}")
            elif "Processed file" in line or "Registering image #" in line:
                progress.advance()
        child.wait()
    finally:
        child.kill()  # of a child that has ended this does nothing
        child.wait()
        progress.close()
    if child.returncode != 0:
        log = " | ".join(line[:200] for line in last)
        raise DatasetError(f"{name}: COLMAP found no cameras (it ended with {child.returncode}: {log}). {ADVICE}")


def _reconstruct_here(work: Path) -> None:
    """Find features, matches and cameras of work/images, in the child; the largest model goes to work/model."""
    pycolmap = import_pycolmap()

    def say(stage: str) -> None:
        print(f"STAGE {stage}", file=sys.stderr, flush=True)

    pycolmap.set_random_seed(0)
    device = pycolmap.Device.cuda if pycolmap.has_cuda else pycolmap.Device.cpu
    database, images = work / "database.db", work / "images"
    count = sum(1 for path in images.rglob("*") if path.is_file())
    say(f"features of {count} photographs")
    pycolmap.extract_features(
        database,
        images,
        camera_mode=pycolmap.CameraMode.PER_FOLDER,
        reader_options={"camera_model": "OPENCV"},
        extraction_options={"max_image_size": LARGEST_SIDE, "num_threads": min(8, os.cpu_count() or 1)},  # 1 GB each
        device=device,
    )
    if count <= EXHAUSTIVE_UP_TO:
        say(f"matches of {count * (count - 1) // 2} pairs")
        pycolmap.match_exhaustive(database, device=device)
    else:
        say(f"matches of {count} photographs, each with its neighbours by name")
        pycolmap.match_sequential(database, pairing_options={"overlap": 20}, device=device)
    say("cameras and points")
    (work / "models").mkdir()
    models = pycolmap.incremental_mapping(
        database, images, work / "models", options={"min_model_size": LEAST_VIEWS, "random_seed": 0}
    )
    if not models:
        raise SystemExit("no two photographs could be brought together")
    largest = max(models.values(), key=lambda model: model.num_reg_images())
    if largest.num_reg_images() >= REFINED_FROM:
        say("principal point")
        pycolmap.bundle_adjustment(largest, {"refine_principal_point": True})
    largest.write(work / "model")


if __name__ == "__main__":
    _reconstruct_here(Path(sys.argv[1]))
