"""What the study compares: arms, each a pretraining with its finetunings, and every part of them that becomes a row."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

from maskrf_core.runs import Run
from maskrf_core.settings.config import Config, load_config, may_differ
from maskrf_core.settings.sections import Stage
from maskrf_core.workbook.experiments.trainings import ONE_SCHEDULE
from maskrf_core.workbook.parameters.notebook_parameters import folder_name

Group = Literal["main", "factors"]
PRESET = "study"
UNMASKED = "no masks"
PAPER = "ratio 0.5"  # of the strategy and the other settings that the paper has
SEEDS: dict[Group, int] = {"main": 8, "factors": 5}
PILOT_SEEDS = 4
SHARES = (0.1, 0.3, 1.0)  # of the steps of finetuning after which the main comparison is looked at
FEW_SCENES, FEW_SHARE = (4, 12), 0.3
EQUAL_TIME = 1.015
"""Seconds of a masked step over those of an unmasked one, as measured side by side (docs/study.md); the unmasked arm
goes on for as many steps more as the masked pretraining takes longer."""
NO_MASKS = "maskrf_core.model.masking.strategies:nothing"
LIKE_TRAINING = ("procedural_half/objects_", "procedural_half/tables_")
MADE = ("procedural_half/", "demo/")


@dataclass(frozen=True)
class Arm:
    """Settings of a pretraining that are compared, and what is finetuned from it."""

    name: str
    settings: Mapping[str, Any]
    group: Group
    shares: tuple[float, ...] = (1.0,)
    few_scenes: tuple[int, ...] = ()


def _masked(name: str, **masking: Any) -> Arm:
    return Arm(name, {f"masking.{key}": value for key, value in masking.items()}, "factors")


ARMS = (
    Arm(UNMASKED, {"masking.mask_ratio": 0.0}, "main", SHARES, FEW_SCENES),
    Arm(PAPER, {"masking.mask_ratio": 0.5}, "main", SHARES, FEW_SCENES),
    Arm("ratio 0.25", {"masking.mask_ratio": 0.25}, "main", SHARES),
    Arm("ratio 0.75", {"masking.mask_ratio": 0.75}, "main", SHARES),
    _masked("strategy ray", strategy="ray"),
    _masked("strategy view", strategy="view"),
    _masked("strategy block", strategy="block"),
    _masked("strategy near_surfaces", strategy="near_surfaces"),
    _masked("no EMA", ema_target=False),
    _masked("prediction without masks", strategy=NO_MASKS),
    _masked("prediction without masks or EMA", strategy=NO_MASKS, ema_target=False),
    _masked("target colour", target="colour"),
    _masked("target raw", target="raw"),
    _masked("weight 0.01", weight=0.01),
    _masked("weight 1", weight=1.0),
    _masked("start at once", start=0.0, warmup=0.0),
    _masked("start late", start=0.3, warmup=0.3),
    _masked("zeros for the token", token="zeros"),
    _masked("MuM's recipe", mask_ratio=0.75, strategy="ray", target="normalised"),
)
"""One factor at a time differs from `PAPER`. What is not named is the preset's."""


@dataclass(frozen=True)
class Part:
    """A training up to so many steps, after which it is scored: one row of the table."""

    run: Run
    config: Config
    about: Mapping[str, Any]  # the columns that tell it from all others

    @property
    def key(self) -> tuple[str, ...]:
        """Return the values of `about` as they are written in the table."""
        return tuple(map(str, self.about.values()))


@dataclass(frozen=True)
class Point:
    """An arm with one seed: what one process after the other trains and scores."""

    arm: Arm
    seed: int
    folder: Path
    pretraining: tuple[Run, Config]
    parts: Sequence[Part] = field(repr=False)

    @property
    def in_pilot(self) -> bool:
        """Tell whether the point is looked at before the rest is run."""
        return self.arm.name in (UNMASKED, PAPER) and self.seed < PILOT_SEEDS

    @property
    def name(self) -> str:
        """Spell the point for people."""
        return f"{self.arm.name}, seed {self.seed}"


def plan(runs: Path, only: Group | None, overrides: Mapping[str, Any]) -> list[Point]:
    """List all points, or those of one group: the pilot, then seed after seed, so that what is there early compares.
    Nothing is written.

    Raises:
        SettingsError: a setting is unknown or out of range.
    """
    points = [
        _point(arm, seed, runs / folder_name([arm.name, f"seed {seed}"]), overrides)
        for arm in ARMS
        if only in (None, arm.group)
        for seed in range(SEEDS[arm.group])
    ]
    return sorted(
        points, key=lambda point: (point.arm.group != "main", not point.in_pilot, point.seed)
    )  # arms as listed


def planned_steps(points: Sequence[Point]) -> int:
    """Sum the optimiser steps of all points; parts of one run go on where the one before ended."""
    total = 0
    for point in points:
        total += point.pretraining[1].training.steps
        for _, parts in groupby(point.parts, key=lambda part: part.run):
            total += max(part.config.training.steps for part in parts)
    return total


def likeness(scene: str) -> Literal["like", "unlike", "real"]:
    """Say whether a test scene is of a kind that is trained on, of another made kind, or of another making."""
    if scene.startswith(LIKE_TRAINING):
        return "like"
    return "unlike" if scene.startswith(MADE) else "real"


def _point(arm: Arm, seed: int, folder: Path, overrides: Mapping[str, Any]) -> Point:
    def config(stage: Stage, asked: Mapping[str, Any]) -> Config:
        return load_config(stage, PRESET, {**overrides, "training.seed": seed, **asked})

    pretraining = Run(folder / "pretrain"), config("pretrain", arm.settings)
    before, after = pretraining[1].training.steps, config("finetune", {}).training.steps
    begun_from = {"training.initial_weights": str(pretraining[0].last_checkpoint), **ONE_SCHEDULE}
    scenes = pretraining[1].data.train_scenes

    def part(count: int, steps: int) -> Part:
        asked = {**begun_from, "training.steps": steps, "data.train_scenes": scenes[:count]}
        about = {"arm": arm.name, "seed": seed, "train scenes": count, "pretrain steps": before, "steps": steps}
        asked_of_all = [f"{name}={value}" for name, value in sorted(overrides.items()) if not may_differ(name)]
        run = Run(folder / ("finetune" if count == len(scenes) else f"finetune_{count}_scenes"))
        return Part(run, config("finetune", asked), {**about, "overrides": ", ".join(asked_of_all)})

    steps = {max(1, round(share * after)): None for share in arm.shares}
    if arm.name == UNMASKED:
        steps[after + max(1, round((EQUAL_TIME - 1) * before))] = None
    few = [part(count, max(1, round(FEW_SHARE * after))) for count in arm.few_scenes if count < len(scenes)]
    return Point(arm, seed, folder, pretraining, [*(part(len(scenes), each) for each in steps), *few])
