"""The whole traces of errors of which a notebook shows one line, as files of this user alone."""

import os
import traceback
from datetime import datetime, timezone
from pathlib import Path

from maskrf_core.support.atomic_files import write_text
from maskrf_core.support.errors import MaskrfError
from maskrf_core.support.paths import private_folder

KEPT = 30  # traces; older ones are removed


def keep_trace(error: MaskrfError) -> str:
    """Write the trace of an error to a file, and return where it is; or why it is nowhere."""
    try:
        folder = private_folder("traces")
        path = folder / f"{datetime.now(timezone.utc):%Y%m%d_%H%M%S_%f}_{os.getpid()}.txt"
        write_text(path, "".join(traceback.format_exception(error)))
        for old in sorted(folder.glob("*.txt"))[:-KEPT]:
            old.unlink(missing_ok=True)
    except (OSError, MaskrfError) as reason:
        return f"its trace could not be kept: {reason}"
    home = Path.home()
    return f"trace: {Path('~') / path.relative_to(home) if path.is_relative_to(home) else path}"
