"""The table: a row each, whoever adds it, and scores that come out as they went in."""

from pathlib import Path
from threading import Thread

import pytest

from maskrf_core.support.atomic_files import write_text
from maskrf_core.support.errors import RunError
from maskrf_core.workbook.experiments.study.plan import plan
from maskrf_core.workbook.experiments.study.rows import add_row, left, long_scores, read_rows, score_column, state

SCENE, OTHER = "procedural_half/objects_9100", "demo/test_00"


def row(part, psnr: float = 20.0, **more) -> dict:
    return {**part.about, score_column("psnr", 8, SCENE): psnr, **more}


@pytest.fixture
def points():
    return plan(Path("runs"), "main", {})[:2]


def test_rows_of_several_writers_are_all_there(tmp_path, points):
    path, parts = tmp_path / "rows.csv", points[0].parts
    writers = [Thread(target=add_row, args=(path, row(part))) for part in parts]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len(read_rows(path)) == len(parts)
    assert left(points, read_rows(path)) == {points[1].name: list(points[1].parts)}
    table = state(points, read_rows(path)).set_index("arm")
    assert table.loc[points[0].arm.name, ["rows", "of", "seeds"]].tolist() == [len(parts), len(parts), 1]
    assert table.loc[points[1].arm.name, "rows"] == 0


def test_a_row_takes_the_place_of_the_one_before(tmp_path, points):
    path, part = tmp_path / "rows.csv", points[0].parts[0]
    for psnr in (20.0, 21.5):
        add_row(path, row(part, psnr))
    assert long_scores(read_rows(path))["psnr"].tolist() == [21.5]


def test_scores_come_out_by_scene_and_number_of_views(tmp_path, points):
    path, part = tmp_path / "rows.csv", points[0].parts[0]
    more = {score_column("psnr", 3, OTHER): 17.0, score_column("depth error", 3, OTHER): 0.02}
    add_row(path, row(part, **more))
    long = long_scores(read_rows(path)).set_index(["scene", "working views"])
    assert long.loc[(SCENE, 8), "psnr"] == 20
    assert long.loc[(OTHER, 3), ["psnr", "depth error"]].tolist() == [17, 0.02]
    assert long.loc[(SCENE, 8), "likeness"] == "like"
    assert long.loc[(OTHER, 3), "likeness"] == "unlike"


def test_a_table_that_is_none_is_refused_by_name(tmp_path):
    write_text(tmp_path / "rows.csv", "a,b\n1,2\n")
    with pytest.raises(RunError, match=r"rows\.csv"):
        read_rows(tmp_path / "rows.csv")


def test_a_row_that_is_cut_off_or_none_or_there_twice_is_named(tmp_path, points):
    path = tmp_path / "rows.csv"
    for part in points[0].parts[:2]:
        add_row(path, row(part))
    whole = path.read_text(encoding="utf-8")
    first = whole.splitlines()[1]
    for damaged, said in (
        (whole[:-3], "its last line is cut off"),
        (whole + "<<<<<<< ours\n", "line 4 is no row"),
        (whole + first + "\n", "line 4 is a row that is there before"),
    ):
        write_text(path, damaged)
        with pytest.raises(RunError, match=rf"rows\.csv: {said}"):
            read_rows(path)


def test_rows_from_before_overrides_count_for_the_size_as_planned(tmp_path, points):
    path, part = tmp_path / "rows.csv", points[0].parts[0]
    add_row(path, row(part))
    write_text(path, read_rows(path).drop(columns="overrides").to_csv(index=False))
    assert part not in left(points, read_rows(path))[points[0].name]
    smaller = plan(Path("runs"), "main", {"model.fine_samples": 4, "data.data_root": "elsewhere"})[:1]
    assert len(left(smaller, read_rows(path))[points[0].name]) == len(smaller[0].parts)
    assert smaller[0].parts[0].about["overrides"] == "model.fine_samples=4"
