"""What the layouts share about names: `<data set>/<scene>/<background>_<width>` and its parts."""

import re
from difflib import get_close_matches
from pathlib import Path

from maskrf_core.datasets.files.image_files import image_size, list_images
from maskrf_core.support.errors import DatasetError


def name_parts(name: str, form: str, example: str) -> list[str]:
    """The words of a scene's name after the data set's, as many as `form` has, none of them empty.

    Raises:
        DatasetError: another number of words; the message gives the form and the example.
    """
    parts = name.split("/")
    if len(parts) != len(form.split("/")) or not all(parts):
        raise misnamed(name, form, example)
    return parts[1:]


def misnamed(name: str, form: str, example: str) -> DatasetError:
    """The error for a name that is not of the form."""
    return DatasetError(f"{name}: a scene of this data set is called {form}, such as {example}.")


def parse_variant(
    name: str, example: str, *, backgrounds: tuple[str, ...] = ("black", "white"), raw: bool = False
) -> tuple[str, str, int | None]:
    """(scene, background, width) of `<data set>/<scene>/<background>_<width>`; width None stands for `raw`, if allowed.

    Raises:
        DatasetError: the name is not of this form, or the background is unknown.
    """
    data_set = name.split("/")[0]
    form = f"{data_set}/<scene>/<{'|'.join(backgrounds)}>_<{'raw|' if raw else ''}width>"
    scene, variant = name_parts(name, form, example)
    match = re.fullmatch(r"([a-z]+)_(raw|[1-9][0-9]{0,4})", variant)
    if match is None or (match[2] == "raw" and not raw):
        raise misnamed(name, form, example)
    if match[1] not in backgrounds:
        nearest = get_close_matches(match[1], backgrounds, n=1)
        hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
        raise DatasetError(f"{name}: unknown background {match[1]!r}.{hint} Known are {', '.join(backgrounds)}.")
    return scene, match[1], None if match[2] == "raw" else int(match[2])


def downscale_ratio(name: str, width: int | None, native_width: int) -> float:
    """The width asked for over the images' own, in (0, 1]; 1 for None.

    Raises:
        DatasetError: more is asked for than there is; the message names what can be opened instead.
    """
    if width is not None and width > native_width:
        raise DatasetError(
            f"{name}: {width} pixels are asked for, but the images are {native_width} wide and are never enlarged. "
            f"Open {name.rsplit('_', 1)[0]}_{native_width} instead."
        )
    return 1.0 if width is None else width / native_width


def listed_width(images: Path, published: int) -> int:
    """The width to list a scene at: the published one, or that of the first image in the folder where it is smaller.

    The published one too where no image can be read, which is said when the scene is opened.
    """
    try:
        return min(published, image_size(list_images(images)[0])[1])
    except DatasetError:
        return published
