"""Reports: executed notebooks kept in run folders, a small page of each, and an index of all runs."""

from maskrf_core.workbook.reports.index import write_index
from maskrf_core.workbook.reports.keeping import keep, keep_this_notebook

__all__ = ["keep", "keep_this_notebook", "write_index"]
