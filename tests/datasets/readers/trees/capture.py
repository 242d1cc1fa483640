import json
from pathlib import Path

import cv2
import numpy as np

from tests.datasets.traced_scene import TracedScene

VIEWS, SIZE = 5, 32
OPENCV_TO_OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])


def build(root: Path) -> str:
    return build_transforms(root, TracedScene(SIZE, VIEWS))


def build_transforms(root: Path, scene: TracedScene, **lens: object) -> str:
    """Write a traced scene as captures/spheres, with the lens parameters in its transforms.json."""
    folder = root / "captures/spheres"
    (folder / "images").mkdir(parents=True)
    frames = []
    for image_id in scene.image_ids:
        cv2.imwrite(str(folder / f"images/{image_id}.png"), scene.image(image_id)[..., ::-1])
        c2w = np.linalg.inv(np.concatenate([scene.w2c(image_id), [[0, 0, 0, 1]]])) @ OPENCV_TO_OPENGL
        frames.append({"file_path": f"images/{image_id}.png", "transform_matrix": c2w.tolist()})
    K = scene.K(image_id)
    height, width = scene.mask(image_id).shape
    camera = {"fl_x": K[0, 0], "fl_y": K[1, 1], "cx": K[0, 2] + 0.5, "cy": K[1, 2] + 0.5, "w": width, "h": height}
    (folder / "transforms.json").write_text(json.dumps(camera | {"frames": frames} | lens))
    return "capture/spheres/raw"
