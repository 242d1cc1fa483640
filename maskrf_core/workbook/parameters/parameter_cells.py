"""Which names of a notebook are its parameters: those that its parameter cells assign.

papermill writes the values that were asked for into a cell of their own and only warns of a name the notebook does not
know. So the cells as executed are read, not the namespace, which in JupyterLab soon holds much else.
"""

import ast
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import Any

INJECTED = "# Parameters"
"""First line of the cell that papermill injects."""


def parameter_names(namespace: Mapping[str, Any], known: Collection[str]) -> list[str]:
    """Names assigned by the parameter cells that were executed last, in order.

    Outside of IPython there are no cells: then every public name of a plain value counts.
    """
    cells = namespace.get("In")
    if not cells:
        return [name for name, value in namespace.items() if not name.startswith("_") and _is_plain(value)]
    names: list[str] = []
    for source in reversed(cells):
        found = assigned_by_parameter_cell(source, known)
        if found:
            names = found + names
        elif names:  # what lies further back was executed before, and replaced since
            break
    return list(dict.fromkeys(names))


def assigned_by_parameter_cell(source: str, known: Collection[str]) -> list[str]:
    """The names that a cell assigns if it is a parameter cell, else none.

    A parameter cell assigns literals and does nothing else; and papermill injected it, or one of its names is known or
    nearly so. (A cell `x = 3`, tried out in passing, is not one.)
    """
    names = literal_assignments(source)
    meant = source.lstrip().startswith(INJECTED) or any(get_close_matches(name, known, n=1) for name in names)
    return names if meant else []


def literal_assignments(source: str) -> list[str]:
    """The names that a cell assigns if all its statements assign literals to names, else none."""
    try:
        statements = ast.parse(source).body
    except SyntaxError:  # a cell with a magic, for one
        return []
    names = []
    for statement in statements:
        targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
        value = getattr(statement, "value", None)
        if not all(isinstance(target, ast.Name) for target in targets) or not _is_literal(value):
            return []
        names += [target.id for target in targets]
    return names


def _is_literal(value: ast.expr | None) -> bool:
    if value is None:
        return False
    try:
        ast.literal_eval(value)
    except (ValueError, TypeError):
        return False
    return True


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, bool | int | float | str)
