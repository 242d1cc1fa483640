"""The table of the study: a row a training that was scored, whoever adds it; committed as CSV."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from maskrf_core.support.atomic_files import write_text
from maskrf_core.support.errors import RunError
from maskrf_core.support.file_locks import in_turns
from maskrf_core.workbook.experiments.study.plan import Part, Point, likeness

KEY = ("arm", "seed", "train scenes", "pretrain steps", "steps", "overrides")
NUMBERS = KEY[1:5]
SCORES = ("psnr", "ssim", "depth error")
SEPARATOR = "|"  # of a column of scores: metric, working views, scene


def read_rows(path: Path) -> pd.DataFrame:
    """Read the table; empty before the first row. `RunError` where it is damaged, or has a row twice."""
    if not path.is_file():
        return pd.DataFrame(columns=list(KEY))
    try:
        text = path.read_text(encoding="utf-8")
        table = pd.read_csv(io.StringIO(text), dtype={"overrides": str}).copy()  # in one piece, for all its columns
    except (ValueError, OSError) as error:
        raise RunError(f"{path}: cannot be read as a table ({error}). Take it from git again.") from error
    table = table.assign(overrides=table["overrides"].fillna("") if "overrides" in table else "")
    if missing := [name for name in KEY if name not in table]:
        raise RunError(f"{path}: lacks the columns {', '.join(missing)}. Take it from git again.")
    if not text.endswith("\n"):
        raise RunError(f"{path}: its last line is cut off. Take it from git again, or delete that line.")
    numbers = table[list(NUMBERS)].apply(pd.to_numeric, errors="coerce")
    if len(bad := numbers.index[numbers.isna().any(axis="columns")]):
        raise RunError(f"{path}: line {bad[0] + 2} is no row of the study. Take the table from git again.")
    if len(twice := table.index[table.duplicated(list(KEY))]):
        raise RunError(f"{path}: line {twice[0] + 2} is a row that is there before. Delete one of them.")
    return table.astype(dict.fromkeys(NUMBERS, int))


def keys(table: pd.DataFrame) -> set[tuple[str, ...]]:
    """Return what tells the rows apart, as `Part.key`."""
    return {tuple(map(str, row)) for row in table[list(KEY)].itertuples(index=False)}


def add_row(path: Path, row: Mapping[str, Any]) -> None:
    """Add a row, or replace the one of the same key; several processes take turns by a lock beside the table."""
    with in_turns(path.with_name(f".{path.name}.lock")):
        table = read_rows(path)
        same = [tuple(map(str, each)) == tuple(str(row[name]) for name in KEY) for each in
                table[list(KEY)].itertuples(index=False)]  # fmt: skip
        kept = table[[not each for each in same]]
        new = pd.DataFrame([row])
        joined = new if kept.empty else pd.concat([kept, new], ignore_index=True)
        write_text(path, joined.to_csv(index=False, float_format="%.5g"))


def score_column(metric: str, working_views: int, scene: str) -> str:
    """Name the column of a score."""
    return SEPARATOR.join([metric, str(working_views), scene])


def long_scores(table: pd.DataFrame) -> pd.DataFrame:
    """Return a line a row, scene and number of working views: its key, `likeness`, and the scores as columns."""
    columns = [name for name in table.columns if SEPARATOR in name]
    long = table.melt(id_vars=list(KEY), value_vars=columns).dropna(subset="value")
    parts = long["variable"].str.split(SEPARATOR, n=2, expand=True)
    long = long.assign(metric=parts[0], **{"working views": parts[1].astype(int), "scene": parts[2]})
    index = [*KEY, "working views", "scene"]
    wide = long.pivot_table(index=index, columns="metric", values="value").reset_index().rename_axis(columns=None)
    return wide.assign(likeness=wide["scene"].map(likeness))


def left(points: Sequence[Point], table: pd.DataFrame) -> dict[str, list[Part]]:
    """Return the parts of each point, by its name, that have no row yet; points that are whole are left out."""
    there = keys(table)
    found = {point.name: [part for part in point.parts if part.key not in there] for point in points}
    return {name: parts for name, parts in found.items() if parts}


def state(points: Sequence[Point], table: pd.DataFrame) -> pd.DataFrame:
    """Tabulate a row an arm: its rows that are there, of those that are asked for, and the seeds that are whole."""
    there, unfinished = keys(table), left(points, table)
    arms = {}
    for point in points:
        row = arms.setdefault(point.arm.name, {"arm": point.arm.name, "rows": 0, "of": 0, "seeds": 0, "of seeds": 0})
        row["rows"] += sum(part.key in there for part in point.parts)
        row["of"] += len(point.parts)
        row["seeds"] += point.name not in unfinished
        row["of seeds"] += 1
    return pd.DataFrame(list(arms.values()))
