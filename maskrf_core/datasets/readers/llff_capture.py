"""What nerf_llff and real_iconic share: poses_bounds.npy and the images of one factor, matched by their order."""

from pathlib import Path

from maskrf_core.datasets.files.image_files import list_images, shared_image_size
from maskrf_core.datasets.readers.llff_poses import read_llff_poses
from maskrf_core.datasets.readers.scene_names import misnamed, name_parts
from maskrf_core.support.errors import DatasetError


class LlffCapture:
    """One capture at one factor: `paths` of its images, their `size` (height, width), and `poses`, row by row.

    Reading it reads the poses and the header of every image.

    Raises:
        DatasetError: a file is missing or broken, images and poses differ in number, or the images' size does not fit
            the factor.
    """

    def __init__(self, folder: Path, factor: int):
        self.poses = read_llff_poses(folder / "poses_bounds.npy")
        self.paths = _list_images(folder, factor, len(self.poses.w2c))
        self.size = shared_image_size(self.paths)
        height, width = self.poses.height / factor, self.poses.width / factor
        if abs(self.size[0] - height) > 1 or abs(self.size[1] - width) > 1:
            raise DatasetError(
                f"{self.paths[0].parent}: the images are {self.size[1]}×{self.size[0]}, but from poses_bounds.npy "
                f"{width:g}×{height:g} is expected for factor {factor}. Make them again from the originals."
            )

    def depth_range(self, row: int) -> tuple[float, float]:
        near, far = self.poses.depth_range[row].tolist()
        return near, far


def parse_factor(name: str, example: str) -> tuple[str, int]:
    """(scene, factor) of `<data set>/<scene>/<factor>`, the factor from 1 to 64; `DatasetError` for another form."""
    form = f"{name.split('/')[0]}/<scene>/<factor> (the factor is that of its images_<factor> folder)"
    scene, factor = name_parts(name, form, example)
    if not (factor.isascii() and factor.isdigit() and len(factor) < 3 and 1 <= int(factor) <= 64):
        raise misnamed(name, form, example)
    return scene, int(factor)


def _list_images(folder: Path, factor: int, expected: int) -> list[Path]:
    images = folder / ("images" if factor == 1 else f"images_{factor}")
    if not images.is_dir():
        existing = sorted(path.name for path in folder.glob("images*") if path.is_dir())
        raise DatasetError(
            f"{images}: missing. Existing are {', '.join(existing) or 'none'}: ask for one of their factors, "
            "or make the folder by downscaling the photographs."
        )
    paths = list_images(images)
    if len(paths) != expected:
        raise DatasetError(
            f"{images}: holds {len(paths)} images, but poses_bounds.npy has {expected} poses. "
            "Unpack the archive again: which image a pose belongs to is known by their order only."
        )
    return paths
