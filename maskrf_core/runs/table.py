"""Tables of runs, made anew each time from the run folders, which alone say what a run is."""

import os
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from maskrf_core.checkpoints.published_files import is_shipped, settings_of_card
from maskrf_core.runs.provenance import COSTS, cost, read_provenance
from maskrf_core.runs.run import Run, flat, run_folders, settings_by_name
from maskrf_core.runs.status import UNDER_WAY, is_owned
from maskrf_core.settings.config import Config
from maskrf_core.settings.sections import MaskingSettings
from maskrf_core.support.errors import SettingsError

if TYPE_CHECKING:
    import pandas as pd

SCORES = ("fine_psnr", "fine_ssim", "best_fine_psnr", "best_fine_ssim")
COLUMNS = ("stage", "state", "step", "steps", *SCORES, *COSTS, "reason")
MAY_BE_UNKNOWN = ("gpu_peak_memory_mib", "reason")
PRETRAINING = "pretraining.mask_ratio"  # a column: of the run whose weights a run began from
PATHS = ("data.data_root", "data.mvsnet_weights", "training.initial_weights")  # filtered by, but not shown
UNREADABLE = "unreadable"
OF_ONE_START = ("started", "command", "sessions", "seed", "config")  # differ between any two runs, or are settings


def table(root: str | Path, where: Mapping[str, Any] | None = None, sort: str | None = None) -> "pd.DataFrame":
    """Return one row a run below `root`: state, scores, cost, and the settings in which the runs shown differ.

    Scores are dB and SSIM on the validation scenes (of a per-scene training, on its test views): those of the last
    validation and of the best. A run that cannot be read has the state `unreadable` and the reason.

    Args:
        where: columns or settings by dotted name, and the value that each run shown has there.
        sort: a column or setting to order by; with `-` before it, the largest first. None: by folder.

    Raises:
        SettingsError: `where` or `sort` names neither a column nor a setting; the nearest is named.
    """
    import pandas as pd

    root = Path(root)
    rows = {str(folder.relative_to(root)): _row(folder) for folder in run_folders(root)}
    frame = pd.DataFrame.from_dict(rows, orient="index", dtype=object)
    known = (PRETRAINING, *settings_by_name(Config(stage="pretrain")))
    settings = [name for name in dict.fromkeys([*known, *frame.columns]) if name not in COLUMNS]
    frame = frame.reindex(columns=[*COLUMNS, *settings]).rename_axis("run")
    by = (sort or "").removeprefix("-")
    for name, asked_by in [*((name, "where") for name in where or {}), *([(by, "sort")] if by else [])]:
        if name not in frame.columns:
            nearest = get_close_matches(name, list(frame.columns), n=1)
            hint = f"did you mean {nearest[0]}?" if nearest else f"columns are {', '.join(COLUMNS)}"
            raise SettingsError(f"{asked_by}: {name} is neither a column nor a setting of these runs; {hint}")
    for name, value in (where or {}).items():
        alike = frame[name].isna() if value is None else frame[name].map(lambda found, value=value: found == value)
        frame = frame[alike.astype(bool)]
    if by:
        frame = frame.sort_values(by, ascending=by == sort, kind="stable", key=_sortable)
    return _shown(frame, settings)


def diff(first: Run | str | Path, second: Run | str | Path) -> "pd.DataFrame":
    """Return the settings in which two runs differ, and the differences of code, versions, device and data.

    Raises:
        RunError: one of them is no run folder, or its provenance is damaged.
    """
    import pandas as pd

    runs = [run if isinstance(run, Run) else Run.open(run) for run in (first, second)]
    one, other = (_facts(run) for run in runs)
    rows = {name: (one.get(name), other.get(name)) for name in one | other if one.get(name) != other.get(name)}
    folders = [run.folder.resolve() for run in runs]
    names = [folder.relative_to(os.path.commonpath(folders)).as_posix() for folder in folders]
    index = pd.MultiIndex.from_tuples(rows, names=["of", "name"]) if rows else pd.MultiIndex([[], []], [[], []])
    return pd.DataFrame(list(rows.values()), index=index, columns=names, dtype=object)


def state_of(run: Run, steps: int, metrics: "pd.DataFrame") -> tuple[str, int, str | None]:
    """Return state, steps done of `steps`, and the reason for the state, of a run that may not be there yet.

    Of a training that was killed, only its lock tells.
    """
    status, training = run.status, is_owned(run.folder)
    logged = 0 if metrics["step"].dropna().empty else int(metrics["step"].max())
    if status is None:  # trained by a version that wrote none, or not at all
        done = logged if run.last_checkpoint.is_file() else 0
        state = "training" if training else "not begun" if not done else "finished" if done >= steps else "stopped"
        return state, done, None
    if training:
        return "training", status.step, None
    if status.state in UNDER_WAY:
        return "killed", max(status.step, logged), None
    if status.state == "finished" and status.step < steps:
        return "stopped", status.step, "more steps were asked for since"
    return status.state, status.step, status.reason


def pretraining_mask_ratio(run: Run) -> float | None:
    """Return the mask ratio of the pretraining that a run began from, 0 where that masked nothing.

    None for a pretraining itself, and where the weights that began it are no run's that is there.
    """
    config, seen = run.config, set()
    if config.stage == "pretrain":
        return None
    while config.stage != "pretrain":
        weights = config.training.initial_weights
        if weights and is_shipped(weights):
            masking = MaskingSettings.model_validate(settings_of_card("maskrf-pretrained")["masking"])
            return float(masking.mask_ratio) if masking.masks else 0.0
        before = Run(Path(weights).parent.parent) if weights else None
        if before is None or before.folder in seen or not before.config_path.is_file():
            return None
        seen.add(before.folder)
        config = before.config
    return float(config.masking.mask_ratio) if config.masking.masks else 0.0


def _facts(run: Run) -> dict[tuple[str, str], Any]:
    """Return the settings of a run and what made it, each under its kind and dotted name."""
    made_by = {name: value for name, value in read_provenance(run.folder).items() if name not in OF_ONE_START}
    kinds = {"setting": settings_by_name(run.config), "provenance": flat(made_by)}
    return {(kind, name): value for kind, facts in kinds.items() for name, value in facts.items()}


def _row(folder: Path) -> dict[str, Any]:
    """Return the row of one run, with all its settings; of a run that cannot be read, the reason."""
    try:
        run = Run(folder)
        config = run.config
        metrics = run.metrics()
        state, step, reason = state_of(run, config.training.steps, metrics)
        row = {"state": state, "step": int(np.int64(step)), "steps": config.training.steps, "reason": reason}
        judged = metrics[metrics["phase"] == ("test" if config.stage == "per_scene" else "validation")]
        judged = judged.dropna(subset=["fine_psnr"])
        if not judged.empty:
            best, last = judged.loc[judged["fine_psnr"].idxmax()], judged.iloc[-1]
            row |= {name: float(last[name]) for name in SCORES[:2]}
            row |= {name: float(best[name.removeprefix("best_")]) for name in SCORES[2:]}
        row[PRETRAINING] = pretraining_mask_ratio(run)
        return row | cost(folder) | settings_by_name(config)  # the stage among them
    except Exception as error:  # a file that others damaged or made up can raise any: the other runs are shown
        return {"state": UNREADABLE, "reason": f"{type(error).__name__}: {error}".splitlines()[0]}


def _shown(frame: "pd.DataFrame", settings: Sequence[str]) -> "pd.DataFrame":
    """Drop settings in which all agree and columns that are empty; make numbers of numbers, and put reasons last."""
    readable = frame[frame["state"] != UNREADABLE]
    differing = [name for name in settings if name not in PATHS and readable[name].map(repr).nunique() > 1]
    own = [name for name in COLUMNS if name not in MAY_BE_UNKNOWN or frame[name].notna().any()]
    shown = sorted([*own, *differing], key=lambda name: name == "reason")
    numbers = {name: float for name in (*SCORES, *COSTS) if name in own}
    return frame[shown].astype(numbers | {"step": "Int64", "steps": "Int64"})


def _sortable(values: "pd.Series") -> "pd.Series":
    """Return numbers as they are, anything else as it is written, and what is missing as missing."""
    if all(isinstance(value, int | float) for value in values.dropna()):
        return values.astype(float)
    return values.map(str).where(values.notna(), None)
