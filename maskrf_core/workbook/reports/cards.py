"""Reproduction cards: what we report, beside the published number, and what makes it again.

`python -m maskrf_core.workbook.reports.cards` writes `docs/numbers.md` from what is committed: the cards of the weights
that ship, the study's differences, and `docs/notebooks.json`, which `make notebooks` takes from its run folders.
"""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from maskrf_core.checkpoints.published_files import SHIPPED
from maskrf_core.runs.provenance import read_provenance
from maskrf_core.support.atomic_files import write_json, write_text
from maskrf_core.support.paths import ROOT
from maskrf_core.training.zero_shot import written_scores
from maskrf_core.workbook.experiments.study.results import WORKING_VIEWS, cell, label_of
from maskrf_core.workbook.experiments.study.rows import read_rows

DOCS = ROOT / "docs"
PAGE, OF_NOTEBOOKS = "numbers.md", "notebooks.json"
OWN_SCENES = ("demo/", "procedural", "capture/")
NONE, NOT_READ = "none: scenes of our own", "not read; other data, sizes and steps"
DEMO = "demo/test"
HEADER = """# Scores, and what makes them again

Scores are PSNR [dB] / SSIM / median error of depth; those of the study are differences of PSNR with their intervals of
95 % ([all of them](study-results.md)). No published number stands beside ours so far: the tables of MRVM-NeRF and
NeuRay could not be read here, and are of other data, sizes and numbers of steps. Speeds, and scores of single
experiments on other pages, stand there beside their commands.
`python -m maskrf_core.workbook.reports.cards` writes this page.
"""


class Card(NamedTuple):
    """A number that is reported."""

    what: str
    ours: str
    published: str
    command: str
    commit: str
    device: str
    date: str


def cards_of_weights(card: Mapping[str, Any]) -> Iterator[Card]:
    """Give the cards of weights that ship: of each scene, method and number of views; of demo test scenes the mean."""
    table = pd.DataFrame(card["numbers"])
    table["of"] = [DEMO if scene.startswith(DEMO) else scene for scene in table["scene"]]
    made_by = card["command"], ", ".join(card["commits"]), ", ".join(card["devices"]), card["written"]
    for (scenes, views, method), rows in table.groupby(["of", "working views", "method"], sort=False):
        mean = rows[["psnr", "ssim", "depth error"]].astype(float).mean()
        of = f"{scenes} (mean of {len(rows)})" if len(rows) > 1 else scenes
        what = f"{of}, {method}" + (f", {views} views" if views > 1 else "")
        yield _card(what, written_scores(mean), scenes, *made_by)


def cards_of_notebook(name: str, numbers: Mapping[str, Any], made: Mapping[str, Any]) -> Iterator[Card]:
    """Give the cards of the scores that a notebook recorded: of its methods, of its grid, or its one PSNR."""
    made_by = "make notebooks", str(made["git_commit"]), made["gpu"] or made["processor"], made["started"]
    if "methods" in numbers:
        found = {f"{method}, mean of {numbers['views']} views": row for method, row in numbers["methods"].items()}
    elif "summary" in numbers:
        found = {
            f"ratio {row['mask_ratio']:g}, {row['strategy']}, mean of {row['psnr']['n']} seeds": {
                score: row[score]["mean"] for score in ("psnr", "ssim")
            }
            for row in numbers["summary"]
        }
    else:
        found = {f"mean of {numbers['views']} views": numbers} if "psnr" in numbers else {}
    for what, row in found.items():
        yield _card(f"{name}: {what}", written_scores(pd.Series(row)), DEMO, *made_by)


def cards_of_study(results: pd.DataFrame, rows: pd.DataFrame) -> Iterator[Card]:
    """Give the cards of the study: of each comparison its differences of PSNR, a group of scenes after the other."""
    days = sorted(rows["date"])
    made_by = (
        "python -m maskrf_core.workbook.experiments.study.results",
        *(", ".join(sorted(set(rows[name]))) for name in ("commit", "device")),
    )
    drawn = results[(results["metric"] == "psnr") & (results["working views"] == WORKING_VIEWS)]
    labels = drawn.apply(label_of, axis="columns")
    for label, part in drawn.groupby(labels, sort=False):
        differences = " / ".join(f"{row['group']} {cell(row)}" for _, row in part.iterrows())
        published = "; ".join(dict.fromkeys(NOT_READ if group == "real" else NONE for group in part["group"]))
        yield Card(f"study: {label}, {WORKING_VIEWS} views", differences, published, *made_by, days[-1][:10])


def collect(runs: Path) -> list[dict[str, Any]]:
    """Gather what the notebooks recorded in their run folders, with what made it."""
    found = []
    for path in sorted(runs.rglob("results.json")):
        results = json.loads(path.read_text(encoding="utf-8"))
        if "results" in results:
            recorded, made = {path.parent.name: results["results"]}, results["provenance"]
        else:
            recorded = {f"{name}, {path.parent.name}": each for name, each in results.items() if name[:2].isdigit()}
            made = (read_provenance(path.parent).get("sessions") or [{}])[-1]
        keys = ("git_commit", "gpu", "processor", "started")
        found += [{"name": name, "numbers": each, "made": {key: made.get(key) for key in keys}}
                  for name, each in recorded.items()]  # fmt: skip
    return found


def keep_numbers(runs: Path, docs: Path = DOCS) -> None:
    """Keep what the notebooks recorded, and write the page again."""
    write_json(docs / OF_NOTEBOOKS, collect(runs))
    write_text(docs / PAGE, page(docs))


def page(docs: Path = DOCS) -> str:
    """Write all cards as Markdown."""
    cards = [card for file in SHIPPED.values() for card in cards_of_weights(_read(file.with_suffix(".json")))]
    if (table := docs / "study" / "differences.csv").is_file():
        cards += cards_of_study(pd.read_csv(table), read_rows(docs / "study" / "rows.csv"))
    for each in _read(docs / OF_NOTEBOOKS):
        cards += cards_of_notebook(each["name"], each["numbers"], each["made"])
    return "\n".join([HEADER, *_table(cards), ""])


def _table(cards: Sequence[Card]) -> Iterator[str]:
    """Write a table of all cards that one command made at one commit, on one device and day."""
    for (command, commit, device, day), rows in pd.DataFrame(cards).groupby(list(Card._fields[3:]), sort=False):
        yield f"\n`{command}`, commit {commit}, {device}, {day}:\n"
        yield "| what | ours | published |\n|---|---|---|"
        for row in rows.itertuples():
            yield f"| {row.what} | {row.ours} | {row.published} |"


def _card(what: str, ours: str, scene: str, command: str, commit: str, device: str, time: str) -> Card:
    published = NONE if scene.startswith(OWN_SCENES) else NOT_READ
    return Card(what, ours, published, command, commit, device, time[:10])


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def main() -> int:
    """Write the page again."""
    write_text(DOCS / PAGE, page())
    return 0


if __name__ == "__main__":
    sys.exit(main())
