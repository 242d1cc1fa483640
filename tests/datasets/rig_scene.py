"""Scenes of cameras that stand and look where a test says: rigs that look outwards, rings that look inwards."""

from dataclasses import replace

import numpy as np

from maskrf_core.datasets.data_set import Frame, NamedScene
from maskrf_core.datasets.records import DATA_SETS
from tests.datasets.memory_scene import MemoryScene, frames_of

LENSES, PLACES, APART, RADIUS = 8, 6, 1.0, 0.05  # the rig: lenses in a circle, carried along x by a step at a time


class PlacedScene(MemoryScene):
    """Cameras at `centres` whose optical axes are at `headings` (radians, about y from z to x), all upright."""

    def __init__(self, centres, headings, depth_range=(0.5, 20.0), name="memory", unit=1.0):
        super().__init__(len(centres), name=name)
        self.range = tuple(unit * depth for depth in depth_range)
        self.poses = {}
        for image_id, centre, heading in zip(self.image_ids, np.asarray(centres, float), headings, strict=True):
            sine, cosine = np.sin(heading), np.cos(heading)
            rotation = np.array([[cosine, 0, -sine], [0, 1, 0], [sine, 0, cosine]])
            self.poses[image_id] = np.c_[rotation, -rotation @ centre * unit]

    def w2c(self, image_id):
        return self.poses[image_id]

    def depth_range(self, image_id):
        return self.range

    def degrees(self, image_id, others):
        """How far other cameras are turned from this one's viewing direction."""
        axes = np.stack([self.poses[each][2, :3] for each in (image_id, *others)])
        return np.rad2deg(np.arccos((axes[1:] @ axes[0]).clip(-1, 1)))


def rig(lenses=LENSES, places=PLACES, radius=RADIUS, **about):
    """A rig of lenses that look outwards, all around, at some places on a line; lens by lens."""
    headings = np.repeat(2 * np.pi * np.arange(lenses) / lenses, places)
    steps = np.tile(APART * np.arange(places), lenses)
    centres = np.c_[steps, np.zeros_like(steps), np.zeros_like(steps)]
    outwards = np.c_[np.sin(headings), np.zeros_like(headings), np.cos(headings)]
    return PlacedScene(centres + radius * outwards, headings, **about)


def ring(count, radius=3.0, **about):
    """Cameras in a circle that look at its middle."""
    headings = 2 * np.pi * np.arange(count) / count
    outwards = np.c_[np.sin(headings), np.zeros(count), np.cos(headings)]
    return PlacedScene(-radius * outwards, headings, **{"depth_range": (radius / 2, 3 * radius / 2)} | about)


def read_rig(asked: NamedScene) -> list[Frame]:
    """Read a rig of any name, in memory."""
    return frames_of(rig(name=asked.name))


def use_rigs(monkeypatch, tmp_path, data_set="capture"):
    """Have every scene of a data set be a rig, with all else that its record says; return the name of one."""
    changes = {"pattern": f"{data_set}/<scene>", "folders": ("rigs",), "scenes_in": ".", "reader": read_rig}
    monkeypatch.setitem(DATA_SETS, data_set, replace(DATA_SETS[data_set], **changes))
    (tmp_path / "rigs/hall").mkdir(parents=True, exist_ok=True)
    return f"{data_set}/hall"
