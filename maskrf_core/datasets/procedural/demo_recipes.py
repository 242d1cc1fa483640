"""The demo scenes: which arrangement, shapes and textures each is made of; everything follows from the scene's name."""

from itertools import cycle

import numpy as np

from maskrf_core.datasets.procedural.arrangements import basin, corner, court, floating, table, temple, towers
from maskrf_core.datasets.procedural.contents import Contents, paint
from maskrf_core.datasets.procedural.lights import studio_light
from maskrf_core.datasets.procedural.made_cameras import dome_cameras
from maskrf_core.datasets.procedural.shapes import make_shape

IMAGE_SIZE = 96
VIEW_COUNT = 20
_PLAIN = "checker stripes dots bricks speckle clouds confetti camouflage"
_RICH = "marble cells plaid contours speckle dots checker"
_HELD_OUT = "zigzag cells marble stripes bricks contours confetti clouds"
RECIPES = {  # scene → its arrangement, shapes and textures; some of them stand in test scenes only
    "train_00": (table, "sphere cube cylinder torus cone", _PLAIN),
    "train_01": (floating, "cube torus blob coil soap", _RICH),
    "train_02": (towers, "cube soap cylinder gear sphere", _PLAIN),
    "train_03": (court, "vase cone sphere pot cube egg ring", _RICH),
    "train_04": (corner, "blob screw cube torus gear", _PLAIN),
    "train_05": (basin, "sphere egg soap torus cube", _RICH),
    "train_06": (floating, "gear wedge sphere screw pot", _PLAIN),
    "train_07": (table, "vase pot bowl blob coil", _RICH),
    "train_08": (towers, "slab hexagon torus egg blob", _RICH),
    "train_09": (court, "screw cube sphere wedge torus hexagon gear", _PLAIN),
    "train_10": (corner, "cone vase egg hexagon ring", _RICH),
    "train_11": (floating, "ring sphere slab bowl cone", _RICH),
    "train_12": (table, "hourglass wedge hexagon soap burr", _PLAIN),
    "train_13": (basin, "blob cube cone hexagon ring", _PLAIN),
    "train_14": (court, "coil torus egg soap sphere vase cone", _RICH),
    "train_15": (towers, "pot cylinder wedge slab ring", _PLAIN),
    "train_16": (floating, "burr coil hourglass egg cylinder", _PLAIN),
    "train_17": (corner, "pot sphere hourglass wedge coil", _RICH),
    "validation_00": (table, "cushion cross spindle torus sphere vase", _HELD_OUT),
    "validation_01": (floating, "cross cushion pot spindle cone", _RICH),
    "test_00": (temple, "goblet pebble star sphere", _HELD_OUT),
    "test_01": (floating, "trefoil star goblet cube pebble cinquefoil", _HELD_OUT),
    "test_02": (table, "goblet star trefoil cylinder vase pebble", _HELD_OUT),
    "test_03": (corner, "cinquefoil star torus pebble goblet cone", _HELD_OUT),
}
SPLIT_SEEDS = {"train": 1, "validation": 2, "test": 3}


def scene_generator(scene: str) -> np.random.Generator:
    """Return the generator that everything in a scene is drawn from, fixed by its name (`train_07`)."""
    split, _, number = scene.partition("_")
    return np.random.default_rng([2304_04962, SPLIT_SEEDS[split], int(number)])


def compose_demo_scene(scene: str) -> Contents:
    """Draw a demo scene (`train_07`), z up and within about one unit, and the cameras around it."""
    rng = scene_generator(scene)
    arrangement, shapes, textures = RECIPES[scene]
    kinds = cycle(rng.permutation(shapes.split()).tolist())
    meshes = arrangement(lambda: make_shape(next(kinds), rng=rng), rng)
    items = paint(meshes, textures.split(), rng=rng)
    environment = studio_light(rng)
    cameras = dome_cameras(np.concatenate([item.mesh.vertices for item in items]), VIEW_COUNT, IMAGE_SIZE, rng=rng)
    return Contents(items, environment, *cameras, IMAGE_SIZE)
