"""Scenes open on machines that lack what only some work needs: COLMAP, mitsuba, Slurm, figures."""

import subprocess
import sys
from pathlib import Path

from maskrf_core.support.paths import ROOT

HEAVY = ("pycolmap", "mitsuba", "lpips", "submitit", "matplotlib", "torchvision")
CODE = """
import sys
for name in sys.argv[2:]:
    sys.modules[name] = None  # an import of it fails
from maskrf_core.datasets.depth.depth_maps import depth_maps
from maskrf_core.datasets.scene import open_scene, scene_names
for name in ("demo/train_00", *scene_names("nerf_synthetic", sys.argv[1])):
    scene = open_scene(name, sys.argv[1])
    ids = scene.split("train")[0][:3]
    maps = depth_maps(scene, ids, cache_root=None, device="cpu")
    assert scene.image(ids[0]).shape[:2] == scene.mask(ids[0]).shape == maps[ids[0]].shape
    assert maps[ids[0]].any(), name
    print(name)
"""


def test_scenes_open_without_what_they_do_not_need(shared: Path):
    """In one fresh interpreter: a view and a depth map, the scene's own of a demo scene and an estimated one."""
    command = [sys.executable, "-c", CODE, str(shared / "reference/datasets"), *HEAVY]
    child = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert child.returncode == 0, child.stderr
    assert child.stdout.split()[-1].startswith("nerf_synthetic/")
