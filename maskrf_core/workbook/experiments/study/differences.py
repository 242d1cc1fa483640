"""Paired differences of the study's rows, with intervals: what is compared with what, and by how much it differs."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd

from maskrf_core.support.errors import RunError
from maskrf_core.workbook.experiments.power import detectable, paired_interval
from maskrf_core.workbook.experiments.study.plan import ARMS, PAPER, SHARES, UNMASKED
from maskrf_core.workbook.experiments.study.rows import long_scores

GROUPS = {
    "like": "test scenes like those of training",
    "unlike": "test scenes unlike them",
    "real": "real scenes and lego, zero-shot",
}
METRICS = {"psnr": "PSNR [dB]", "ssim": "SSIM", "depth error": "depth error"}
MAIN, FACTORS, FEW, TIME, APART = "masks or none", "one factor", "few scenes", "equal time", "masks and EMA apart"
RATIOS = {"ratio 0.25": 0.25, PAPER: 0.5, "ratio 0.75": 0.75}
FEWEST_SEEDS = 4  # that say how large a difference they tell: that of fewer varies too much itself
PREDICTION, NEITHER = "prediction without masks", "prediction without masks or EMA"
PAIRS = ((PREDICTION, UNMASKED), (NEITHER, UNMASKED), (NEITHER, PREDICTION), ("no EMA", NEITHER))
"""Of the arms in which masks, prediction and EMA come one by one. `PAPER` beside the first is among the factors."""

COLUMNS = ["question", "arm", "against", "train scenes", "steps", "group", "working views", "metric", "seeds", "scenes",
           "difference", "low", "high", "tells", "dots"]  # fmt: skip


class Selected(NamedTuple):
    """The rows of an arm, after so many steps of finetuning on so many scenes."""

    arm: str
    train_scenes: int
    steps: int


def differences(scores: pd.DataFrame, one: Selected, other: Selected) -> pd.DataFrame:
    """Return seed × scene: the score of `one` less that of `other`, where both have it; scenes that all seeds have.

    `scores` has a column a scene, and a row for each arm, number of scenes, steps and seed.
    """
    try:
        of_both = [scores.loc[tuple(each)] for each in (one, other)]
    except KeyError:
        return pd.DataFrame()
    return (of_both[0] - of_both[1]).dropna(axis="index", how="all").dropna(axis="columns")


def compared(table: pd.DataFrame, draws: int = 10_000) -> pd.DataFrame:
    """Return a row for each question, group of test scenes, number of working views and metric.

    Columns: question, arm, against, train scenes, steps, group, working views, metric, seeds, scenes; difference with
    its 95 % interval (low, high), per-seed means (dots), and the true difference that such an interval tells from 0
    with 80 % power (tells; nan for fewer than 4 seeds). What has no rows yet is left out.

    Raises:
        RunError: the rows are of several sizes.
    """
    if table.empty:
        return pd.DataFrame(columns=COLUMNS)
    if len(sizes := table[["pretrain steps", "overrides"]].drop_duplicates()) > 1:
        listed = "; ".join(f"{steps} steps {overrides}".strip() for steps, overrides in sizes.itertuples(index=False))
        raise RunError(f"rows of several sizes ({listed}) are not compared: keep each in a table of its own.")
    rows, parts = [], []
    for (group, views), part in long_scores(table).groupby(["likeness", "working views"]):
        for metric in filter(part.columns.__contains__, METRICS):
            scores = part.pivot(
                index=["arm", "train scenes", "steps", "seed"], columns="scene", values=metric
            ).sort_index()
            parts.append((group, views, metric, scores))
    for question, one, other in questions(table):
        for group, views, metric, scores in parts:
            found = differences(scores, one, other)
            if not found.empty:
                about = {"question": question, "arm": one.arm, "against": other.arm, **one._asdict()}
                rows.append({**about, "group": group, "working views": views, "metric": metric} | of(found, draws))
    return pd.DataFrame(rows).rename(columns={"train_scenes": "train scenes"}).reindex(columns=COLUMNS)


def of(found: pd.DataFrame, draws: int) -> dict[str, object]:
    """Sum up seed × scene: mean, interval, what each seed says, and what so many seeds would tell."""
    numbers = found.to_numpy(float)
    interval = paired_interval(numbers, draws=draws, generator=np.random.default_rng(0))
    return {
        "seeds": len(found),
        "scenes": found.shape[1],
        "difference": interval.mean,
        "low": interval.low,
        "high": interval.high,
        "tells": detectable(numbers, interval) if len(numbers) >= FEWEST_SEEDS else np.nan,
        "dots": found.mean(axis="columns").tolist(),
    }


def questions(table: pd.DataFrame) -> Iterator[tuple[str, Selected, Selected]]:
    """List what is compared with what: question, arm, and the arm that it is held against."""
    paper = table[table["arm"] == PAPER]
    if paper.empty:
        return
    scenes = int(table["train scenes"].mode().max())
    last = _last(set(paper.loc[paper["train scenes"] == scenes, "steps"]))
    whole = paper[(paper["train scenes"] == scenes) & (paper["steps"] <= last)]
    for steps in sorted(map(int, whole["steps"].unique())):
        for arm in RATIOS:
            yield MAIN, Selected(arm, scenes, steps), Selected(UNMASKED, scenes, steps)
    longer = table[(table["arm"] == UNMASKED) & (table["train scenes"] == scenes) & (table["steps"] > last)]
    if not longer.empty:
        for arm in RATIOS:
            yield TIME, Selected(arm, scenes, last), Selected(UNMASKED, scenes, int(longer["steps"].min()))
    few = paper[paper["train scenes"] < scenes]
    for count, steps in sorted({(int(row["train scenes"]), int(row["steps"])) for _, row in few.iterrows()}):
        yield FEW, Selected(PAPER, count, steps), Selected(UNMASKED, count, steps)
    for arm in ARMS:
        if arm.name not in (UNMASKED, *RATIOS):
            yield FACTORS, Selected(arm.name, scenes, last), Selected(PAPER, scenes, last)
    for arm, other in PAIRS:
        yield APART, Selected(arm, scenes, last), Selected(other, scenes, last)


def _last(steps: set[int]) -> int:
    """Return the steps of the plan's whole finetuning: those of whose shares there are rows too; else the most."""
    whole = [each for each in steps if all(max(1, round(share * each)) in steps for share in SHARES)]
    return int(max(whole or steps))
