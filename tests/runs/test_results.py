"""Numbers that are recorded in a run folder: all kept, whoever writes at once."""

import multiprocessing
import threading

import pytest

from maskrf_core.runs import Run
from maskrf_core.settings.config import load_config
from maskrf_core.support.errors import RunError


@pytest.fixture
def config():
    return load_config("pretrain", "demo")


def test_results_are_kept_by_name(tmp_path, config):
    run = Run.start(tmp_path, config)
    run.record("one", {"psnr": 1.0})
    run.record("two", {"psnr": 2.0})
    run.record("one", {"psnr": 3.0})
    assert run.results() == {"one": {"psnr": 3.0}, "two": {"psnr": 2.0}}


def record_many(folder, name):
    for number in range(40):
        Run(folder).record(f"{name}{number}", {"psnr": number})


@pytest.mark.parametrize("kind", ["processes", "threads"])
def test_results_of_several_at_once_are_all_kept(tmp_path, config, kind):
    Run.start(tmp_path, config)
    start = multiprocessing.get_context("fork").Process if kind == "processes" else threading.Thread
    writers = [start(target=record_many, args=(tmp_path, name)) for name in "abc"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert Run(tmp_path).results() == {f"{name}{k}": {"psnr": k} for name in "abc" for k in range(40)}


@pytest.mark.parametrize("text", ["{", "[1]", "5", "[" * 100_000])
def test_damaged_results_are_told_and_kept(tmp_path, config, text):
    run = Run.start(tmp_path, config)
    (run.folder / "results.json").write_text(text)
    for use in (run.results, lambda: run.record("one", {"psnr": 1.0})):
        with pytest.raises(RunError, match=r"results\.json"):
            use()
    assert (run.folder / "results.json").read_text() == text
