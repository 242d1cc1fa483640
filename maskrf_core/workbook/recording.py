"""Record what the cells of this kernel run and show, so that a report can be made of it, saved or not."""

import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any


@dataclass
class ExecutedCell:
    """A cell as it was executed."""

    source: str
    cell_id: str | None = None
    """As JupyterLab tells it; papermill tells none."""
    outputs: list[Any] = field(default_factory=list)


class Recorder:
    """Listen to what a kernel sends to its notebooks: sources, prints, pictures, results and errors.

    IPython's own record (`history_manager.outputs`) loses the descriptions of pictures, and ipykernel's hooks see
    neither sources nor errors.
    """

    def __init__(self, kernel: Any):
        self._kernel, self._send = kernel, kernel.session.send
        sources = kernel.shell.history_manager.input_hist_raw[1:] or [""]
        self.cells = {str(place): ExecutedCell(source) for place, source in enumerate(sources[:-1])}
        """By the id of the request; `outputs` are messages."""
        self._begin(sources[-1])
        kernel.session.send = self.send

    def send(self, stream: Any, msg_or_type: Any, *args: Any, **options: Any) -> Any:
        """Send as `jupyter_client.session.Session.send` does, and record what is sent."""
        message = self._send(stream, msg_or_type, *args, **options)
        if message is not None:  # as in a forked process, which sends nothing
            if message["header"]["msg_type"] == "execute_input":
                self._begin(message["content"]["code"])
            elif (request := message["parent_header"].get("msg_id")) in self.cells:
                self.cells[request].outputs.append(message)
        return message

    def _begin(self, source: str) -> None:
        request = self._kernel.get_parent()
        if request.get("content", {}).get("store_history", True):  # not what JupyterLab's extensions ask for themselves
            cell = ExecutedCell(source, request.get("metadata", {}).get("cellId"))
            self.cells[str(request.get("header", {}).get("msg_id"))] = cell


def record_execution() -> None:
    """Record from now on, if this is a notebook's kernel that is not recorded yet."""
    kernel = _kernel()
    if kernel is not None and _recorder(kernel) is None:
        Recorder(kernel)


def executed_cells() -> list[ExecutedCell]:
    """Return every execution in this kernel, in order, the running one last; none outside of a notebook's kernel.

    What was executed before `record_execution` has no outputs.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    kernel = _kernel()
    recorder = None if kernel is None else _recorder(kernel)
    displays: dict[str, Any] = {}
    cells = [] if recorder is None else list(recorder.cells.values())
    return [ExecutedCell(cell.source, cell.cell_id, _outputs(list(cell.outputs), displays)) for cell in cells]


def _outputs(messages: Iterable[dict[str, Any]], displays: dict[str, Any]) -> list[Any]:
    """Return the outputs of a notebook's cell that follow from messages; `displays` are those that may be updated."""
    from nbformat.v4 import output_from_msg

    outputs = []
    for message in messages:
        kind, content = message["header"]["msg_type"], message["content"]
        display_id = content.get("transient", {}).get("display_id")
        if kind == "clear_output":
            outputs.clear()
        elif kind == "update_display_data" and display_id in displays:
            displays[display_id].update(data=content["data"], metadata=content["metadata"])
        elif kind in ("stream", "display_data", "execute_result", "error"):
            outputs.append(output_from_msg(message))
            if display_id is not None:
                displays[display_id] = outputs[-1]
    return joined_streams(outputs)


def joined_streams(outputs: Iterable[Any]) -> list[Any]:
    """Return the outputs with consecutive prints as one: how a kernel cuts them is chance."""
    joined: list[Any] = []
    for output in outputs:
        if joined and output.output_type == "stream" == joined[-1].output_type and output.name == joined[-1].name:
            joined[-1].text += output.text
        else:
            joined.append(output)
    return joined


def _kernel() -> Any:
    """Return the kernel that runs this process, or None; ipykernel is not imported for that."""
    module = sys.modules.get("ipykernel.kernelapp")
    app = module.IPKernelApp.instance() if module and module.IPKernelApp.initialized() else None
    return getattr(app, "kernel", None)


def _recorder(kernel: Any) -> Recorder | None:
    owner = getattr(kernel.session.send, "__self__", None)
    return owner if isinstance(owner, Recorder) else None
