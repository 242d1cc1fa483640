"""Results of a run on a GPU: a file that a later run takes up, and a table."""

import json
import statistics
from pathlib import Path
from typing import Any

Case = dict[str, dict[str, Any]]  # what was measured, by what it was measured of


def read(path: Path, made: dict[str, Any]) -> dict[str, Any]:
    """Return what a run that was cut off has measured, where it was the same run; what failed is tried again."""
    fresh = {"made": made, "parts": {}}
    if not path.is_file():
        return fresh
    found = json.loads(path.read_text(encoding="utf-8"))
    if found["made"] | {"date": None} != made | {"date": None}:
        print(f"{path.name} is of another machine or size: measured anew", flush=True)
        return fresh
    return found | {"parts": {name: part for name, part in found["parts"].items() if not _failed(part)}}


def _failed(part: Case) -> bool:
    return "error" in part or any("failed" in of.get("computed_by", "") for of in part.values())


def table(result: dict[str, Any]) -> str:
    """Write it as Markdown: a line a part and way, with how many times as fast as the plain pass it is."""
    lines = ["| part | | ms | times as fast | rays/s | GiB | kernels | ms at work | dB to plain | computed by |"]
    lines.append("|" + "---|" * 10)
    for part, cases in result["parts"].items():
        if "error" in cases:
            lines.append(f"| {part} | failed: {cases['error']['text'].splitlines()[0]} |" + " |" * 8)
            continue
        for name, of in cases.items():
            lines.append(f"| {part} | {name} | " + " | ".join(_cells(of, cases.get("plain float32"))) + " |")
    return "\n".join([", ".join(f"{name}: {value}" for name, value in result["made"].items()), "", *lines, ""])


def _cells(of: dict[str, Any], plain: dict[str, Any] | None) -> list[str]:
    seconds = statistics.median(of["seconds"])
    faster = "" if plain is None else f"{statistics.median(plain['seconds']) / seconds:.2f}"
    speed = of.get("rays_per_second", of.get("per_second"))
    numbers = (speed, of.get("gib"), of.get("kernels"), of.get("milliseconds_at_work"), of.get("decibels_to_plain"))
    return [
        f"{1e3 * seconds:.4g}", faster, *("" if number is None else f"{number:.4g}" for number in numbers),
        of.get("computed_by", ""),
    ]  # fmt: skip
