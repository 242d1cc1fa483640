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
    writers = [Thread(target=add_row, args=(path, row(part), tmp_path / ".lock")) for part in parts]
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
        add_row(path, row(part, psnr), tmp_path / ".lock")
    assert long_scores(read_rows(path))["psnr"].tolist() == [21.5]


def test_scores_come_out_by_scene_and_number_of_views(tmp_path, points):
    path, part = tmp_path / "rows.csv", points[0].parts[0]
    more = {score_column("psnr", 3, OTHER): 17.0, score_column("depth error", 3, OTHER): 0.02}
    add_row(path, row(part, **more), tmp_path / ".lock")
    long = long_scores(read_rows(path)).set_index(["scene", "working views"])
    assert long.loc[(SCENE, 8), "psnr"] == 20
    assert long.loc[(OTHER, 3), ["psnr", "depth error"]].tolist() == [17, 0.02]
    assert long.loc[(SCENE, 8), "likeness"] == "like"
    assert long.loc[(OTHER, 3), "likeness"] == "unlike"


def test_a_table_that_is_none_is_refused_by_name(tmp_path):
    write_text(tmp_path / "rows.csv", "a,b\n1,2\n")
    with pytest.raises(RunError, match=r"rows\.csv"):
        read_rows(tmp_path / "rows.csv")
