"""Two runs are compared by their settings, losses and renders; where nobody watches, the table is all."""

import shutil
from pathlib import Path

import pandas as pd

from maskrf_core import runs
from maskrf_core.runs import Run
from maskrf_core.support.atomic_files import write_atomically
from maskrf_core.workbook.experiments import table_of_runs
from tests.runs.test_table import made


def rendered(run, *stems):
    for stem in stems:
        for kind in ("truth", "fine"):
            write_atomically(run.renders / f"{stem}_{kind}.png", lambda file: file.write(b"picture"))


def test_where_nobody_watches_it_is_the_table(tmp_path):
    made(tmp_path / "a", "finished", 20, (9.0,))
    pd.testing.assert_frame_equal(table_of_runs.compare(tmp_path, sort="step"), runs.table(tmp_path, sort="step"))


def test_two_chosen_rows_are_compared_and_any_other_number_is_not(tmp_path):
    folders = [tmp_path / "a", tmp_path / "b", tmp_path / "nowhere"]
    pair = [made(folders[0], masking__mask_ratio=0.25), made(folders[1], masking__mask_ratio=0.75)]
    comparison = table_of_runs.Comparison(folders)
    shown = comparison.page.children[1]
    (hint,) = shown.children
    comparison.chosen.value = "[1, 0]"
    difference, losses, nothing = (part.value for part in shown.children)
    assert difference.index("0.75") < difference.index("0.25")
    assert "masking.mask_ratio" in difference
    assert "<img" not in losses + nothing  # nothing was logged, nothing can be rendered
    rendered(pair[0], "validation/s/v_1", "validation/s/v_2")
    rendered(pair[1], "test/s/v_1", "validation/s/v_2")
    comparison.chosen.value = "[0, 1]"
    assert "validation/s/v_2" in shown.children[-1].value
    assert shown.children[-1].value.count("<img") == 3
    comparison.chosen.value = "[0, 2]"
    assert "is no run folder" in shown.children[0].value
    comparison.chosen.value = "[0]"
    assert shown.children[0].value == hint.value


def test_runs_without_a_view_in_common(tmp_path):
    pair = [made(tmp_path / name) for name in "ab"]
    rendered(pair[0], "validation/s/v_1")
    assert table_of_runs.common_view(*pair) is None


def test_a_view_is_rendered_of_runs_that_kept_none(finetuned, tmp_path):
    folders = [Path(shutil.copytree(finetuned[1].folder, tmp_path / name)) for name in "ab"]
    comparison = table_of_runs.Comparison(folders)
    shown = comparison.page.children[1]
    comparison.chosen.value = "[0, 1]"
    shown.children[-1].click()
    assert shown.children[-1].value.count("<img") == 3
    assert table_of_runs.common_view(*map(Run, folders)).startswith("side_by_side/demo_validation_00/")
