"""The fastest exact way is found by itself, and said; what is missing leads to the plain pass."""

from pathlib import Path

import pytest
import torch

from maskrf_core.model.fast import choice, kernel_pass, native_library
from maskrf_core.model.fast.kernel_pass import KernelPass
from maskrf_core.model.fast.kernel_trial import Question, Verdict
from maskrf_core.model.renderer import RenderPass
from maskrf_core.rendering.chunk_renderer import ChunkRenderer
from maskrf_core.settings.sections import HardwareSettings, RenderingSettings
from maskrf_core.support.progress import say_once
from tests.model.tiny import tiny_renderer


class OnGPU(RenderPass):
    """A pass that says it is on a GPU, where there is none."""

    def parameters(self, recurse: bool = True):
        yield torch.empty(1, device="meta")


@pytest.fixture
def a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU, a compiler and Triton, by their names alone."""
    say_once.cache_clear()
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    monkeypatch.setattr(kernel_pass, "GPU", "meta")
    monkeypatch.setattr(kernel_pass, "find_spec", lambda name: object())
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    monkeypatch.setattr(choice, "missing_for_compiling", lambda device: None)


@pytest.mark.usefixtures("a_gpu")
@pytest.mark.parametrize(("precision", "products"), [("32-true", "tf32x3"), ("bf16-mixed", "bf16")])
def test_kernels_on_a_gpu(precision: str, products: str, capsys: pytest.CaptureFixture[str]):
    for _ in range(2):
        made = choice.chosen(OnGPU(), precision, twin=False)
        assert isinstance(made, KernelPass)
        assert made.products == products
    (line,) = capsys.readouterr().out.splitlines()
    assert "kernels" in line


@pytest.mark.usefixtures("a_gpu")
@pytest.mark.parametrize("missing", ["triton", "direct head", "other aggregation", "older GPU", "compiler"])
def test_the_plain_pass_where_something_is_missing(
    missing: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    plain = OnGPU(direct_rendering=missing == "direct head")
    if missing == "triton":
        monkeypatch.setattr(kernel_pass, "find_spec", lambda name: None)
    elif missing == "other aggregation":
        plain.aggregation = torch.nn.Identity()
    elif missing == "older GPU":
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    elif missing == "compiler":
        monkeypatch.undo()
        monkeypatch.setattr(kernel_pass, "why_not", lambda *_: None)
        monkeypatch.setattr(choice, "why_not", lambda *_: None)
        monkeypatch.setenv("CC", "no-such-compiler")
    assert choice.chosen(plain, "32-true", twin=False) is plain
    (line,) = capsys.readouterr().out.splitlines()
    assert "plain pass" in line


@pytest.mark.usefixtures("a_gpu")
def test_the_plain_pass_where_it_is_asked_for(capsys: pytest.CaptureFixture[str]):
    plain = OnGPU()
    assert choice.chosen(plain, "32-true", twin=True) is plain
    assert capsys.readouterr().out == ""


@pytest.mark.usefixtures("a_gpu")
@pytest.mark.parametrize("found", [Verdict(None, 3.4), Verdict("they were slower: 0.80 times as fast", 0.8)])
def test_on_a_gpu_a_trial_decides(found: Verdict, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    asked = []
    monkeypatch.setattr(choice, "verdict_on", lambda question, device: asked.append(question) or found)
    for training, twin in ((False, RenderingSettings().twin), (True, HardwareSettings().twin)):
        made = choice.chosen(OnGPU(), "bf16-mixed", twin=twin, training=training)
        assert isinstance(made, KernelPass) == (found.reason is None)
    # That of the training's validations comes before it begins.
    assert asked == [Question("bf16", False, False), Question("bf16", True, False), Question("tf32x3", False, False)]
    (line,) = capsys.readouterr().out.splitlines()
    assert ("3.4 times" if found.reason is None else "slower") in line


@pytest.fixture
def anew():
    """Nothing was said, and nothing looked for, before and after."""
    say_once.cache_clear()
    native_library._found.cache_clear()
    yield
    native_library._found.cache_clear()


@pytest.mark.usefixtures("anew")
def test_native_code_on_a_cpu(capsys: pytest.CaptureFixture[str]):
    renderer = tiny_renderer()
    made = ChunkRenderer(renderer, RenderingSettings(), 7).renderer
    assert (made.coarse.render_pass, made.fine.render_pass) == (renderer.coarse, renderer.fine)
    (line,) = capsys.readouterr().out.splitlines()
    assert "native code" in line
    rounded = ChunkRenderer(renderer, RenderingSettings(precision="bf16-mixed"), 7).renderer
    assert type(rounded.fine) is RenderPass


@pytest.mark.usefixtures("anew")
@pytest.mark.parametrize("what", ["no compiler", "it does not compile", "direct head"])
def test_the_plain_pass_on_a_cpu(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    expected = {"no compiler": "compiler", "it does not compile": "error", "direct head": "direct"}[what]
    if what == "no compiler":
        monkeypatch.setenv("CXX", "no-such-compiler")
    elif what == "it does not compile":
        (tmp_path / "render_pass.cpp").write_text("this is no C++")
        monkeypatch.setattr(native_library, "SOURCES", tmp_path)
    plain = RenderPass(direct_rendering=what == "direct head")
    assert choice.chosen(plain, "32-true", twin=None) is plain
    (line,) = capsys.readouterr().out.splitlines()
    assert "plain pass" in line
    assert expected in line
