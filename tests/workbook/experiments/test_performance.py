"""Measurements read again, or made in the notebook where there are none."""

import json

import pytest
import torch
from pydantic import BaseModel

from maskrf_core.settings.config import load_config
from maskrf_core.support.errors import RunError, SettingsError
from maskrf_core.workbook.experiments import performance
from maskrf_core.workbook.experiments.measurements import Arithmetic, Comparison, Growth
from maskrf_core.workbook.parameters import PerformanceParameters, check_parameters
from maskrf_core.workbook.parameters import parameters_by_notebook as models

MEASURED = {"rendering": [1.0, 2.0], "matrix product, float32": [0.25, 0.25]}
ABOUT = {"machine": "2 × a CPU", "torch": "2", "date": "2026-11-24", "repeats": 3}


@pytest.fixture(autouse=True)
def usual_environment(monkeypatch):
    for name in ("MASKRF_SMOKE", "MASKRF_RUNS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def bench(tmp_path):
    """A folder as `make bench` leaves it."""
    rendering = {
        "rays": 10,
        "comparisons": {"rendering": Comparison.of("s", [1.0, 2.0, 3.0], [4.0, 4.0, 4.0])},
        "arithmetic": {"rendering": Arithmetic.of(2.0, MEASURED, "rendering", "float32", 1000)},
    }
    memory = {"comparisons": {"memory": Comparison.of("MiB", [100.0], [150.0])}}
    grown = {"growth": {"rays": Growth.of({1: [1.0], 2: [2.0], 4: [4.0]})}}
    contents = {"rendering": rendering, "memory": memory, "growth_rendering": grown, "training_overhead": {"x": 1}}
    for name, values in contents.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(ABOUT | values, default=BaseModel.model_dump))
    return tmp_path


def test_measurements_of_a_folder_are_read(bench, capsys):
    found = performance.measurements_of(PerformanceParameters(measurements=str(bench)))
    assert [each.name for each in found] == ["growth_rendering", "memory", "rendering"]
    assert "3 measurements of `make bench`" in capsys.readouterr().out
    table = performance.comparisons_table(found)
    assert list(table.index) == ["memory", "rendering"]
    assert table.loc["rendering", "here"] == "2 (1 to 3) s"
    assert table.loc["rendering", "ratio"] == "2 (1.33 to 4)"
    assert table.loc["memory"].tolist() == [
        "100 (100 to 100) MiB", "150 (150 to 150) MiB", "1.5 (1.5 to 1.5)", 1, "2 × a CPU", "2026-11-24",
    ]  # fmt: skip
    assert performance.fractions(found).to_dict() == {"rendering": 0.1875}
    assert performance.exponents(found).loc["rays", "rendering"] == pytest.approx(1)
    numbers = performance.plain(found)
    assert numbers["ratios"] == {"memory": 1.5, "rendering": 2.0}
    assert json.loads(json.dumps(numbers)) == numbers


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"machine": ', "Expecting value"),
        ("[1]", "no table of numbers"),
        (json.dumps({"machine": "m"}), "date: is missing"),
        (json.dumps(ABOUT | {"growth": {"rays": {"seconds": {"1": 3}, "exponent": 1}}}), "growth.rays.seconds.1"),
        (json.dumps(ABOUT | {"growth": {"rays": {"seconds": {}, "exponent": float("nan")}}}), "growth.rays"),
        ("\udcff", "codec can't decode"),
    ],
)
def test_a_broken_file_is_named_with_its_remedy(bench, text, reason):
    (bench / "rendering.json").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(RunError) as caught:
        performance.measurements_of(PerformanceParameters(measurements=str(bench)))
    assert f"{bench}/rendering.json: is not what a benchmark leaves" in str(caught.value)
    assert reason in str(caught.value)
    assert "Delete it, or measure it again by `make bench`" in str(caught.value)


def test_a_folder_without_measurements_is_refused_before_anything_is_done(tmp_path):
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(SettingsError, match="is no folder with JSON files") as caught:
            check_parameters(PerformanceParameters, {"measurements": str(folder)})
        assert str(folder) in str(caught.value)


def test_a_folder_in_which_nothing_is_compared_is_refused(bench):
    for name in ("rendering", "memory", "growth_rendering"):
        (bench / f"{name}.json").unlink()
    with pytest.raises(RunError, match="nothing is compared"):
        performance.measurements_of(PerformanceParameters(measurements=str(bench)))


def test_the_folder_of_make_bench_is_read_but_not_in_tests_of_notebooks(bench, tmp_path, monkeypatch):
    bench.joinpath("benchmarks").mkdir()
    monkeypatch.setattr(models, "RUNS", tmp_path)
    assert PerformanceParameters().measurements_folder is None
    (bench / "memory.json").rename(tmp_path / "benchmarks" / "memory.json")
    assert PerformanceParameters().measurements_folder == tmp_path / "benchmarks"
    monkeypatch.setenv("MASKRF_SMOKE", "1")
    assert PerformanceParameters().measurements_folder is None


def test_a_small_measurement_is_made_where_there_is_none(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(models, "RUNS", tmp_path)
    asked = "data.rays=8, model.coarse_samples=6, model.fine_samples=2"
    parameters = PerformanceParameters(repeats=2, overrides=asked, device="cpu")
    (found,) = performance.measurements_of(parameters)
    assert "this is a small one" in capsys.readouterr().out
    (comparison,) = found.comparisons.values()
    assert comparison.ratio.median > 1, "three more encodings take time"
    assert len(comparison.ratio.all) == 2
    assert list(found.arithmetic) == ["rendering 8 rays"]
    assert set(found.growth) == {"rays", "samples"}
    assert sorted(found.growth["rays"].seconds) == [1, 2, 4]


def test_a_small_measurement_counts_operations_in_proportion_to_its_rays():
    def counted(rays):
        asked = {"data.rays": rays, "data.working_views": 3, "model.coarse_samples": 4, "model.fine_samples": 1}
        measured = performance.small_measurement(load_config("finetune", "demo", asked), 1, device=torch.device("cpu"))
        (arithmetic,) = measured.arithmetic.values()
        return arithmetic.gflop

    assert counted(8) == pytest.approx(2 * counted(4), rel=1e-3)  # the cameras' few do not grow
