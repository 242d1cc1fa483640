"""The whole workbook runs, one notebook after the other, at the size of seconds."""

import json

import pytest

from maskrf_core.workbook.execution import execute, notebooks

FEWER = {"02_mask_ratio_ablation": {"mask_ratios": "0.5"}}
"""Parameters that spare time, by notebook."""


def test_all_notebooks_run_and_leave_results_and_pages(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MASKRF_SMOKE", "1")
    monkeypatch.setenv("MASKRF_RUNS", str(tmp_path / "runs"))
    runs = tmp_path / "runs"
    for notebook in notebooks():
        executed = runs / "executed" / notebook.name
        assert execute(notebook, executed, parameters=FEWER.get(notebook.stem)) is None, capsys.readouterr()
    for name in (path.stem for path in notebooks()):
        (page,) = runs.rglob(f"{name}.html")
        assert page.stat().st_size > 10_000
        assert name in (runs / "index.html").read_text(encoding="utf-8")
    (results,) = runs.glob("demo/05_evaluate/results.json")
    methods = json.loads(results.read_text(encoding="utf-8"))["results"]["methods"]
    assert {"masked-pretrained, then finetuned", "maskrf"} <= set(methods)
    assert all(0 < scores["psnr"] < 60 for scores in methods.values())


@pytest.mark.long
def test_the_quickstart_runs_as_a_newcomer_starts_it(tmp_path, monkeypatch, capsys):
    from maskrf_core.workbook import quickstart

    monkeypatch.setenv("MASKRF_RUNS", str(tmp_path / "runs"))
    assert quickstart.main() == 0, capsys.readouterr()
    assert (tmp_path / "runs" / "quickstart.html").stat().st_size > 100_000
