"""Reports: what a page shows and never loads, how large it may be, where it is kept, and the index of all."""

import base64
import io
import json
import os
import subprocess
import sys
from html.parser import HTMLParser

import nbformat
import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

from maskrf_core.support.paths import ROOT
from maskrf_core.workbook.execution import execute
from maskrf_core.workbook.figures.moving_pictures import script_source
from maskrf_core.workbook.reports import LARGEST, keep, keep_this_notebook, write_index
from maskrf_core.workbook.reports.pages import facts_of, report_page

KEEP = "from pathlib import Path\nfrom maskrf_core.workbook import reports\nreports.keep_this_notebook"
WIDGET = "application/vnd.jupyter.widget"


class Tags(HTMLParser):
    """All tags of a page with their attributes, and its text."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text += data

    def named(self, name):
        return [attributes for tag, attributes in self.tags if tag == name]


def png(side=8, seed=0):
    noise = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    encoded = io.BytesIO()
    Image.fromarray(noise).save(encoded, "png")
    return encoded.getvalue()


def picture_cell(side=8, seed=0):
    data = {"image/png": base64.b64encode(png(side, seed)).decode()}
    return new_code_cell("draw()", outputs=[new_output("display_data", data)])


def test_code_is_folded_and_pictures_are_in_the_page(tmp_path):
    tags = Tags(report_page(new_notebook(cells=[picture_cell()]), tmp_path, "<b>title</b> & more"))
    assert len(tags.named("details")) == 2, "what made it, and the cell's code"
    assert "draw()" in tags.text
    (image,) = tags.named("img")
    assert base64.b64decode(image["src"].removeprefix("data:image/png;base64,")) == png()
    assert not tags.named("b")
    assert "<b>title</b> & more" in tags.text


def test_nothing_is_loaded_from_elsewhere_and_nothing_runs(tmp_path):
    html = '<script src="https://x.org/a.js"></script><img src="https://x.org/a.png" alt="far"><link href="//x/y.css">'
    cells = [
        new_markdown_cell("![cat](https://x.org/cat.png) [a link](https://x.org)"),
        new_code_cell("1", outputs=[new_output("display_data", {"text/html": html})]),
        new_code_cell("2", outputs=[new_output("display_data", {"application/javascript": "alert(1)"})]),
        new_code_cell("3", outputs=[new_output("display_data", {f"{WIDGET}-view+json": {"model_id": "m"}})]),
    ]
    metadata = {"widgets": {f"{WIDGET}-state+json": {"state": {"m": {}}}}}
    page = report_page(new_notebook(cells=cells, metadata=metadata), tmp_path, "t")
    tags = Tags(page)
    policy = {meta.get("http-equiv"): meta["content"] for meta in tags.named("meta") if "content" in meta}
    assert policy["Content-Security-Policy"].split("; ") == [
        "default-src 'none'",
        "img-src data:",
        "media-src data:",
        f"script-src {script_source()}",
        "style-src 'unsafe-inline'",
        "form-action 'none'",
        "base-uri 'none'",
    ], "no browser loads or sends anything under it, or runs another script"
    assert page.index("Content-Security-Policy") < min(page.index(word) for word in ("<title", "<style", "<body"))
    assert page.count("<script") == 1, "that of the cell: nbconvert adds none"
    assert "alert(1)" not in page
    assert tags.text.count("moves only in an open notebook") == 2
    assert {link.get("href") for link in tags.named("a")} >= {"https://x.org"}


@pytest.mark.parametrize(
    "html",
    [
        '<meta http-equiv="refresh" content="0;url=https://x.org">',
        "<META/http-equiv=refresh content='0;url=https://x.org'>",
        '<meta\nhttp-equiv=refresh content="0;url=https://x.org?>" class="',
        '<form action="https://x.org"><input name="a"></form>',
        '<base href="https://x.org">',
        "<svg><foreignObject><meta http-equiv=refresh content='0;url=https://x.org'></foreignObject></svg>",
    ],
)
def test_nothing_sends_a_reader_elsewhere(tmp_path, html):
    kinds = ("text/html", "text/markdown", "image/svg+xml")
    cells = [
        new_markdown_cell(html),
        *(new_code_cell(k, outputs=[new_output("display_data", {k: html})]) for k in kinds),
    ]
    tags = Tags(report_page(new_notebook(cells=[*cells, new_markdown_cell("the *end*")]), tmp_path, "t"))
    assert {meta.get("http-equiv", "").lower() for meta in tags.named("meta")} == {"", "content-security-policy"}
    assert not tags.named("form")
    assert not tags.named("base")
    assert "the end" in tags.text


def test_a_page_that_would_be_too_large_is_not_made_and_this_is_said(tmp_path, capsys):
    (tmp_path / "n.html").write_text("of an earlier run")
    notebook = new_notebook(cells=[new_code_cell("p", outputs=[new_output("stream", text="x" * LARGEST)])])
    assert keep(notebook, tmp_path, name="n") == tmp_path / "n.ipynb"
    assert "no page: 5.0 MB are more than 5" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["n.ipynb"]


def test_facts_are_told_and_absent_ones_are_not_needed(tmp_path):
    assert "not told" in facts_of(tmp_path)[0][1]
    session = {"wall_seconds": 90.4, "peak_memory_mib": 512, "energy_joules": 3.0, "device": "cpu"}
    made_by = {"seed": 3, "git_commit": "abc", "git_changes": True, "data": {"demo/a": "f00"}}
    (tmp_path / "provenance.json").write_text(json.dumps(made_by | {"sessions": [session, {}, None]}))
    facts = dict(facts_of(tmp_path))
    assert facts["seed"] == "3"
    assert "not committed" in facts["commit"]
    assert facts["wall time"] == "90 s"
    assert facts["fingerprints of the data"] == "demo/a f00"


def write_notebook(path, *sources):
    nbformat.write(new_notebook(cells=[new_code_cell(source) for source in sources]), path)
    return path


def test_a_notebook_that_fails_has_a_page_with_its_traceback(tmp_path):
    assert execute(write_notebook(tmp_path / "in.ipynb", "1 / 0"), tmp_path / "out.ipynb", stream=io.StringIO())
    page = (tmp_path / "out.html").read_text()
    assert "ZeroDivisionError" in page
    assert "ansi-red-fg" in page


def test_papermill_alone_leaves_a_report(tmp_path):
    last = f"{KEEP}(Path('runs/run'), Path('runs'), name='n')"
    write_notebook(tmp_path / "in.ipynb", "import maskrf_core.workbook\nprint('before')", last)
    options = ["-k", "python3", "-l", "python", "-p", "scene", "demo/a"]
    command = [sys.executable, "-m", "papermill", "in.ipynb", "out.ipynb", *options]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "JPY_SESSION_NAME": str(tmp_path / "in.ipynb")}
    subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True)
    page = (tmp_path / "runs" / "run" / "n.html").read_text()
    assert "before" in str(nbformat.read(tmp_path / "runs" / "run" / "n.ipynb", 4).cells[1].outputs)
    assert "before" in page
    assert 'scene = "demo/a"' in page
    assert "run/n.html" in (tmp_path / "runs" / "index.html").read_text()


def test_where_no_notebook_runs_nothing_is_kept(tmp_path, capsys):
    keep_this_notebook(tmp_path / "run", tmp_path, name="n")
    assert "no report was kept" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def runs(tmp_path):
    good = tmp_path / "demo" / "<i>good"
    (good / "figures").mkdir(parents=True)
    (good / "config.yaml").write_text("stage: pretrain\n")
    (good / "metrics.csv").write_text(
        "step,phase,fine_psnr,fine_ssim\n1,train,,\n1,validation,17.5,0.5\n2,validation,16,0.5\n"
    )
    (good / "figures" / "renders.png").write_bytes(png(64))
    broken = tmp_path / "demo" / "broken"
    (broken / "figures").mkdir(parents=True)
    (broken / "config.yaml").write_bytes(b"\xff\x00")
    (broken / "metrics.csv").write_bytes(b"\x00")
    (broken / "training.json").write_text("{")
    (broken / "results.json").write_text("[")
    (broken / "figures" / "renders.png").write_bytes(png(64)[:100])
    results = tmp_path / "demo" / "05_evaluate"
    results.mkdir()
    (results / "results.json").write_text(json.dumps({"results": {"methods": {"a": {"psnr": 20}, "b": {}}}}))
    os.utime(results / "results.json", (4e9, 4e9))
    return tmp_path


def test_the_index_lists_whole_and_broken_folders(runs):
    page = write_index(runs).read_text()
    tags = Tags(page)
    policy = next(meta["content"] for meta in tags.named("meta") if "http-equiv" in meta)
    assert {"default-src 'none'", "form-action 'none'", "base-uri 'none'"} <= set(policy.split("; "))
    assert "17.50 dB" in tags.text
    assert "20.00 dB (test)" in tags.text
    assert "demo/broken" in tags.text
    assert "demo/<i>good" in tags.text, "names are text"
    assert not tags.named("i")
    assert len(tags.named("img")) == 1
    assert tags.text.index("05_evaluate") < tags.text.index("broken"), "newest first"
    assert write_index(runs).read_text() == page, "from the folders alone"


def scored(number):
    return f'{{"results": {{"methods": {{"a": {{"psnr": {number}}}}}}}}}'


def lasted(number):
    return f'{{"sessions": [{{"wall_seconds": {number}}}]}}'


DEEP, LONG = "[" * 100_000, "7" * 5_000
STRANGE = {
    "deep results": ("results.json", DEEP),
    "deep methods": ("results.json", scored(DEEP)),
    "long results": ("results.json", scored(LONG)),
    "large results": ("results.json", scored(LONG[:4000])),
    "deep provenance": ("provenance.json", DEEP),
    "sessions that are none": ("provenance.json", '{"sessions": 5}'),
    "long provenance": ("provenance.json", lasted(LONG)),
    "large provenance": ("provenance.json", lasted(LONG[:4000])),
    "half a character": ("provenance.json", '{"git_commit": "\\ud800"}'),
    "deep config": ("config.yaml", "a: " + "[" * 5000),
    "long config": ("config.yaml", f"stage: pretrain\ntraining: {{steps: {LONG}}}"),
    "deep status": ("training.json", DEEP),
    "large step": ("metrics.csv", f"step,phase\n{LONG[:30]},train\n"),
    "long step": ("metrics.csv", f"step,phase\n{LONG},train\n"),
    "long score": ("metrics.csv", f"step,phase,fine_psnr,fine_ssim\n1,validation,{LONG},1\n"),
}


@pytest.mark.parametrize("kind", STRANGE)
def test_one_strange_file_does_not_stop_the_others(runs, kind):
    strange = runs / "demo" / "strange"
    strange.mkdir()
    (strange / "config.yaml").write_text("stage: pretrain\n")
    (strange / "n.html").touch()
    name, text = STRANGE[kind]
    (strange / name).write_text(text)
    shown = Tags(write_index(runs).read_text()).text
    assert all(f"demo/{name}" in shown for name in ("strange", "<i>good", "05_evaluate"))
    assert keep(new_notebook(), strange, name="n", runs_root=runs).suffix == ".html"


def test_names_and_times_of_any_kind_are_listed(runs):
    strange = runs / "demo" / os.fsdecode(b"\xff")
    strange.mkdir()
    (strange / os.fsdecode(b"a\xfe.html")).touch()
    page = write_index(runs).read_text()
    assert "demo/%FF/a%FE.html" in page
    os.utime(runs / "demo" / "05_evaluate" / "results.json", (4e11, 4e11))
    assert "demo/05_evaluate" in Tags(write_index(runs).read_text()).text
