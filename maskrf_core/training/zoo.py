"""Train the weights that ship further, by the clock: `python -m maskrf_core.training.zoo --minutes 10`.

The weights that ship are finetuned further across made scenes (`python -m maskrf_core.datasets.procedural` makes them);
with `--afresh` a masked pretraining from random weights comes before. Each call goes on where the last one ended, on
whatever device there is; a run that begins on a GPU takes more rays a step. It needs nothing but this folder and the
scenes, and ends with the table of test scenes that it finds.
"""

import argparse
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from maskrf_core.checkpoints.published_checkpoints import steps_of
from maskrf_core.checkpoints.published_files import file_of
from maskrf_core.datasets.batches.mixture import Mixture, NoDepthKeptError
from maskrf_core.runs import Run
from maskrf_core.runs.run import flat
from maskrf_core.settings.config import Config, load_config, may_differ, parse_overrides, validated, with_overrides
from maskrf_core.settings.sections import Stage
from maskrf_core.support.errors import MaskrfError, RunError
from maskrf_core.support.paths import RUNS, cache_folder, display_path
from maskrf_core.training.preflight import training_inputs
from maskrf_core.training.process.protocol import STOP_VARIABLE, ExitCode, training_command, training_environment

STAGES: dict[str, Stage] = {"maskrf-pretrained": "pretrain", "maskrf": "finetune"}
ON_GPU = {"data.rays": 2048, "hardware.compile": True, "hardware.precision": "bf16-mixed"}


def train(
    folder: Path,
    minutes: float,
    overrides: dict[str, Any],
    of_device: Mapping[str, Any] = MappingProxyType({}),
    *,
    afresh: bool = False,
) -> dict[str, Run]:
    """Train stage after stage until the time is over; returns those that have weights, by the names they ship under.

    A run that was begun elsewhere keeps its settings; one that begins here also has those `of_device`. What was begun
    `afresh` goes on as such.

    Raises:
        RunError: a training failed; its log says why. What it saved stays.
    """
    trained: dict[str, Run] = {}
    with tempfile.TemporaryDirectory() as place:
        stop_file = Path(place) / "stop"
        clock = threading.Timer(60 * minutes, stop_file.touch)
        clock.start()
        try:
            stages, begun_from, chosen = dict(STAGES), {}, dict(of_device)
            if not _begins_afresh(folder, asked=afresh):
                del stages["maskrf-pretrained"]
                begun_from = {"training.initial_weights": "maskrf"}
                chosen |= {"training.seed": steps_of(file_of("maskrf"))}  # the draws of its own steps were others
            for name, stage in stages.items():
                run = Run.start(folder / stage, _config(Run(folder / stage), stage, chosen, overrides | begun_from))
                told = training_environment() | {STOP_VARIABLE: str(stop_file)}
                code = subprocess.run(training_command([run.folder]), env=told, check=False).returncode
                if code not in (ExitCode.FINISHED, ExitCode.STOP_FILE):
                    raise RunError(f"{display_path(run.log_path)}: the training ended with code {code}; see there.")
                if run.last_checkpoint.is_file():
                    trained[name] = run
                    begun_from = {"training.initial_weights": str(run.last_checkpoint)}
                if code != ExitCode.FINISHED:
                    break
        finally:
            clock.cancel()
    return trained


def main(arguments: list[str] | None = None) -> int:
    """Train for the minutes that the command line names, write the weights that ship, and show the table."""
    import torch

    parser = argparse.ArgumentParser(prog="python -m maskrf_core.training.zoo", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0, help="of training (10)")
    parser.add_argument("--folder", type=Path, default=RUNS / "weights", help="of the two runs (runs/weights)")
    parser.add_argument("--data-root", default="data", help="with the made scenes in its folder `procedural` (data)")
    parser.add_argument("--afresh", action="store_true", help="from random weights, not from those that ship")
    parser.add_argument("--ship", action="store_true", help="put the weights into the package")
    parser.add_argument("--views", type=int, default=1, help="test views of each scene of the table (1)")
    parser.add_argument("--overrides", default="", help="of settings: section.name=value, …")
    asked = parser.parse_args(arguments)
    try:
        given = {"data.data_root": asked.data_root} | parse_overrides(asked.overrides)
        on_gpu = ON_GPU if torch.cuda.is_available() else {}
        trained = train(asked.folder, asked.minutes, given, on_gpu, afresh=asked.afresh)
        for name, run in trained.items():
            print(f"{name}: {display_path(run.last_checkpoint)}", flush=True)
        _judge(trained, asked.data_root, asked.views, ship_them=asked.ship)
    except MaskrfError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _judge(trained: dict[str, Run], data_root: str, views: int, *, ship_them: bool) -> None:
    """Show the zero-shot table of what was trained, and put the weights into the package if asked to."""
    from maskrf_core.training.shipping import ship_card, ship_weights
    from maskrf_core.training.zero_shot import SCENES, markdown, those_there, zero_shot

    scenes = those_there(SCENES, data_root)
    for name, run in trained.items():
        judged = ship_weights(name, run) if ship_them else run.last_checkpoint  # what ships is rounded
        table = zero_shot(judged, scenes, data_root, views_per_scene=views, called=name)
        print(f"{name}:\n{markdown(table)}", flush=True)
        if ship_them:
            asked = f"--checkpoint {name} --views {views} --scenes {' '.join(scenes)}"
            command = f"python -m maskrf_core.training.zero_shot {asked}"
            print(f"written: {display_path(ship_card(name, run, table, command))}")


def _ready(config: Config) -> list[str]:
    """Return what to train on: all but whole data sets none of whose depth is kept, which are named."""
    scenes = list(config.data.train_scenes)
    while True:
        data = config.data.model_copy(update={"train_scenes": scenes})
        try:
            Mixture(data, cache_folder(data.data_root), inputs=training_inputs(config)).first_scenes()
        except NoDepthKeptError as error:
            if len(scenes) == 1:
                raise
            print(f"left out: {error}", file=sys.stderr)
            scenes.remove(error.data_set)
        else:
            return scenes


def _begins_afresh(folder: Path, *, asked: bool) -> bool:
    """Tell whether the folder's trainings begin from random weights; `RunError` if that is asked and they do not."""
    pretrained, finetuned = (Run(folder / stage).config_path.is_file() for stage in STAGES.values())
    if asked and finetuned and not pretrained:
        raise RunError(
            f"{display_path(folder)}: holds a run that began from the weights that ship. Take another --folder."
        )
    return asked or pretrained


def _config(run: Run, stage: Stage, chosen: dict[str, Any], asked: dict[str, Any]) -> Config:
    """Return the config of a run: what is chosen here, and what is asked for; one that was begun stays what it is."""
    here = load_config(stage, "weights", chosen | asked)
    if not run.config_path.is_file():
        return here if "data.train_scenes" in asked else _with(here, {"data.train_scenes": _ready(here)})
    differing = {name: value for name, value in flat(here.model_dump()).items() if may_differ(name)}
    return _with(run.config, differing | asked)


def _with(config: Config, overrides: dict[str, Any]) -> Config:
    return validated(with_overrides(config.model_dump(), overrides))


if __name__ == "__main__":
    sys.exit(main())
