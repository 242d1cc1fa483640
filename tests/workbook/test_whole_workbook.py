"""The whole workbook runs, one notebook after the other, at the size of seconds."""

import json

from maskrf_core.workbook import execution

FEWER = {"02_mask_ratio_ablation": {"mask_ratios": "0.5"}}
"""Parameters that spare time, by notebook."""


def test_all_notebooks_run_and_leave_results_and_pages(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MASKRF_SMOKE", "1")
    monkeypatch.setenv("MASKRF_RUNS", str(tmp_path / "runs"))
    execute = execution.execute

    def with_fewer(notebook, executed):
        return execute(notebook, executed, parameters=FEWER.get(notebook.stem))

    monkeypatch.setattr(execution, "execute", with_fewer)
    assert execution.main() == 0, capsys.readouterr()
    assert "masked-pretrained, then finetuned" in capsys.readouterr().out
    runs = tmp_path / "runs"
    for name in (path.stem for path in execution.notebooks()):
        (page,) = runs.rglob(f"{name}.html")
        assert page.stat().st_size > 10_000
        assert name in (runs / "index.html").read_text(encoding="utf-8")
    (results,) = runs.glob("demo/05_evaluate/results.json")
    methods = json.loads(results.read_text(encoding="utf-8"))["results"]["methods"]
    assert all(0 < scores["psnr"] < 60 for scores in methods.values())
