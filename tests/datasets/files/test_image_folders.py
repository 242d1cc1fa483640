from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskrf_core.datasets.files.image_folders import (
    find_listed_image,
    images_below,
    in_order,
    list_images,
    names_below,
    pair_images,
)
from maskrf_core.support.errors import DatasetError


def touched(folder: Path, *names: str) -> list[Path]:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return [folder / name for name in names]


def test_images_of_a_folder(tmp_path: Path):
    touched(tmp_path, "b.JPG", "a.png", ".c.png", "d.txt")
    assert [path.name for path in list_images(tmp_path)] == ["a.png", "b.JPG"]
    touched(tmp_path, "a.jpeg")
    with pytest.raises(DatasetError, match="differ in their suffix"):
        list_images(tmp_path)
    with pytest.raises(DatasetError, match="absent: cannot be listed"):
        list_images(tmp_path / "absent")


def test_whole_numbers_are_ordered_as_numbers(tmp_path: Path):
    touched(tmp_path / "plain", *(f"{number}.png" for number in range(12)))
    assert [path.stem for path in list_images(tmp_path / "plain")] == [str(number) for number in range(12)]
    touched(tmp_path / "padded", *(f"{number:03}.jpg" for number in (9, 10, 100)), "1000.jpg")
    assert [path.stem for path in list_images(tmp_path / "padded")] == ["009", "010", "100", "1000"]
    touched(tmp_path / "mixed", "2.png", "10.png", "10a.png")
    assert [path.stem for path in list_images(tmp_path / "mixed")] == ["10", "10a", "2"]
    touched(tmp_path / "twice", "1.png", "01.png")
    with pytest.raises(DatasetError, match="padding"):
        list_images(tmp_path / "twice")


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.sets(st.text("a0129", min_size=1)) | st.sets(st.text("0129", min_size=1)))
def test_an_order_that_does_not_depend_on_how_they_come(stems: set[str]):
    paths = [Path("/x") / folder / f"{stem}.png" for stem in stems for folder in ("1", "02", "10")]
    ordered = in_order(paths)
    assert in_order(ordered[::-1]) == ordered
    assert [path.parent.name for path in ordered] == sorted((path.parent.name for path in ordered), key=int)
    if all(stem.isdigit() for stem in stems):
        numbers = [int(path.stem) for path in ordered if path.parent.name == "1"]
        assert numbers == sorted(numbers)


def test_images_in_sub_folders(tmp_path: Path):
    wanted = touched(tmp_path, "2/0.png", "2/1.JPG", "10/9.png", "10/10.png")
    touched(tmp_path, "2/.hidden/5.png", "2/notes.txt")
    (tmp_path / "10/round").symlink_to(tmp_path)
    assert images_below(tmp_path) == wanted
    assert names_below(wanted) == ["2/0.png", "2/1.JPG", "10/9.png", "10/10.png"]
    assert names_below(wanted[:2]) == ["0.png", "1.JPG"]


@pytest.mark.parametrize(
    ("listed", "found"),
    [
        ("a/x.png", "a/x.png"),
        ("./a/x.png", "a/x.png"),
        ("a\\x.png", "a/x.png"),
        (".\\a\\x.png", "a/x.png"),
        ("a/x.PNG", "a/x.png"),
        ("a/x", "a/x.png"),
        ("a/y.jpg", "a/y.JPG"),
        ("a\\y", "a/y.JPG"),
        ("a/z.1", "a/z.1.jpeg"),
        ("a/both.jpg", "a/both.jpg"),
        ("a/both.PNG", "a/both.png"),
        ("a/y.png", None),
        ("a/X.png", None),
        ("a/notes", None),
        ("b/x.png", None),
    ],
)
def test_a_listed_image_is_found(tmp_path: Path, listed: str, found: str | None):
    touched(tmp_path, "a/x.png", "a/y.JPG", "a/z.1.jpeg", "a/both.png", "a/both.jpg", "a/notes.txt")
    assert find_listed_image(tmp_path, listed) == (found and tmp_path / found)


def test_listed_images_that_are_refused(tmp_path: Path):
    touched(tmp_path, "a/both.png", "a/both.jpg", "x.png")
    with pytest.raises(DatasetError, match=r"both\.jpg and both\.png"):
        find_listed_image(tmp_path, "a/both")
    for outside in ("../x", "a\\..\\..\\x.png", "/x.png", "\\x.png", ""):
        with pytest.raises(DatasetError, match="not inside the scene"):
            find_listed_image(tmp_path / "a", outside)


def test_pairs_are_by_number_or_by_name(tmp_path: Path):
    images = touched(tmp_path / "image", *(f"{number:06}.png" for number in range(12)))
    masks = touched(tmp_path / "mask", *(f"{number}.png" for number in range(12)))
    assert pair_images(images, list_images(tmp_path / "mask")) == masks
    assert pair_images(images, sorted(masks)) == masks
    named = touched(tmp_path / "named", "b.jpg", "a.jpg")
    their_masks = touched(tmp_path / "their", "a.png", "b.png")
    assert pair_images(named, their_masks) == their_masks[::-1]
    shifted = touched(tmp_path / "shifted", *(f"{number}.png" for number in range(1, 13)))
    for others in (shifted, masks[:-1], their_masks, [*masks, *shifted[-1:]]):
        with pytest.raises(DatasetError, match=r"no counterpart.*again\."):
            pair_images(images, others)
