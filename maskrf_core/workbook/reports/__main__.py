"""`python -m maskrf_core.workbook.reports [runs_root]`: write the index of the run folders again."""

import sys
from pathlib import Path

from maskrf_core.support.paths import RUNS, display_path
from maskrf_core.workbook.reports.pages import write_index

if __name__ == "__main__":
    print(display_path(write_index(Path(sys.argv[1]) if len(sys.argv) > 1 else RUNS)))
