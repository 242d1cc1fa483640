"""What the rows of the study say, from the table alone: figures, sentences and tables of its differences.

`python -m maskrf_core.workbook.experiments.study.results` writes `docs/study-results.md`, its figures and
`docs/study/differences.csv` again.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from maskrf_core.support.atomic_files import write_text
from maskrf_core.support.errors import MaskrfError, RunError
from maskrf_core.support.paths import ROOT, display_path
from maskrf_core.workbook.experiments.study.differences import FEW, GROUPS, MAIN, METRICS, RATIOS, TIME, compared
from maskrf_core.workbook.experiments.study.rows import read_rows
from maskrf_core.workbook.figures import TEXT, legend_beside, new_figure, show

TABLE = ROOT / "docs" / "study" / "rows.csv"
WORKING_VIEWS = 8  # of what is drawn; the table has all


def forest(results: pd.DataFrame, metric: str = "psnr") -> Figure:
    """Draw every difference with its interval, a row each, a column a group of scenes; a dot is a seed."""
    drawn = results[(results["metric"] == metric) & (results["working views"] == WORKING_VIEWS)]
    groups = [group for group in GROUPS if group in set(drawn["group"])]
    labels = list(dict.fromkeys(label_of(row) for _, row in drawn.iterrows()))
    title = _title(drawn)
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
    figure, (panels,) = new_figure(2 + 3.1 * len(groups), 3.2, 1, max(1, len(groups)), _title(drawn), sharey=True)
    all_steps = sorted(drawn["steps"].unique())
    for axes, group in zip(panels, groups, strict=False):
        for number, steps in enumerate(all_steps):
            rows = drawn[(drawn["group"] == group) & (drawn["steps"] == steps)]
            ratios = [RATIOS[arm] + 0.01 * (number - 1) for arm in rows["arm"]]  # bars beside each other
            errors = [rows["difference"] - rows["low"], rows["high"] - rows["difference"]]
            line = "o-" if np.isfinite(errors).all() else "o"  # single seeds are no curve
            colour, label = f"C{number}", f"{steps} steps"
            axes.errorbar(ratios, rows["difference"], yerr=errors, fmt=line, capsize=3, color=colour, label=label)
        axes.axhline(0, color="black", linewidth=0.8)
        axes.set_title(GROUPS[group], fontsize=TEXT)
        axes.set_xlabel("mask ratio in pretraining")
    panels[0].set_ylabel(f"{METRICS[metric]}: difference to no masks", fontsize=TEXT)
    legend_beside(panels[-1], title="finetuned for")
    return figure


def label_of(row: pd.Series) -> str:
    """Say in a few words what a row compares."""
    return f"{row['arm']}{detail_of(row)} – {row['against']}"


def detail_of(row: pd.Series) -> str:
    """Say in what the comparison is not the usual one."""
    details = {MAIN: f", {row['steps']} steps", FEW: f", {row['train scenes']} scenes", TIME: ", equal time"}
    return details.get(row["question"], "")


def _title(drawn: pd.DataFrame) -> str:
    """Claim no more than the intervals do; one seed has none."""
    count, up, down = (int(rows.sum()) for rows in (drawn["low"].notna(), drawn["low"] > 0, drawn["high"] < 0))
    if not count:
        return "One seed or scene has no interval"
    return f"Of {count} intervals of 95 %, {up} are above 0 and {down} below; one in twenty leaves out 0 by chance"


def finding(part: pd.DataFrame) -> str:
    """Say of the differences of a question which intervals leave out 0, and what the others would have told."""
    drawn = part[(part["metric"] == "psnr") & (part["working views"] == WORKING_VIEWS)]
    known = drawn.dropna(subset="low")
    if known.empty:
        return "One seed or scene has no interval."
    sides = {"above": known[known["low"] > 0], "below": known[known["high"] < 0]}
    counts = [f"{len(rows)} {side} 0" for side, rows in sides.items() if len(rows)] or ["no interval leaves out 0"]
    said = [f"Of {len(known)} differences of PSNR with {WORKING_VIEWS} views: {', '.join(counts)}"]
    for rows in sides.values():
        said += [
            f"; {row['arm']}{detail_of(row)} on “{row['group']}”: {row['difference']:+.2f} dB"
            for _, row in rows.iterrows()
        ]
    null = known[(known["low"] <= 0) & (known["high"] >= 0)]
    tells = null["tells"].dropna()
    sentences = ["".join(said)]
    if len(null):
        sentences.append(f"An interval around 0 ({len(null)} of them) does not say that there is no difference")
    if len(tells):
        limits = f"{tells.median():.2f} dB (median; {tells.min():.2f} to {tells.max():.2f})"
        sentences.append(f"On these very scenes, so many seeds would tell one of {limits} in four cases of five")
    return ". ".join(sentences) + "."


def markdown(results: pd.DataFrame) -> str:
    """Write the differences of PSNR as tables, a section a question; in bold where the interval leaves out 0."""
    lines, psnr = [], results[results["metric"] == "psnr"]
    for question, part in psnr.groupby("question", sort=False):
        groups = [group for group in GROUPS if group in set(part["group"])]
        lines += [f"\n## {question[0].upper()}{question[1:]}\n", finding(part), ""]
        lines += [
            "| difference of PSNR [dB] | views | " + " | ".join(groups) + " |",
            "|---|---" + "|---" * len(groups) + "|",
        ]
        cells = {(label_of(row), row["working views"], row["group"]): cell(row) for _, row in part.iterrows()}
        for label, views in dict.fromkeys((label, views) for label, views, _ in cells):
            said = [cells.get((label, views, group), "") for group in groups]
            lines.append("| " + " | ".join([label, str(views), *said]) + " |")
    return "\n".join(lines)


def cell(row: pd.Series) -> str:
    """Write a difference with its interval."""
    mean = f"{row['difference']:+.2f}"
    if not np.isfinite(row["low"]):
        return mean
    mean = f"**{mean}**" if row["low"] > 0 or row["high"] < 0 else mean
    return f"{mean} ({row['low']:+.2f} to {row['high']:+.2f})"


def cost_of(table: pd.DataFrame) -> pd.DataFrame:
    """Return the mean seconds of a step of pretraining and the mean peak memory [MiB] of each arm."""
    costs = table[["arm", "memory mib"]].assign(
        **{"seconds a step": table["pretrain seconds"] / table["pretrain steps"]}
    )
    return costs.groupby("arm", sort=False)[["seconds a step", "memory mib"]].mean()


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
    results.drop(columns="dots").to_csv(asked.docs / "study" / "differences.csv", index=False, float_format="%.4g")
    costs = cost_of(table).round(3).rename_axis("arm").reset_index()
    cost_lines = [f"| {arm} | {seconds:.3f} | {memory:.0f} |" for arm, seconds, memory in costs.itertuples(index=False)]
    page = PAGE.format(rows=len(table), tables=markdown(results), cost="\n".join(cost_lines))
    write_text(asked.docs / "study-results.md", page)
    print(display_path(asked.docs / "study-results.md"))
    return 0


PAGE = """# The study: results

From the {rows} rows of [`rows.csv`](study/rows.csv), by `python -m maskrf_core.workbook.experiments.study.results`.
What is compared, on what, and why, [was planned before](study.md). A difference is positive where the first has more;
its interval of 95 %, in brackets, is of a bootstrap over seeds and scenes. SSIM, error of depth, seeds, scenes and what
so many seeds tell with 80 % power: [`differences.csv`](study/differences.csv). That power is of a t-test over seeds, on
these very scenes; for other scenes it is less, and intervals are wider. Scenes are *like* those of training, *unlike*
them, or *real* (and lego).

![Difference to no masks over the mask ratio](study/ratios.png)

![Every difference with its interval](study/forest.png)
{tables}

## Cost

| arm | seconds a step of pretraining | peak memory [MiB] |
|---|---|---|
{cost}

Seconds are those of runs side by side with other work: compare arms by [the plan's measurement](study.md#how-long).
"""

if __name__ == "__main__":
    sys.exit(main())
