"""The house stays as it is drawn: imports point one way, nothing is circular, no name stands twice."""

import ast
from collections import Counter
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent / "maskrf_core"
FLOORS = [
    {"workbook", "slurm"},
    {"training"},
    {"rendering"},
    {"checkpoints", "runs"},
    {"losses", "model"},
    {"datasets"},
    {"cameras", "settings"},
    {"support"},
]
"""From the top of the house down: a room imports from its own floor and from those below it."""
LISTED = [path for path in PACKAGE.rglob("*.py") if "demo_scenes" not in path.parts]


def module_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_of(path): path for path in LISTED}


def imports_of(module: str, *, lazy: bool) -> set[str]:
    """Our modules that a module imports; those inside of functions only if `lazy`."""
    tree = ast.parse(FILES[module].read_text(encoding="utf-8"))
    nodes = ast.walk(tree) if lazy else iter(tree.body)
    found = set()
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("maskrf_core"):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found |= {name if name in FILES else node.module for name in names}
    return found - {module}


def floor_of(module: str) -> int | None:
    room = module.partition(".")[2].partition(".")[0]
    return next((number for number, rooms in enumerate(FLOORS) if room in rooms), None)


def test_the_root_holds_only_what_belongs_to_no_folder():
    entries = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in LISTED}
    assert entries == {"__init__", *set().union(*FLOORS)}


def test_imports_point_downwards():
    wrong = [
        f"{module} imports {other}"
        for module in FILES
        for other in imports_of(module, lazy=True)
        if floor_of(module) is not None and (floor_of(other) is None or floor_of(other) < floor_of(module))
    ]
    assert not wrong


def test_no_import_is_circular():
    graph = {module: imports_of(module, lazy=False) for module in FILES}
    circle = []
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        circle = error.args[1]
    assert circle == []


def test_no_file_name_stands_twice_or_looks_like_a_test():
    names = Counter(path.name for path in LISTED if not path.name.startswith("__"))
    assert [name for name, count in names.items() if count > 1] == []
    assert [name for name in names if name.startswith("test_") or name.endswith("_test.py")] == []
