"""Record what the cells of this kernel run and show, so that a report can be made of it, saved or not."""

import sys
from dataclasses import dataclass, field
from typing import Any

OUTPUTS = ("stream", "display_data", "update_display_data", "execute_result", "error", "clear_output")


@dataclass
class ExecutedCell:
    """A cell as it was executed."""

    source: str
    cell_id: str | None = None  # as JupyterLab tells it; papermill tells none
    outputs: list[Any] = field(default_factory=list)


class Recorder:
    """Listen to what a kernel sends to its notebooks: sources, prints, pictures, results and errors.

    IPython's own record (`history_manager.outputs`) loses the descriptions of pictures, and ipykernel's hooks see
    neither sources nor errors.
    """

    def __init__(self, kernel: Any):
        self._kernel, self._send = kernel, kernel.session.send
        sources = kernel.shell.history_manager.input_hist_raw[1:] or [""]
        # By the id of the request; their outputs are messages.
        self.cells = {str(place): ExecutedCell(source) for place, source in enumerate(sources[:-1])}
        self._begin(sources[-1])
        kernel.session.send = self.send

    def send(self, stream: Any, msg_or_type: Any, *args: Any, **options: Any) -> Any:
        """Send as `jupyter_client.session.Session.send` does, and record what is sent."""
        message = self._send(stream, msg_or_type, *args, **options)
        if message is not None:  # as in a forked process, which sends nothing
            request = message["parent_header"].get("msg_id")
            if message["msg_type"] == "execute_input":
                self._begin(message["content"]["code"])
            elif message["msg_type"] in OUTPUTS and request in self.cells:
                self.cells[request].outputs.append(message)
        return message

    def _begin(self, source: str) -> None:
        request = self._kernel.get_parent()
        if request.get("content", {}).get("store_history", True):  # not what JupyterLab's extensions ask for themselves
            cell = ExecutedCell(source, request.get("metadata", {}).get("cellId"))
            self.cells[str(request.get("header", {}).get("msg_id"))] = cell


def record_execution() -> None:
    """Record from now on, if this is a notebook's kernel that is not recorded yet."""
    if (kernel := _kernel()) and not _recorder(kernel):
        Recorder(kernel)


def executed_cells() -> list[ExecutedCell]:
    """Return every execution in this kernel, in order, the running one last; none outside of a notebook's kernel.

    What was executed before `record_execution` has no outputs.
    """
    from nbclient import NotebookClient
    from nbformat.v4 import new_code_cell, new_notebook

    sys.stdout.flush()
    sys.stderr.flush()
    recorder = _recorder(_kernel())
    recorded = list(recorder.cells.values()) if recorder else []
    client, executed = NotebookClient(new_notebook(cells=[new_code_cell(cell.source) for cell in recorded])), []
    for place, (cell, shown) in enumerate(zip(recorded, client.nb.cells, strict=True)):
        client.clear_before_next_output = False
        for message in list(cell.outputs):
            client.process_message(message, shown, place)
        executed.append(ExecutedCell(cell.source, cell.cell_id, shown.outputs))  # which later cells may update
    return executed


def _kernel() -> Any:
    """Return the kernel that runs this process, or None; ipykernel is not imported for that."""
    module = sys.modules.get("ipykernel.kernelapp")
    app = module.IPKernelApp.instance() if module and module.IPKernelApp.initialized() else None
    return getattr(app, "kernel", None)


def _recorder(kernel: Any) -> Recorder | None:
    owner = kernel and getattr(kernel.session.send, "__self__", None)
    return owner if isinstance(owner, Recorder) else None
