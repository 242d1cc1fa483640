"""Tables of runs, made anew each time from the run folders, which alone say what a run is."""

import os
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from maskrf_core.runs.provenance import COSTS, cost, read_provenance
from maskrf_core.runs.run import Run, differing_settings, flat, run_folders, settings_by_name
from maskrf_core.runs.status import is_owned
from maskrf_core.settings.config import Config
from maskrf_core.support.errors import MaskrfError, RunError, SettingsError

if TYPE_CHECKING:
    import pandas as pd

SCORES = ("fine_psnr", "fine_ssim", "best_fine_psnr", "best_fine_ssim")
COLUMNS = ("stage", "state", "step", "steps", *SCORES, *COSTS, "reason")
MAY_BE_UNKNOWN = ("gpu_peak_memory_mib", "reason")
PATHS = ("data.data_root", "data.mvsnet_weights", "training.initial_weights")
"""Settings that say where something lies on a machine: the table filters by them, but does not show them."""
UNREADABLE = "unreadable"
OF_ONE_START = ("started", "command", "sessions", "seed", "config")
"""Of provenance: differs between any two runs, or is settings."""


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
    known = settings_by_name(Config(stage="pretrain"))
    settings = [name for name in dict.fromkeys([*known, *frame.columns]) if name not in COLUMNS]
    frame = frame.reindex(columns=[*COLUMNS, *settings])
    frame.index.name = "run"
    for name, value in (where or {}).items():
        _check_name(name, frame, "where")
        frame = frame[np.array([_same(found, value) for found in frame[name]], dtype=bool)]
    if sort:
        _check_name(sort.removeprefix("-"), frame, "sort")
        frame = frame.sort_values(
            sort.removeprefix("-"), ascending=not sort.startswith("-"), kind="stable", key=_sortable
        )
    return _shown(frame, settings)


def diff(first: Run | str | Path, second: Run | str | Path) -> "pd.DataFrame":
    """Return the settings in which two runs differ, and the differences of code, versions, device and data.

    Raises:
        RunError: one of them is no run folder, or its provenance is damaged.
    """
    import pandas as pd

    runs = [run if isinstance(run, Run) else Run.open(run) for run in (first, second)]
    rows = {("setting", name): pair for name, pair in differing_settings(*(run.config for run in runs)).items()}
    made_by = [_made_by(run) for run in runs]
    for name in dict.fromkeys([*made_by[0], *made_by[1]]):
        pair = tuple(made.get(name) for made in made_by)
        if pair[0] != pair[1]:
            rows["provenance", name] = pair
    index = pd.MultiIndex.from_tuples(rows, names=["of", "name"]) if rows else pd.MultiIndex([[], []], [[], []])
    return pd.DataFrame(list(rows.values()), index=index, columns=_names(*(run.folder for run in runs)), dtype=object)


def _row(folder: Path) -> dict[str, Any]:
    """Return the row of one run, with all its settings; of a run that cannot be read, the reason."""
    try:
        run = Run(folder)
        config = run.config
        judged = "test" if config.stage == "per_scene" else "validation"
        metrics = run.metrics()
        state, step, reason = _state(run, config.training.steps, metrics)
        own = {"state": state, "step": step, "steps": config.training.steps, "reason": reason}
        settings = settings_by_name(config)  # the stage among them
        return own | _scores(metrics[metrics["phase"] == judged]) | cost(folder) | settings
    except (MaskrfError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return {"state": UNREADABLE, "reason": f"{type(error).__name__}: {error}".splitlines()[0]}


def _state(run: Run, steps: int, metrics: "pd.DataFrame") -> tuple[str, int, str | None]:
    """Return state, steps done and the reason for the state. Of a training that was killed, only its lock tells."""
    status = run.status
    logged = 0 if metrics["step"].dropna().empty else int(metrics["step"].max())
    if status is None:  # trained by a version that wrote none, or not at all
        done = logged if run.last_checkpoint.is_file() else 0
        state = "training" if is_owned(run.folder) else "finished" if done >= steps else "stopped"
        return state if done or state == "training" else "not begun", done, None
    if is_owned(run.folder):
        return "training", status.step, None
    if status.state in ("starting", "training"):
        return "killed", max(status.step, logged), None
    if status.state == "finished" and status.step < steps:
        return "stopped", status.step, "more steps were asked for since"
    return status.state, status.step, status.reason


def _scores(rows: "pd.DataFrame") -> dict[str, float | None]:
    rows = rows.dropna(subset=["fine_psnr"])
    if rows.empty:
        return dict.fromkeys(SCORES)
    last, best = rows.iloc[-1], rows.loc[rows["fine_psnr"].idxmax()]
    return {name: float((best if name.startswith("best_") else last)[name.removeprefix("best_")]) for name in SCORES}


def _shown(frame: "pd.DataFrame", settings: Sequence[str]) -> "pd.DataFrame":
    """Drop settings in which all agree and columns that are empty; make numbers of numbers, and put reasons last."""
    readable = frame[frame["state"] != UNREADABLE]
    compared = [name for name in settings if name not in PATHS]
    differing = [name for name in compared if len({repr(value) for value in readable[name]}) > 1]
    told = [name for name in COLUMNS if name not in MAY_BE_UNKNOWN or frame[name].notna().any()]
    own, reason = [name for name in told if name != "reason"], [name for name in told if name == "reason"]
    frame = frame[[*own, *differing, *reason]].copy()
    for name in ("step", "steps"):
        frame[name] = frame[name].astype("Int64")
    return frame.astype({name: float for name in (*SCORES, *COSTS) if name in told})


def _check_name(name: str, frame: "pd.DataFrame", of: str) -> None:
    if name in frame.columns:
        return
    nearest = get_close_matches(name, list(frame.columns), n=1)
    hint = f"did you mean {nearest[0]}?" if nearest else f"columns are {', '.join(COLUMNS)}"
    raise SettingsError(f"{of}: {name} is neither a column nor a setting of these runs; {hint}")


def _same(found: Any, value: Any) -> bool:
    if found is None or (isinstance(found, float) and np.isnan(found)):
        return value is None
    return bool(found == value)


def _sortable(values: "pd.Series") -> "pd.Series":
    """Return numbers as they are, anything else as it is written, and what is missing as missing."""
    known = values.dropna()
    if all(isinstance(value, int | float) for value in known):
        return values.astype(float)
    return values.map(str).where(values.notna(), None)


def _made_by(run: Run) -> dict[str, Any]:
    try:
        values = flat(read_provenance(run.folder))
    except ValueError as error:
        raise RunError(
            f"{run.folder / 'provenance.json'}: is damaged ({error}). Delete it: the rest of the run stays as it is."
        ) from error
    return {name: value for name, value in values.items() if name.split(".")[0] not in OF_ONE_START}


def _names(first: Path, second: Path) -> list[str]:
    """Return the paths of two folders, from where they part."""
    paths = [first.resolve(), second.resolve()]
    common = os.path.commonpath(paths)
    return [path.relative_to(common).as_posix() for path in paths]
