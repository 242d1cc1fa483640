"""Submit trainings or a notebook to Slurm: `python -m maskrf_core.slurm train RUN_FOLDER...`."""

import argparse
import sys
from pathlib import Path

from maskrf_core.slurm.submission import SlurmSettings, parse_slurm, submit_notebook, submit_trainings, wait
from maskrf_core.support.errors import MaskrfError
from maskrf_core.support.paths import RUNS, display_path


def main(arguments: list[str] | None = None) -> int:
    """Submit, say what was submitted and what to watch, and wait for it where asked to."""
    asked = parser().parse_args(arguments)
    try:
        settings = parse_slurm(asked.slurm)
        if asked.command == "train":
            chains = [[folder] for folder in asked.folders] if asked.array else [asked.folders]
            jobs = submit_trainings(chains, settings, asked.logs)
        else:
            parameters = dict(asked.parameter)
            jobs = [submit_notebook(asked.notebook, asked.output, parameters, settings, asked.logs)]
        for job in jobs:
            print(f"job {job.job_id}: {display_path(job.task(0).paths.stdout)}", flush=True)
        first = jobs[0].job_id.partition("_")[0]
        print(f"squeue --jobs={first} shows where it stands, scancel {first} ends it; both survive this shell.")
        if asked.wait:
            wait(jobs)
            print("all done")
    except MaskrfError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    of_all = argparse.ArgumentParser(add_help=False)
    settings = ", ".join(SlurmSettings.model_fields)
    of_all.add_argument("--slurm", default="", metavar="SETTINGS", help=f'"partition=gpu, timeout_min=600"; {settings}')
    of_all.add_argument("--logs", type=Path, default=RUNS / "slurm", help="folder that all nodes see; runs/slurm")
    of_all.add_argument("--wait", action="store_true", help="return when the jobs have ended, 1 where one failed")

    whole = argparse.ArgumentParser(prog="python -m maskrf_core.slurm", description=__doc__.splitlines()[0])
    commands = whole.add_subparsers(dest="command", required=True)
    train = commands.add_parser("train", parents=[of_all], help="train runs, one after the other in one job")
    train.add_argument("folders", nargs="+", type=Path, metavar="RUN_FOLDER", help="folder with a config.yaml")
    train.add_argument("--array", action="store_true", help="a job for each run, as a job array")
    notebook = commands.add_parser("notebook", parents=[of_all], help="execute a notebook with papermill")
    notebook.add_argument("notebook", type=Path)
    notebook.add_argument("output", type=Path)
    notebook.add_argument("-p", "--parameter", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"))
    return whole


if __name__ == "__main__":
    sys.exit(main())
