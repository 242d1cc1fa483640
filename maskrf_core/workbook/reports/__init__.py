"""Reports: executed notebooks kept in run folders, a small page of each, and an index of all runs."""

from maskrf_core.workbook.reports.keeping import keep, keep_this_notebook
from maskrf_core.workbook.reports.pages import write_index

__all__ = ["keep", "keep_this_notebook", "write_index"]
