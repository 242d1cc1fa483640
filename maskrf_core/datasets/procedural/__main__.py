"""Make scenes: `python -m maskrf_core.datasets.procedural [objects tables rooms rooms_0012 …] --count 40`.

Everything follows from a scene's name, so a second run with the same version of mitsuba gives the same scenes. Those
that are there and whole are passed over. `demo` makes the scenes that come with the package, into `demo_scenes` there.
"""

import argparse
import os
import re
import sys
from functools import partial
from pathlib import Path

from maskrf_core.datasets.files.sheets import LOSSLESS
from maskrf_core.datasets.procedural.demo_recipes import RECIPES, compose_demo_scene
from maskrf_core.datasets.procedural.kinds import KINDS, compose
from maskrf_core.datasets.procedural.making import make_scene, make_scenes, write_contact_sheet
from maskrf_core.support.errors import DatasetError, MaskrfError

SAMPLES = {"demo": 121, "procedural": 49}  # paths a pixel, squares of primes as mitsuba's orthogonal sampler wants them
QUALITY = {"demo": LOSSLESS, "procedural": 92}


def scene_folder_names(asked: list[str], first: int, count: int) -> list[str]:
    """Return what is to be made: `count` scenes of each kind, by turns, so that the first ones are of every kind.

    Raises:
        DatasetError: a word is neither a kind nor a scene's name, or its number is out of range.
    """
    kinds, singles = [word for word in asked if word in KINDS], [word for word in asked if word not in KINDS]
    names = [f"{kind}_{number:04d}" for number in range(first, first + count) for kind in kinds] + singles
    for name in names:
        match = re.fullmatch(rf"({'|'.join(KINDS)})_\d{{4}}", name)
        if match is None:
            raise DatasetError(
                f"{name}: is neither a kind ({', '.join(KINDS)}) nor the name of a scene, such as rooms_0012; numbers "
                "go from 0000 to 9999."
            )
    return names


def main(arguments: list[str] | None = None) -> int:
    """Make the scenes that the command line names."""
    parser = argparse.ArgumentParser(description="Make scenes with mitsuba (extra `demo`).")
    parser.add_argument("scenes", nargs="*", default=list(KINDS), help="kinds or single scenes; default: all kinds")
    parser.add_argument("--count", type=int, default=40, help="scenes of each kind (40)")
    parser.add_argument("--first", type=int, default=0, help="number of each kind's first scene (0)")
    parser.add_argument("--data-root", type=Path, default=Path("data"), help="they go to its folder `procedural`")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="scenes made at once; default: cores")
    parser.add_argument("--contact-sheets", type=Path, help="folder for one picture a kind of the scenes asked for")
    asked = parser.parse_args(arguments)
    try:
        if asked.scenes == ["demo"]:
            names, output, set_name, recipe = list(RECIPES), asked.data_root / "demo_scenes", "demo", compose_demo_scene
        else:
            names = scene_folder_names(asked.scenes, asked.first, asked.count)
            output, set_name, recipe = asked.data_root / "procedural", "procedural", compose
        make = partial(make_scene, compose=recipe, samples=SAMPLES[set_name], quality=QUALITY[set_name])
        made = make_scenes(names, output, make, asked.workers)
        for kind in KINDS if asked.contact_sheets else ():
            if of_kind := [output / name for name in names if name.startswith(kind)]:
                write_contact_sheet(asked.contact_sheets / f"procedural_{kind}.webp", of_kind)
    except MaskrfError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{len(made)} scenes made in {output}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
