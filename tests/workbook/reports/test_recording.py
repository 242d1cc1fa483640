"""Reports of an open notebook: the page tells what the kernel ran, whatever is saved, or it is not made."""

from html import unescape

import nbformat
import pytest
from jupyter_client.manager import start_new_kernel
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from maskrf_core.support.paths import ROOT
from maskrf_core.workbook.recording import ExecutedCell
from maskrf_core.workbook.reports import executed_notebook

SOURCES = {
    "scene": "scene = None",
    "record": "import maskrf_core.workbook",
    "show": "from IPython.display import display\nprint('shown:', scene)\nhandle = display('old', display_id=True)",
    "update": "handle.update('new')\nprint('more')",
    "result": "{'scene': scene}",
    "keep": "from pathlib import Path\nfrom maskrf_core.workbook.reports import keep_this_notebook\n"
    "keep_this_notebook(Path('run'), Path('.'), name='n')",
}


class OpenNotebook:
    """A notebook's file, and a kernel that runs its cells, or others, as JupyterLab has it run them."""

    def __init__(self, file, client):
        self.file, self._client = file, client

    def save(self, **changed):
        cells = [new_code_cell(source, id=name) for name, source in (SOURCES | changed).items()]
        nbformat.write(new_notebook(cells=[new_markdown_cell("# the title"), *cells]), self.file)

    def run(self, *names, ids=True, **changed):
        """Run cells of the notebook, or what stands in them unsaved; return what they print."""
        printed = []
        for name in names or SOURCES:
            content = {"code": changed.get(name, SOURCES.get(name)), "silent": False, "store_history": True}
            metadata = {"cellId": name} if ids else {}
            message = self._client.session.msg("execute_request", content, metadata=metadata)
            self._client.shell_channel.send(message)
            while True:
                reply = self._client.get_iopub_msg(timeout=120)
                if reply["parent_header"].get("msg_id") != message["header"]["msg_id"]:
                    continue
                if reply["msg_type"] == "status" and reply["content"]["execution_state"] == "idle":
                    break
                assert reply["msg_type"] != "error" or name == "fails", reply["content"]
                printed.append(reply["content"].get("text", ""))
        return "".join(printed)

    @property
    def page(self):
        page = self.file.parent / "run" / "n.html"
        return unescape(page.read_text()) if page.is_file() else ""


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    """One kernel for all: it takes seconds to import."""
    folder = tmp_path_factory.mktemp("open")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.setenv("JPY_SESSION_NAME", str(folder / "n.ipynb"))
        manager, client = start_new_kernel(kernel_name="python3", cwd=str(folder))
    yield OpenNotebook(folder / "n.ipynb", client)
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def test_the_page_tells_what_ran(kernel):
    kernel.save()
    changed = {"scene": "scene = 'demo/test_03'"}
    assert "Save the notebook and run this cell again" in kernel.run(**changed), "the first cell ran before the record"
    assert kernel.page == ""

    kernel.save(**changed)
    assert "report in" in kernel.run("keep")
    assert "scene = 'demo/test_03'" in kernel.page
    assert "shown: demo/test_03" in kernel.page
    assert "# the title" not in kernel.page
    assert "the title" in kernel.page
    assert "'new'" in kernel.page
    assert "<pre>'old'" not in kernel.page

    kernel.run(scene="scene = 'unsaved'")
    assert "shown: unsaved" in kernel.page
    assert "demo/test_03" not in kernel.page, "what was run again since"

    before = kernel.page
    assert "no report" in kernel.run("scene", "keep", scene="scene = 'without the rest'")
    assert "no report" in kernel.run("show", "keep"), "the cells below show something older"
    kernel.save(result="{'another': scene}")
    assert "no report" in kernel.run(ids=False), "a front end that tells no ids: only the saved source is known"
    assert kernel.page == before

    kernel.save()
    kernel.run("fails", fails="print('tried'); 1 / 0")
    kernel.run()
    assert "tried" not in kernel.page, "before the notebook"
    kernel.run(*list(SOURCES)[:3], ids=False)
    kernel.run("fails", fails="print('tried'); 1 / 0", ids=False)
    kernel.run(*list(SOURCES)[3:], ids=False)
    assert "tried" in kernel.page
    assert "ZeroDivisionError" in kernel.page


def ran(*sources):
    return [ExecutedCell(source) for source in sources]


def sources_of(notebook):
    return [cell.source for cell in notebook.cells]


def test_papermill_runs_a_cell_more_and_finds_it_again():
    cells = [new_markdown_cell("A"), new_code_cell("x = 1", metadata={"tags": ["parameters"]}), new_markdown_cell("B")]
    saved = new_notebook(cells=[*cells, new_code_cell("x"), new_code_cell(" "), new_code_cell("x"), new_code_cell("y")])
    notebook, faults = executed_notebook(saved, ran("x = 1", "# Parameters\nx = 2", "x", "x"))
    assert sources_of(notebook) == ["A", "x = 1", "# Parameters\nx = 2", "B", "x", "x"]
    assert [cell.metadata.get("tags") for cell in notebook.cells][1:3] == [["parameters"], ["injected-parameters"]]
    assert faults == 0
    nbformat.validate(notebook)


def test_of_another_notebook_the_cells_stand_alone():
    notebook, _ = executed_notebook(new_notebook(cells=[new_markdown_cell("A"), new_code_cell("z")]), ran("x", "y"))
    assert sources_of(notebook) == ["x", "y"]
