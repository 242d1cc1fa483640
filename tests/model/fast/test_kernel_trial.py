"""The kernels are tried in a process of their own; whatever happens in it, the answer is a verdict."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from maskrf_core.model.fast import kernel_pass, kernel_trial
from maskrf_core.model.fast.kernel_check import _wrong, tried
from maskrf_core.model.fast.kernel_pass import KernelPass
from maskrf_core.model.fast.kernel_trial import Question, Verdict, verdict_on
from maskrf_core.support.paths import users_cache

pytest.importorskip("triton")
CPU = torch.device("cpu")
SMALL = {"views": 3, "rays": 1, "samples": 6, "side": 32}
RENDERING, TRAINING = Question("ieee", False, False), Question("ieee", True, False)


@pytest.fixture(autouse=True)
def seeded():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


@pytest.fixture(autouse=True)
def a_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "a GPU")
    verdict_on.cache_clear()
    yield
    verdict_on.cache_clear()


def answering(code: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let a trial be this code, and list its starts."""
    started, run = [], subprocess.run
    monkeypatch.setattr(
        kernel_trial.subprocess,
        "run",
        lambda command, **how: started.append(command) or run([sys.executable, "-c", code], **how),
    )
    return started


def test_the_interpreted_kernels_are_right_but_slower():
    found = tried(RENDERING, CPU, **SMALL)
    assert "slower" in found.reason
    assert 0 < found.times_as_fast < 1


def test_a_wrong_output_is_found_and_named(monkeypatch: pytest.MonkeyPatch):
    """One weight of what the kernels read is off by a fiftieth."""
    weights = KernelPass._weights

    def off(self):
        of_points, of_rays = weights(self)
        return of_points, of_rays * (1 + 0.02 * (torch.arange(len(of_rays)) == of_rays.abs().argmax()))

    monkeypatch.setattr(KernelPass, "_weights", off)
    assert "wrong: features" in tried(RENDERING, CPU, **SMALL).reason


def test_a_wrong_gradient_is_found_and_named(monkeypatch: pytest.MonkeyPatch):
    """That of the maps, which is compared when all others were found right, is off by a fiftieth."""
    backward = kernel_pass.points_backward
    monkeypatch.setattr(
        kernel_pass,
        "points_backward",
        lambda *given: [part * by for part, by in zip(backward(*given), (1, 1.02), strict=True)],
    )
    assert "wrong: gradient of maps" in tried(TRAINING, CPU, **SMALL).reason


def test_what_is_no_number_is_wrong():
    exact = {"colours": torch.ones(3)}
    assert _wrong({"colours": torch.tensor([1, torch.nan, 1])}, exact, exact)
    assert _wrong(exact, exact, exact) is None


def test_as_much_is_right_as_rounding_explains():
    exact = {"colours": torch.ones(3), "depths": torch.ones(3), "features": torch.ones(3)}
    rounded = {name: part * 1.01 for name, part in exact.items()} | {"depths": exact["depths"]}  # by luck
    assert _wrong({name: part * 1.03 for name, part in exact.items()}, exact, rounded) is None
    assert "colours" in _wrong({name: part * 1.05 for name, part in exact.items()}, exact, rounded)


def asked_anew(question: Question) -> Verdict:
    """As another process would ask."""
    verdict_on.cache_clear()
    return verdict_on(question, CPU)


def test_a_trial_is_made_once(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]):
    code = """print("a word of a compiler"); print('{"reason": null, "times_as_fast": 3.5, "lasting": true}')"""
    started = answering(code, monkeypatch)
    assert verdict_on(RENDERING, CPU) == asked_anew(RENDERING) == Verdict(None, 3.5)
    assert len(started) == 1
    assert len(capfd.readouterr().out.splitlines()) == 1
    asked_anew(TRAINING)
    monkeypatch.setattr(torch, "__version__", "another")
    asked_anew(RENDERING)
    assert len(started) == 3


@pytest.mark.parametrize(
    ("code", "word", "lasting"),
    [
        ("import os; os.abort()", "signal 6", True),
        ("import time; time.sleep(60)", "minutes", True),
        ("import os; os.kill(os.getpid(), 15)", "signal 15", False),  # meant for the training
        ("raise ImportError('no such library')", "no such library", False),
    ],
)
def test_a_process_that_ends_otherwise(code: str, word: str, lasting: bool, monkeypatch: pytest.MonkeyPatch):
    started = answering(code, monkeypatch)
    if "sleep" in code:
        monkeypatch.setattr(kernel_trial, "SECONDS", 1.0)
    for _ in range(2):
        assert word in verdict_on(RENDERING, CPU).reason
    assert len(started) == 1
    asked_anew(RENDERING)
    assert len(started) == (1 if lasting else 2)


def test_a_damaged_verdict_is_made_anew(monkeypatch: pytest.MonkeyPatch):
    started = answering("""print('{"reason": "slow"}')""", monkeypatch)
    verdict_on(RENDERING, CPU)
    (kept,) = (users_cache() / "kernels").glob("*.json")
    for damaged in ("", "[1]", "{}"):
        kept.write_text(damaged)
        assert asked_anew(RENDERING) == Verdict("slow")
    assert len(started) == 4


def test_without_a_folder_to_keep_it_in(monkeypatch: pytest.MonkeyPatch):
    answering("""print('{"reason": "slow"}')""", monkeypatch)
    users_cache().mkdir(parents=True)
    (users_cache() / "kernels").write_text("")  # no folder
    assert verdict_on(RENDERING, CPU) == Verdict("slow")


def test_the_process_answers():
    """As it is started, though where there are no GPU kernels."""
    question = Question("ieee", True, False)
    found = kernel_trial._in_a_process(question, torch.device("meta"))
    assert "they failed: " in found.reason
    assert not found.lasting
