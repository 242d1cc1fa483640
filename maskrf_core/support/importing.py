"""Imports of libraries that are heavy and change the process."""

import signal
import threading
from types import ModuleType


def import_pycolmap() -> ModuleType:
    """Import pycolmap, and give SIGTERM back to whoever handled it: pycolmap's log takes it when it is imported.

    A training that is asked to save by SIGTERM would else die of it.

    Raises:
        ImportError: it is not installed.
    """
    before = signal.getsignal(signal.SIGTERM)
    import pycolmap

    if before is not None and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, before)
    return pycolmap
