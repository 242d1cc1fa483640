"""What notebooks show and do: parameters, experiments, tables, figures, and executing the notebooks themselves.

In a notebook's kernel, importing it begins the record from which the report is made.
"""

from maskrf_core.workbook.recording import record_execution

record_execution()
