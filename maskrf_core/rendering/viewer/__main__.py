"""A window to walk through a scene: `python -m maskrf_core.rendering.viewer demo/test_00`, then open its address."""

import argparse
import sys
from contextlib import suppress
from pathlib import Path
from typing import get_args

from maskrf_core.checkpoints.published_files import SHIPPED
from maskrf_core.rendering.viewer.window import open_window
from maskrf_core.runs import Run
from maskrf_core.settings.sections import Device
from maskrf_core.support.errors import MaskrfError
from maskrf_core.support.paths import resolve


def source_of(checkpoint: str) -> Run | str | Path:
    """Return what a name of weights that ship, a run folder or a checkpoint file means.

    Raises:
        RunError: it is a folder, but not that of a run.
    """
    path = resolve(checkpoint)
    if checkpoint in SHIPPED or not path.exists():
        return checkpoint
    return Run.open(path) if path.is_dir() else path


def main(arguments: list[str] | None = None) -> int:
    """Open the window that the command line asks for, until Ctrl+C."""
    parser = argparse.ArgumentParser(
        prog="python -m maskrf_core.rendering.viewer", description=__doc__.partition(":")[0]
    )
    parser.add_argument("scene", nargs="?", default="demo/test_00", help="demo/test_00")
    parser.add_argument("--checkpoint", default="maskrf", help="weights: a name, a checkpoint file or a run folder")
    parser.add_argument("--data-root", type=Path, default=Path("data"))
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; 0.0.0.0 lets everyone in")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--device", choices=get_args(Device), default="auto")
    asked = vars(parser.parse_args(arguments))
    scene, checkpoint, data_root = (asked.pop(name) for name in ("scene", "checkpoint", "data_root"))
    try:
        window = open_window(source_of(checkpoint), scene, checkpoint, data_root=resolve(data_root), **asked)
    except MaskrfError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{scene}: open {window.address} (Ctrl+C ends it)", flush=True)
    with suppress(KeyboardInterrupt):
        window.server.sleep_forever()
    window.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
