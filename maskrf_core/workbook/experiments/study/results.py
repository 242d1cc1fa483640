"""What the rows of the study say, from the table alone: paired differences with intervals, and figures of them.

`python -m maskrf_core.workbook.experiments.study.results` writes `docs/study-results.md` and its figures again.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from maskrf_core.support.atomic_files import write_text
from maskrf_core.support.errors import MaskrfError, RunError
from maskrf_core.support.paths import ROOT, display_path
from maskrf_core.workbook.experiments.power import detectable, paired_interval
from maskrf_core.workbook.experiments.study.plan import ARMS, PAPER, UNMASKED
from maskrf_core.workbook.experiments.study.rows import long_scores, read_rows
from maskrf_core.workbook.figures import TEXT, legend_beside, new_figure, show

TABLE = ROOT / "docs" / "study" / "rows.csv"
GROUPS = {
    "like": "test scenes like those of training",
    "unlike": "test scenes unlike them",
    "real": "real scenes and lego, zero-shot",
}
METRICS = {"psnr": "PSNR [dB]", "ssim": "SSIM", "depth error": "depth error"}
MAIN, FACTORS, FEW, TIME = "masks or none", "one factor", "few scenes", "equal time"
RATIOS = {"ratio 0.25": 0.25, PAPER: 0.5, "ratio 0.75": 0.75}
WORKING_VIEWS = 8  # of what is drawn; the table has all


class Selected(NamedTuple):
    """The rows of an arm, after so many steps of finetuning on so many scenes."""

    arm: str
    train_scenes: int
    steps: int


def differences(scores: pd.DataFrame, metric: str, one: Selected, other: Selected) -> pd.DataFrame:
    """Return seed × scene: the score of `one` less that of `other`, where both have it; scenes that all seeds have."""
    values = [
        scores[
            (scores["arm"] == each.arm)
            & (scores["train scenes"] == each.train_scenes)
            & (scores["steps"] == each.steps)
        ].pivot_table(index="seed", columns="scene", values=metric)
        for each in (one, other)
    ]
    return (values[0] - values[1]).dropna(axis="index", how="all").dropna(axis="columns")


def compared(table: pd.DataFrame, draws: int = 10_000) -> pd.DataFrame:
    """Return a row for each question, group of test scenes, number of working views and metric.

    Columns: question, arm, against, train scenes, steps, group, working views, metric, seeds, scenes; difference with
    its 95 % interval (low, high), per-seed means (dots), and the smallest difference that so many seeds tell with 80 %
    power (tells). What has no rows yet is left out.
    """
    if table.empty:
        return table
    scores, rows = long_scores(table), []
    for question, one, other in questions(table):
        for (group, views), part in scores.groupby(["likeness", "working views"]):
            for metric in METRICS:
                found = differences(part, metric, one, other) if metric in part else pd.DataFrame()
                if not found.empty:
                    about = {"question": question, "arm": one.arm, "against": other.arm, **one._asdict()}
                    rows.append({**about, "group": group, "working views": views, "metric": metric} | of(found, draws))
    return pd.DataFrame(rows).rename(columns={"train_scenes": "train scenes"})


def of(found: pd.DataFrame, draws: int) -> dict[str, object]:
    """Sum up seed × scene: mean, interval, what each seed says, and what so many seeds would tell."""
    interval = paired_interval(found.to_numpy(float), draws=draws, generator=np.random.default_rng(0))
    dots = found.mean(axis="columns")
    variance = float(dots.var(ddof=1)) if len(dots) > 1 else np.nan
    return {
        "seeds": len(found),
        "scenes": found.shape[1],
        "difference": interval.mean,
        "low": interval.low,
        "high": interval.high,
        "tells": detectable(variance, len(dots)) if variance > 0 else np.nan,
        "dots": dots.tolist(),
    }


def questions(table: pd.DataFrame) -> Iterator[tuple[str, Selected, Selected]]:
    """List what is compared with what, by the plan: question, arm, and the arm that it is held against."""
    paper = table[table["arm"] == PAPER]
    if paper.empty:
        return
    scenes = int(paper["train scenes"].max())
    whole = paper[paper["train scenes"] == scenes]
    for steps in sorted(map(int, whole["steps"].unique())):
        for arm in RATIOS:
            yield MAIN, Selected(arm, scenes, steps), Selected(UNMASKED, scenes, steps)
    last = int(whole["steps"].max())
    longer = table[(table["arm"] == UNMASKED) & (table["train scenes"] == scenes) & (table["steps"] > last)]
    if not longer.empty:
        yield TIME, Selected(PAPER, scenes, last), Selected(UNMASKED, scenes, int(longer["steps"].max()))
    few = paper[paper["train scenes"] < scenes]
    for count, steps in sorted({(int(row["train scenes"]), int(row["steps"])) for _, row in few.iterrows()}):
        yield FEW, Selected(PAPER, count, steps), Selected(UNMASKED, count, steps)
    for arm in ARMS:
        if arm.name not in (UNMASKED, *RATIOS):
            yield FACTORS, Selected(arm.name, scenes, last), Selected(PAPER, scenes, last)


def forest(results: pd.DataFrame, metric: str = "psnr") -> Figure:
    """Draw every difference with its interval, a row each, a column a group of scenes; a dot is a seed."""
    drawn = results[(results["metric"] == metric) & (results["working views"] == WORKING_VIEWS)]
    groups = [group for group in GROUPS if group in set(drawn["group"])]
    labels = list(dict.fromkeys(label_of(row) for _, row in drawn.iterrows()))
    title = _finding(drawn)
    size = 2.6 + 3.2 * len(groups), 0.26 * len(labels) + 1.4
    figure, (panels,) = new_figure(*size, 1, max(1, len(groups)), title, sharey=True)
    for axes, group in zip(panels, groups, strict=False):
        for _, row in drawn[drawn["group"] == group].iterrows():
            place = labels.index(label_of(row))
            axes.plot(row["dots"], [place] * len(row["dots"]), ".", color="tab:gray", markersize=4, zorder=1)
            if np.isfinite(row["low"]):
                axes.plot([row["low"], row["high"]], [place, place], color="tab:blue", zorder=2)
            axes.plot(row["difference"], place, "o", color="tab:blue", markersize=5, zorder=3)
        axes.axvline(0, color="black", linewidth=0.8)
        axes.set_title(GROUPS[group], fontsize=TEXT)
        axes.set_xlabel(f"difference of {METRICS[metric]}", fontsize=TEXT)
    panels[0].set_yticks(range(len(labels)), labels, fontsize=TEXT)
    panels[0].invert_yaxis()
    return figure


def ratio_curve(results: pd.DataFrame, metric: str = "psnr") -> Figure:
    """Draw the difference to no masks over the mask ratio, a panel a group of scenes, a line a share of finetuning."""
    drawn = results[(results["question"] == MAIN) & (results["metric"] == metric)]
    drawn = drawn[drawn["working views"] == WORKING_VIEWS]
    groups = [group for group in GROUPS if group in set(drawn["group"])]
    figure, (panels,) = new_figure(2 + 3.1 * len(groups), 3.2, 1, max(1, len(groups)), _finding(drawn), sharey=True)
    for axes, group in zip(panels, groups, strict=False):
        for steps, rows in drawn[drawn["group"] == group].groupby("steps"):
            ratios = [RATIOS[arm] for arm in rows["arm"]]
            errors = [rows["difference"] - rows["low"], rows["high"] - rows["difference"]]
            line = "o-" if np.isfinite(errors).all() else "o"  # single seeds are no curve
            axes.errorbar(ratios, rows["difference"], yerr=errors, fmt=line, capsize=3, label=f"{steps} steps")
        axes.axhline(0, color="black", linewidth=0.8)
        axes.set_title(GROUPS[group], fontsize=TEXT)
        axes.set_xlabel("mask ratio in pretraining")
    panels[0].set_ylabel(f"{METRICS[metric]}: difference to no masks", fontsize=TEXT)
    legend_beside(panels[-1], title="finetuned for")
    return figure


def label_of(row: pd.Series) -> str:
    """Say in a few words what a row compares."""
    after = f", {row['steps']} steps" if row["question"] == MAIN else ""
    of_few = f", {row['train scenes']} scenes" if row["question"] == FEW else ""
    same_time = ", equal time" if row["question"] == TIME else ""
    return f"{row['arm']}{after}{of_few}{same_time} – {row['against']}"


def _finding(drawn: pd.DataFrame) -> str:
    """Claim no more than the intervals do; one seed has none."""
    count, up, down = (int(rows.sum()) for rows in (drawn["low"].notna(), drawn["low"] > 0, drawn["high"] < 0))
    if not count:
        return "One seed or scene has no interval"
    return f"Of {count} intervals of 95 %, {up} are above 0 and {down} below; one in twenty leaves out 0 by chance"


def markdown(results: pd.DataFrame) -> str:
    """Write all differences as tables, a section a question; in bold where the interval leaves out 0."""
    lines = []
    for question, part in results.groupby("question", sort=False):
        lines += [f"\n## {question[0].upper()}{question[1:]}\n"]
        lines += [
            "| difference | scenes | views | metric | mean | 95 % interval | seeds × scenes | tells |",
            "|---" * 8 + "|",
        ]
        for _, row in part.iterrows():
            digits = 2 if row["metric"] == "psnr" else 4
            numbers = (row[name] for name in ("difference", "low", "high", "tells"))
            mean, low, high, tells = (f"{number:+.{digits}f}" if np.isfinite(number) else "n/a" for number in numbers)
            mean = f"**{mean}**" if row["low"] > 0 or row["high"] < 0 else mean
            cells = [label_of(row), row["group"], row["working views"], METRICS[row["metric"]], mean]
            cells += [f"{low} to {high}", f"{row['seeds']} × {row['scenes']}", tells.lstrip("+")]
            lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def cost_of(table: pd.DataFrame) -> pd.DataFrame:
    """Return the mean seconds of a step of pretraining and the mean peak memory [MiB] of each arm."""
    per_step = table["pretrain seconds"] / table["pretrain steps"]
    means = table.assign(**{"seconds a step": per_step}).groupby("arm", sort=False)
    return means[["seconds a step", "memory mib"]].mean()


def main(arguments: list[str] | None = None) -> int:
    """Write the page and its figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--table", type=Path, default=TABLE, help="of the rows (docs/study/rows.csv)")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs", help="folder of the page (docs)")
    asked = parser.parse_args(arguments)
    try:
        table = read_rows(asked.table)
        results = compared(table)
        if results.empty:
            raise RunError(f"{asked.table}: no two arms have rows of the same seed yet. Run `make study`.")
    except MaskrfError as error:
        print(error, file=sys.stderr)
        return 1
    for name, figure in (("ratios", ratio_curve(results)), ("forest", forest(results))):
        show(figure, asked.docs / "study" / f"{name}.png")
    costs = cost_of(table).round(3).rename_axis("arm").reset_index()
    cost_lines = ["| arm | seconds a step of pretraining | peak memory [MiB] |", "|---|---|---|"]
    cost_lines += [
        f"| {arm} | {seconds:.3f} | {memory:.0f} |" for arm, seconds, memory in costs.itertuples(index=False)
    ]
    page = PAGE.format(rows=len(table), tables=markdown(results), cost="\n".join(cost_lines))
    write_text(asked.docs / "study-results.md", page)
    print(display_path(asked.docs / "study-results.md"))
    return 0


PAGE = """# The study: results

From the {rows} rows of [`rows.csv`](study/rows.csv), by `python -m maskrf_core.workbook.experiments.study.results`.
What is compared, on what, and why, [was planned before](study.md). A difference is positive where the first one has the
larger number (of depth error: where it is worse). Intervals are of a bootstrap over seeds and scenes. "Tells" is the
difference that so many seeds would show with 80 % power: a smaller one that is there may well be missed.

![Difference to no masks over the mask ratio](study/ratios.png)

![Every difference with its interval](study/forest.png)
{tables}

## Cost

| arm | seconds a step of pretraining | peak memory [MiB] |
|---|---|---|
{cost}
"""

if __name__ == "__main__":
    sys.exit(main())
