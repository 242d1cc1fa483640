"""The names that a notebook's parameter cells assign, and the check of their values.

papermill writes the values that were asked for into a cell of their own and only warns of a name the notebook does not
know. So the cells as executed are read, not the namespace, which in JupyterLab soon holds much else.
"""

import ast
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import Any, TypeVar

from pydantic import ValidationError

from maskrf_core.settings.readable_errors import readable
from maskrf_core.support.errors import SettingsError
from maskrf_core.workbook.parameters.notebook_parameters import NotebookParameters

INJECTED = "# Parameters"  # first line of the cell that papermill injects
Parameters = TypeVar("Parameters", bound=NotebookParameters)


def check_parameters(model: type[Parameters], namespace: Mapping[str, Any]) -> Parameters:
    """Return the notebook's parameters, from `globals()`, all of them checked.

    Raises:
        SettingsError: one line for each that is unknown (with the nearest name), of a wrong type or out of range.
    """
    fields = model.model_fields
    names = parameter_names(namespace, fields)
    values = {name: namespace[name] for name in [*names, *fields] if name in namespace}
    try:
        parameters = model.model_validate(values)
    except ValidationError as error:
        raise SettingsError(readable(error, model, noun="parameter")) from None
    parameters.check_settings()
    if model.names_weights and getattr(parameters, model.names_weights):
        parameters.weights_path(getattr(parameters, model.names_weights))
    return parameters


def parameter_names(namespace: Mapping[str, Any], known: Collection[str]) -> list[str]:
    """List the names assigned by the parameter cells that were executed last, in order.

    Outside of IPython there are no cells: then every public name of a plain value counts.
    """
    cells = namespace.get("In")
    if not cells:
        plain = (bool, int, float, str, type(None))
        return [name for name, value in namespace.items() if not name.startswith("_") and isinstance(value, plain)]
    names: list[str] = []
    for source in reversed(cells):
        found = literal_assignments(source)
        # A cell `x = 3`, tried out in passing, is none: papermill injected it, or a name is known or nearly so.
        meant = source.lstrip().startswith(INJECTED) or any(get_close_matches(name, known, n=1) for name in found)
        if found and meant:
            names = found + names
        elif names:  # what lies further back was executed before, and replaced since
            break
    return list(dict.fromkeys(names))


def literal_assignments(source: str) -> list[str]:
    """List the names that a cell assigns if all its statements assign literals to names; else none."""
    names = []
    try:
        for statement in ast.parse(source).body:
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            ast.literal_eval(statement.value)
            names += [target.id for target in targets]
    except (SyntaxError, AttributeError, TypeError, ValueError):  # a magic, no assignment, no name or no literal
        return []
    return names
