"""The kernels are tried in a process of their own; whatever happens in it, the answer is a verdict."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from maskrf_core.model.fast import kernel_pass, kernel_trial
from maskrf_core.model.fast.kernel_pass import KernelPass
from maskrf_core.model.fast.kernel_trial import Question, Verdict, tried, verdict_on
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
def a_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "a GPU")


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
    assert kernel_trial._wrong({"colours": torch.tensor([1, torch.nan, 1])}, exact, exact)
    assert kernel_trial._wrong(exact, exact, exact) is None


def test_a_trial_is_made_once(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]):
    code = """print("a word of a compiler"); print('{"reason": null, "times_as_fast": 3.5, "lasting": true}')"""
    started = answering(code, monkeypatch)
    assert verdict_on(RENDERING, CPU) == verdict_on(RENDERING, CPU) == Verdict(None, 3.5)
    assert len(started) == 1
    assert len(capfd.readouterr().out.splitlines()) == 1
    verdict_on(TRAINING, CPU)
    monkeypatch.setattr(torch, "__version__", "another")
    verdict_on(RENDERING, CPU)
    assert len(started) == 3


@pytest.mark.parametrize(
    ("code", "word", "starts"),
    [
        ("import os; os.abort()", "SIGABRT", 1),
        ("import time; time.sleep(60)", "minutes", 1),
        ("raise ImportError('no such library')", "no such library", 2),  # it says nothing of the kernels
    ],
)
def test_a_process_that_ends_otherwise(code: str, word: str, starts: int, monkeypatch: pytest.MonkeyPatch):
    started = answering(code, monkeypatch)
    if "sleep" in code:
        monkeypatch.setattr(kernel_trial, "SECONDS", 1.0)
    for _ in range(2):
        assert word in verdict_on(RENDERING, CPU).reason
    assert len(started) == starts


def test_a_damaged_verdict_is_made_anew(monkeypatch: pytest.MonkeyPatch):
    started = answering("""print('{"reason": "slow"}')""", monkeypatch)
    verdict_on(RENDERING, CPU)
    (kept,) = (users_cache() / "kernels").glob("*.json")
    for damaged in ("", "[1]", "{}"):
        kept.write_text(damaged)
        assert verdict_on(RENDERING, CPU) == Verdict("slow")
    assert len(started) == 4


def test_the_process_answers():
    """As it is started, though where there are no GPU kernels."""
    question = Question("ieee", True, False)
    found = kernel_trial._in_a_process(question, torch.device("meta"))
    assert "not possible" in found.reason or "trial failed" in found.reason
    assert not found.lasting
