"""The parameters of the notebooks: flat scalars of their `parameters` cells, typed, bounded and strict.

Nothing here imports torch, numpy or pandas, so that a notebook refuses a wrong parameter within a second.
"""

from maskrf_core.workbook.parameters.notebook_parameters import (
    RUNS_VARIABLE,
    NotebookParameters,
    check_parameters,
    split_list,
)
from maskrf_core.workbook.parameters.parameters_by_notebook import (
    AblationParameters,
    DataParameters,
    EvaluateParameters,
    FinetuneParameters,
    MethodParameters,
    PerformanceParameters,
    PretrainParameters,
)

__all__ = [
    "RUNS_VARIABLE",
    "AblationParameters",
    "DataParameters",
    "EvaluateParameters",
    "FinetuneParameters",
    "MethodParameters",
    "NotebookParameters",
    "PerformanceParameters",
    "PretrainParameters",
    "check_parameters",
    "split_list",
]
