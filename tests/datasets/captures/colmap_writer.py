"""COLMAP models for tests, written by pycolmap itself."""

from pathlib import Path

import numpy as np
import pycolmap

from maskrf_core.datasets.captures.lens_camera import LensCamera


def write_model(
    folder: Path,
    views: dict[str, tuple[LensCamera, np.ndarray]],
    points: np.ndarray,
    *,
    text: bool = False,
) -> None:
    """A model in which every view, given as name → (camera, w2c), sees the points in front of it."""
    model = pycolmap.Reconstruction()
    seen = {}
    for number, (name, (lens, w2c)) in enumerate(views.items(), start=1):
        camera = pycolmap.Camera(
            camera_id=number, model=lens.model, width=lens.width, height=lens.height, params=list(lens.params)
        )
        model.add_camera_with_trivial_rig(camera)
        image = pycolmap.Image(name=name, camera_id=number, image_id=number)
        in_camera = points @ w2c[:, :3].T + w2c[:, 3]
        seen[number] = np.flatnonzero(in_camera[:, 2] > 0)
        pixels = lens.project(in_camera[seen[number]])
        image.points2D = pycolmap.Point2DList([pycolmap.Point2D(pixel) for pixel in pixels])
        pose = pycolmap.Rigid3d(pycolmap.Rotation3d(np.ascontiguousarray(w2c[:, :3])), w2c[:, 3])
        model.add_image_with_trivial_frame(image, pose)
    for row, point in enumerate(points):
        track = pycolmap.Track()
        for number, rows in seen.items():
            if row in rows:
                track.add_element(number, int(np.searchsorted(rows, row)))
        model.add_point3D(point, track)
    folder.mkdir(parents=True, exist_ok=True)
    (model.write_text if text else model.write_binary)(folder)
