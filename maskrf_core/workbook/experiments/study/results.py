"""What the rows of the study say, from the table alone: figures, sentences and tables of its differences.

`python -m maskrf_core.workbook.experiments.study.results` writes `docs/study-results.md`, its figures and
`docs/study/differences.csv` again.
"""

import argparse
import sys
import textwrap
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from maskrf_core.support.atomic_files import write_text
from maskrf_core.support.errors import MaskrfError, RunError
from maskrf_core.support.paths import ROOT, display_path
from maskrf_core.workbook.experiments.study.differences import FEW, GROUPS, MAIN, METRICS, RATIOS, TIME, compared
from maskrf_core.workbook.experiments.study.plan import UNMASKED
from maskrf_core.workbook.experiments.study.rows import long_scores, read_rows
from maskrf_core.workbook.figures import TEXT, legend_beside, new_figure, show

TABLE = ROOT / "docs" / "study" / "rows.csv"
WORKING_VIEWS = 8  # of what is drawn; the table has all


def forest(results: pd.DataFrame, metric: str = "psnr") -> Figure:
    """Draw every difference with its interval, a row each, a column a group of scenes; a dot is a seed."""
    drawn = results[(results["metric"] == metric) & (results["working views"] == WORKING_VIEWS)]
    groups = [group for group in GROUPS if group in set(drawn["group"])]
    labels = list(dict.fromkeys(label_of(row) for _, row in drawn.iterrows()))
    title = _title(drawn)
    size = 2.6 + 2.2 * len(groups), 0.22 * len(labels) + 1.2
    figure, (panels,) = new_figure(*size, 1, max(1, len(groups)), title, sharex=True, sharey=True)
    for axes, group in zip(panels, groups, strict=False):
        for _, row in drawn[drawn["group"] == group].iterrows():
            place = labels.index(label_of(row))
            axes.plot(row["dots"], [place] * len(row["dots"]), ".", color="tab:gray", markersize=4, zorder=1)
            if np.isfinite(row["low"]):
                axes.plot([row["low"], row["high"]], [place, place], color="tab:blue", zorder=2)
            axes.plot(row["difference"], place, "o", color="tab:blue", markersize=5, zorder=3)
        axes.axvline(0, color="black", linewidth=0.8)
        axes.set_title(textwrap.fill(GROUPS[group], 20), fontsize=TEXT)
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
            for ratio, dots in zip(ratios, rows["dots"], strict=True):
                axes.plot([ratio] * len(dots), dots, ".", color=f"C{number}", alpha=0.35, markersize=4)
            axes.errorbar(ratios, rows["difference"], yerr=errors, fmt=line, capsize=3, color=colour, label=label)
        axes.axhline(0, color="black", linewidth=0.8)
        axes.set_title(GROUPS[group], fontsize=TEXT)
        axes.set_xticks(sorted(RATIOS.values()))
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
    known = drawn.dropna(subset="low")
    if known.empty:
        return "One seed or scene has no interval"
    return f"Of {len(known)} intervals of 95 %, {_sides(known)}"


def _sides(known: pd.DataFrame) -> str:
    """Count the intervals that leave out 0."""
    counts = {"above": int((known["low"] > 0).sum()), "below": int((known["high"] < 0).sum())}
    said = [f"{count} {'is' if count == 1 else 'are'} {side} 0" for side, count in counts.items() if count]
    return " and ".join(said) or "none leaves out 0"


def finding(part: pd.DataFrame) -> str:
    """Say of the differences of a question what follows from their intervals, and what does not."""
    drawn = part[(part["metric"] == "psnr") & (part["working views"] == WORKING_VIEWS)]
    known = drawn.dropna(subset="low")
    if known.empty:
        return "One seed or scene has no interval."
    clear = known[(known["low"] > 0) | (known["high"] < 0)]
    told = [
        f"{row['arm']}{detail_of(row)} on “{row['group']}”: {row['difference']:+.2f} dB" for _, row in clear.iterrows()
    ]
    follows = [f"of {len(known)} intervals (PSNR, {WORKING_VIEWS} views) {_sides(known)}", *told]
    does_not = [f"that these are not chance, which alone leaves out 0 in up to {len(known) / 20:.0f}"] if told else []
    if null := len(known) - len(clear):
        does_not.append(f"that there is no difference in the {f'other {null}' if told else f'{null} around 0'}")
    does_not.append("what other sizes, scenes and lengths of training would show")
    ends = f"All ends lie between {known['low'].min():+.2f} and {known['high'].max():+.2f} dB."
    limits = known.drop(clear.index)["tells"].dropna()
    power = (
        f" A true difference of {limits.median():.2f} dB (median; {limits.min():.2f} to {limits.max():.2f}) would have "
        "been told from 0 in about four cases of five."
    )
    said = f"What follows: {'; '.join(follows)}. {ends} What does not follow: {'; '.join(does_not)}."
    return said + (power if len(limits) else "")


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
    """Write a difference with its interval and, where that has 0, the difference that it would have told."""
    mean = f"{row['difference']:+.2f}"
    if not np.isfinite(row["low"]):
        return mean
    clear = row["low"] > 0 or row["high"] < 0
    interval = f"{row['low']:+.2f} to {row['high']:+.2f}"
    if clear:
        return f"**{mean}** ({interval})"
    return f"{mean} ({interval}; {row['tells']:.2f})" if np.isfinite(row["tells"]) else f"{mean} ({interval})"


def levels(table: pd.DataFrame) -> str:
    """Write the mean PSNR of training without masks by steps and group of scenes: how it grows."""
    scores = long_scores(table[table["arm"] == UNMASKED])
    mean = scores.groupby(["train scenes", "steps", "working views", "likeness"])["psnr"].mean().unstack()
    groups = [group for group in GROUPS if group in mean]
    lines = [f"| scenes | steps | views | {' | '.join(groups)} |", "|---" * (3 + len(groups)) + "|"]
    for (scenes, steps, views), row in mean.iterrows():
        values = ["" if np.isnan(row[group]) else f"{row[group]:.2f}" for group in groups]
        lines.append(f"| {scenes} | {steps} | {views} | {' | '.join(values)} |")
    return "\n".join(lines)


def made_by(table: pd.DataFrame) -> str:
    """Name the commits, devices and days of the rows."""
    days = sorted(day[:10] for day in table["date"])
    parts = [*sorted(set(table["commit"])), *sorted(set(table["device"])), " to ".join(sorted({days[0], days[-1]}))]
    return f"commit {', '.join(parts)}"


def cost_of(table: pd.DataFrame) -> str:
    """List the seconds of a step of pretraining of each arm, in the fastest of its runs, which least else slowed."""
    seconds = (table["pretrain seconds"] / table["pretrain steps"]).groupby(table["arm"], sort=False).min()
    return " · ".join(f"{arm} {value:.3f}" for arm, value in seconds.items())


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
    results.drop(columns="dots").to_csv(asked.docs / "study" / "differences.csv", index=False, float_format="%.6g")
    parts = {"tables": markdown(results), "levels": levels(table), "cost": cost_of(table)}
    page = PAGE.format(rows=len(table), made=made_by(table), **parts)
    write_text(asked.docs / "study-results.md", page)
    print(display_path(asked.docs / "study-results.md"))
    return 0


PAGE = """# The study: results

From the {rows} rows of [`rows.csv`](study/rows.csv), made by {made}, by `python -m
maskrf_core.workbook.experiments.study.results`. What is compared, on what, and why, [was planned before](study.md),
but for what is named there as added. Scenes are *like* those of training, *unlike* them, or *real* (and lego). A
difference is positive where the first has more. In brackets: its interval of 95 %, of a bootstrap over seeds and
scenes, and, where that has 0 in it, the true difference that it would have told in about four cases of five. These
intervals are wider than they need be where noise of single scenes of single seeds prevails, as it does here: by
chance alone, fewer than one in 20 leaves out 0. SSIM, error of depth, seeds and scenes:
[`differences.csv`](study/differences.csv). Published numbers: none are of such scenes and sizes.

![Difference to no masks over the mask ratio](study/ratios.png)

![Every difference with its interval](study/forest.png)
{tables}

## PSNR itself, without masks

{levels}

## Cost

Seconds a step of pretraining, in the fastest of each arm's runs (which ran beside other work all the same; two arms
were measured with [nothing beside them](study.md#how-long)): {cost}.
"""

if __name__ == "__main__":
    sys.exit(main())
