"""The window's server: where it listens, and what it says where it cannot be had. `tests/browser` looks at it."""

import socket
import sys
import urllib.request

import pytest
import torch

from maskrf_core.checkpoints.published_files import SHIPPED
from maskrf_core.model.renderer import Renderer
from maskrf_core.rendering.viewer.__main__ import main, source_of
from maskrf_core.rendering.viewer.window import open_window
from maskrf_core.runs import Run
from maskrf_core.settings.config import load_config
from maskrf_core.settings.sections import ModelSettings
from maskrf_core.support.errors import RunError, SettingsError


@pytest.fixture(scope="module")
def renderer():
    return Renderer(ModelSettings(coarse_samples=4, fine_samples=2)).eval()


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def test_it_listens_on_this_machine_alone_and_beside_another_one(renderer):
    port = free_port()
    first = open_window(renderer, "demo/test_00", "untrained", port=port)
    second = open_window(renderer, "demo/test_00", "untrained", port=port)
    try:
        assert first.server.get_host() == "127.0.0.1"
        assert first.server.get_port() == port != second.server.get_port()
        for window in (first, second):
            with urllib.request.urlopen(window.address, timeout=10) as page:
                assert page.status == 200
    finally:
        first.stop()
        second.stop()


@pytest.mark.parametrize(
    "asked", [{"port": 0}, {"port": 70000}, {"host": "203.0.113.7"}, {"host": "no.such.host.invalid"}]
)
def test_no_place_to_listen_at_is_said(renderer, asked):
    with pytest.raises(SettingsError):
        open_window(renderer, "demo/test_00", "untrained", **asked)


def test_without_viser_it_says_what_to_install(renderer, monkeypatch):
    monkeypatch.setitem(sys.modules, "viser", None)
    with pytest.raises(SettingsError, match=r"pip install 'maskrf-core\[viewer\]'"):
        open_window(renderer, "demo/test_00", "untrained")


@pytest.mark.parametrize(
    "arguments",
    [
        ["demo/tset_00"],
        ["demo/test_00", "--checkpoint", "nowhere.pt"],
        pytest.param(
            ["demo/test_00", "--device", "cuda"],
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here"),
        ),
    ],
)
def test_the_command_says_what_is_wrong_in_one_line(arguments, capsys):
    assert main(arguments) == 1
    printed = capsys.readouterr()
    assert len(printed.err.strip().splitlines()) == 1
    assert "Traceback" not in printed.err


@pytest.mark.parametrize("arguments", [["--port", "many"], ["--device", "tpu"], ["--scene", "demo/test_00"]])
def test_unknown_arguments_are_refused(arguments):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2


def test_weights_go_by_name_run_or_file(tmp_path):
    assert [source_of(name) for name in SHIPPED] == list(SHIPPED)
    run = Run.start(tmp_path / "run", load_config("finetune", "demo"))
    found = source_of(str(run.folder))
    assert isinstance(found, Run)
    assert found.folder == run.folder
    file = tmp_path / "weights.pt"
    file.touch()
    assert source_of(str(file)) == file
    with pytest.raises(RunError):
        source_of(str(tmp_path))
