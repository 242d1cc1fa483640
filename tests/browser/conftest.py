"""JupyterLab in headless Chromium, as a person uses it: a server of its own, notebooks in a folder of its own.

Screenshots go to the folder that MASKRF_SCREENSHOTS names, or to the test's own.
"""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from maskrf_core.support.paths import ROOT

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SCREENSHOTS = "MASKRF_SCREENSHOTS"
EMPTY = "[ ]:"  # the prompt of a cell that has not run
OFFLINE = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-sync"]
OFFLINE += ["--enable-unsafe-swiftshader"]  # WebGL without a GPU


class Notebook:
    """A notebook that is open in a browser's tab."""

    def __init__(self, page, folder: Path, name: str):
        self.page, self.folder, self.name = page, folder, name

    def cell(self, number: int):
        """Return the `number`-th code cell, from 0."""
        return self.page.locator(".jp-CodeCell").nth(number)

    def output(self, number: int):
        """Return the output area of a code cell."""
        return self.cell(number).locator(".jp-Cell-outputArea")

    def run(self, number: int, *, wait: bool = True, seconds: float = 120) -> None:
        """Run a cell by Ctrl+Enter; the first press before the kernel listens is lost, so it is pressed again."""
        prompt = self.cell(number).locator(".jp-InputPrompt").first
        before = prompt.inner_text()
        self._press(number)
        end = time.monotonic() + 15
        while wait is False and time.monotonic() < end and prompt.inner_text() in (before, EMPTY):
            self._press(number)
        if wait:
            self.wait(number, seconds, before)

    def _press(self, number: int) -> None:
        """Press Ctrl+Enter in a cell, and look for a moment whether that was heard."""
        self.cell(number).locator(".cm-content").first.click()
        self.page.keyboard.press("Control+Enter")
        self.page.wait_for_timeout(2000)

    def wait(self, number: int, seconds: float = 120, before: str = EMPTY) -> None:
        """Wait until a cell has run to its end. One whose press was lost shows [*] for a while, and then none again."""
        prompt, end = self.cell(number).locator(".jp-InputPrompt").first, time.monotonic() + seconds
        while (now := prompt.inner_text()) == before or not re.search(r"\[\d+\]", now):
            assert time.monotonic() < end, f"cell {number} still runs: {self.output(number).inner_text()[-2000:]}"
            if now in (before, EMPTY):
                self._press(number)
            time.sleep(0.2)
            if "[ ]" in prompt.inner_text():  # a kernel that was only starting took the press, and lost it
                self.run(number, wait=False)

    def screenshot(self, name: str) -> Path:
        """Keep what the page looks like."""
        folder = Path(os.environ.get(SCREENSHOTS) or self.folder / "screenshots")
        folder.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=str(folder / f"{name}.png"))
        return folder / f"{name}.png"


class Lab:
    """A JupyterLab server that serves a folder, and a browser that opens its notebooks."""

    def __init__(self, folder: Path, address: str, browser):
        self.folder, self.address, self.browser, self.opened = folder, address, browser, 0

    def open(self, name: str, *sources: str) -> Notebook:
        """Open a notebook in a new tab: one of these cells or, without any, a copy of the committed one."""
        path = self.folder / f"{name}.ipynb"
        if sources:
            metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
            cells = [new_code_cell(source) for source in sources]
            nbformat.write(new_notebook(cells=cells, metadata=metadata), path)
        else:
            shutil.copy(ROOT / "notebooks" / path.name, path)
        return self.reopen(name)

    def reopen(self, name: str) -> Notebook:
        """Open a notebook that is there in a new tab, as after closing the first one; its kernel is the same."""
        page = self.browser.new_page(viewport={"width": 1400, "height": 1000})
        self.opened += 1  # a workspace of its own, or the tabs of notebooks before it were opened too
        page.goto(f"{self.address}/lab/workspaces/{self.opened}/tree/{name}.ipynb")
        page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=90_000)
        page.wait_for_selector(".jp-Notebook-ExecutionIndicator[data-status='idle']", timeout=90_000)
        return Notebook(page, self.folder, name)


@pytest.fixture(scope="session")
def browser() -> Iterator:
    """Start Chromium, or skip where there is none."""
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed (Debian, Ubuntu: apt install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=OFFLINE)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def lab(browser, tmp_path_factory) -> Iterator[Lab]:
    """Start JupyterLab on a free port of this machine alone."""
    folder = tmp_path_factory.mktemp("lab")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = folder / "settings"
    settings.mkdir()
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "MASKRF_RUNS": str(folder / "runs"),
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"),
        "JUPYTERLAB_SETTINGS_DIR": str(settings),
    }
    options = ["--no-browser", "--ip=127.0.0.1", f"--port={port}", "--allow-root", "--IdentityProvider.token="]
    options += [f"--ServerApp.root_dir={folder}", "--LabApp.extension_manager=readonly", "--LabApp.news_url=None"]
    log = (folder / "server.log").open("w")
    server = subprocess.Popen(
        [sys.executable, "-m", "jupyterlab", *options], env=environment, stdout=log, stderr=subprocess.STDOUT
    )
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_for(address, server, folder / "server.log")
        yield Lab(folder, address, browser)
    finally:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:  # it waits for kernels that a busy machine ends late
            server.kill()
        log.close()


def _wait_for(address: str, server: subprocess.Popen, log: Path, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while server.poll() is None and time.monotonic() < end:
        try:
            urllib.request.urlopen(f"{address}/api", timeout=2).close()
        except (urllib.error.URLError, OSError):
            time.sleep(0.3)
        else:
            return
    pytest.fail(f"JupyterLab did not start: {log.read_text()[-2000:]}")
