"""The parameters that a notebook's cells assign, read from the cells as they were executed.

papermill writes the values that were asked for into a cell of their own and only warns of a name the notebook does not
know. So cells are read, not the namespace alone: in JupyterLab that soon holds much else, and keeps what was deleted
from a cell.
"""

import ast
import re
from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches
from typing import Any, NamedTuple

INJECTED = "# Parameters"  # first line of the cell that papermill injects
COMMENTED_OUT = re.compile(r"^\s*#+\s*(\w+)\s*(?::[^=\n]*)?=(?!=)", re.MULTILINE)
NEAR, NEARER = 0.6, 0.88  # similarity to a parameter of what is one misspelt: of a constant; of a computed value, which
# other cells have many of (the nearest of the notebooks' own is 0.86)
RUN_HERE = ("time", "capture")  # magics that execute their text in the namespace


class ParameterCells(NamedTuple):
    """What the parameter cells say: names, in the order of the cells."""

    names: list[str]  # whose values count; misspelt ones among them
    dropped: list[str]  # parameters of a cell that was run again without them: they are back at their defaults
    doubtful: list[str]  # parameters whose value is of a cell that may or may not have been replaced


def read_parameter_cells(namespace: Mapping[str, Any], known: Collection[str]) -> ParameterCells:
    """Read which of a namespace's names are parameters: those of the newest version of every parameter cell.

    Outside of IPython, where there are no cells, every public name of a plain value is one.
    """
    plain = [name for name, value in namespace.items() if not name.startswith("_") and _is_plain(value)]
    if not namespace.get("In"):
        return ParameterCells(plain, [], [])
    executed = [_Cell(source, known) for source in namespace["In"]]
    current: list[_Cell] = []
    setters: dict[str, _Cell] = {}  # of each name, the cell that was executed last
    gone: dict[bool, list[str]] = {True: [], False: []}  # of replaced cells: surely or not
    for cell in (each for each in executed if each.has_parameters):
        replaced = {before: sure for before in current if (sure := cell.replaces(before)) is not None}
        for before, sure in replaced.items():
            gone[sure] += [name for name in before.assigned if name in known]
        current = [*(before for before in current if before not in replaced), cell]
        setters |= dict.fromkeys(cell.assigned, cell)
    names = dict.fromkeys(name for cell in current for name in cell.assigned)
    shadowed = [name for name in names if name in known and setters[name] not in current]
    dropped, doubtful = ([name for name in dict.fromkeys(of) if name not in names] for of in gone.values())
    # `exec`, `%run`, `for` and imports give values too.
    seen = {name for cell in executed for name in cell.assigned}
    unseen = [name for name in namespace if name in known or (name in plain and _near(name, known, NEARER))]
    return ParameterCells([*names, *(name for name in unseen if name not in seen)], dropped, [*doubtful, *shadowed])


class _Cell:
    """A cell as it was executed."""

    def __init__(self, source: str, known: Collection[str]):
        self.assigned = list(constants := assignments(source))
        self.injected = source.lstrip().partition("\n")[0].rstrip() == INJECTED
        self.has_parameters = bool(constants) and (
            self.injected or any(_near(name, known, NEAR if constants[name] else NEARER) for name in constants)
        )
        self._meant = [_near(name, known, NEAR) or name for name in constants]
        self._mentioned = {*self._meant, *COMMENTED_OUT.findall(source)}

    def replaces(self, before: "_Cell") -> bool | None:
        """Tell whether this is an executed cell again, edited: surely (True), perhaps (False), or another cell (None).

        papermill injects one cell, which stands beside the notebook's own.
        """
        if self.injected:
            return True if before.injected else None
        if 2 * len(self._mentioned & {*before._meant}) >= len({*before._meant}):
            return True
        return False if before._meant[0] in self._mentioned else None


def assignments(source: str) -> dict[str, bool]:
    """Return the names that a cell assigns outside of functions and classes, in order: whether only to constants."""
    found: dict[str, bool] = {}
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):  # of such a cell nothing was executed
        return found
    for node in _executed(tree):
        match node:
            case ast.Assign(targets=targets, value=value):
                pass
            case (
                ast.AnnAssign(target=target, value=ast.expr() as value)
                | ast.AugAssign(target=target, value=value)
                | ast.NamedExpr(target=target, value=value)
            ):
                targets = [target]
            case ast.Call(func=ast.Attribute(), args=[ast.Constant(magic), *_, ast.Constant(str(text))]):
                found |= assignments(text) if magic in RUN_HERE else {}
                continue
            case _:
                continue
        used = [part.id for part in ast.walk(value) if isinstance(part, ast.Name)]
        if "check_parameters" not in used:  # that gives the parameters, and is none
            stored = [part for target in targets for part in ast.walk(target) if isinstance(part, ast.Name)]
            names = [part.id for part in stored if isinstance(part.ctx, ast.Store) and not part.id.startswith("_")]
            found |= {name: not used and found.get(name, True) for name in names}
    return found


def _executed(node: ast.AST) -> Iterator[ast.AST]:
    """Walk through what a cell itself executes, in order; of `if False` and `if True`, what is chosen."""
    children = ast.iter_child_nodes(node)
    if isinstance(node, ast.If) and isinstance(node.test, ast.Constant):
        children = node.body if node.test.value else node.orelse
    for child in children:
        yield child
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            yield from _executed(child)


def _near(name: str, known: Collection[str], similarity: float) -> str | None:
    return next(iter(get_close_matches(name, known, n=1, cutoff=similarity)), None)


def _is_plain(value: Any) -> bool:
    return isinstance(value, bool | int | float | str | None)
