"""Put trained weights into the package: half precision, and a card that says what they are, from the run folder."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from maskrf_core.checkpoints.published_checkpoints import load_renderer, steps_before, steps_of
from maskrf_core.checkpoints.published_files import SHIPPED, WEIGHTS
from maskrf_core.checkpoints.shipped_weights import write_weights
from maskrf_core.runs import Run
from maskrf_core.runs.provenance import now, read_provenance
from maskrf_core.support.atomic_files import write_json, write_text
from maskrf_core.support.errors import RunError
from maskrf_core.support.paths import ROOT
from maskrf_core.training.zero_shot import NEAREST, UNTRAINED, markdown

NOT_FOR = (
    "Trained on made scenes of 96 and 128 pixels alone. Not for scenes whose depth is not known or cannot be estimated "
    "(mirrors, glass, sky), nor for views far outside those of the references. Its numbers do not compare with "
    "published ones: data, sizes and steps are others."
)
ABOVE_SIMPLEST = 5.0  # dB, that every scene is to be above the nearest view and the untrained average, each view alike
AT_LEAST = {"nerf_synthetic/lego/black_400": 25.0, "dtu_test/scan65/black_400": 28.0, "nerf_llff/fern/8": 21.0}  # dB
OF_THE_MAKING = ("steps", "seed", "hours", "devices", "commits", "before")


def ship_weights(name: str, run: Run, folder: Path = WEIGHTS) -> Path:
    """Write the last weights of a run under the name that they ship under.

    Raises:
        RunError: no card says of what is there how the weights that the run began from were made.
    """
    path = folder / SHIPPED[name].name
    _before(name, run, folder)
    write_weights(path, load_renderer(run.last_checkpoint), steps_of(run.last_checkpoint))
    return path


def ship_card(
    name: str, run: Run, numbers: pd.DataFrame, command: str, folder: Path = WEIGHTS, docs: Path = ROOT / "docs"
) -> Path:
    """Write the card of weights that ship beside them, and a page of it."""
    path = (folder / SHIPPED[name].name).with_suffix(".json")
    card = card_of(name, run, numbers, command)
    if before := _before(name, run, folder):
        card["before"] = before
        for scenes in ("train_scenes", "validation_scenes"):  # whoever asks what the weights saw reads these
            there = card["settings"]["data"]
            there[scenes] = list(dict.fromkeys([*there[scenes], *before.pop(scenes)]))
    write_json(path, card)
    write_text(docs / f"weights-{name}.md", markdown_of(card))
    return path


def card_of(name: str, run: Run, numbers: pd.DataFrame, command: str) -> dict[str, Any]:
    """Return what is to be known of the weights: data, steps, device, time, seed, code, settings, numbers, limits."""
    config = run.config
    sessions = read_provenance(run.folder)["sessions"]
    hours = sum(session.get("wall_seconds") or 0 for session in sessions) / 3600
    settings = {
        section: getattr(config, section).model_dump(mode="json") for section in ("model", "masking", "training")
    }
    begun_from = config.training.initial_weights
    settings["training"]["initial_weights"] = begun_from if begun_from in (None, *SHIPPED) else "maskrf-pretrained"
    data = {key: value for key, value in config.data.model_dump(mode="json").items() if key != "data_root"}
    return {
        "name": name,
        "stage": config.stage,
        "steps": steps_of(run.last_checkpoint),
        "seed": config.training.seed,
        "devices": sorted({session.get("gpu") or session.get("processor") or "unknown" for session in sessions}),
        "hours": round(hours, 2),
        "commits": sorted({session["git_commit"] for session in sessions if session.get("git_commit")}),
        "written": now(),
        "settings": {**settings, "data": data},
        "numbers": numbers.astype(object).where(numbers.notna(), None).to_dict("records"),
        "command": command,
        "not for": NOT_FOR,
    }


def _before(name: str, run: Run, folder: Path) -> dict[str, Any] | None:
    """Return what the card of the weights that a run began from says of their making, if they shipped under its name.

    Since then, weights of the run itself may have taken their place, and the card has theirs as those before.
    """
    if run.config.training.initial_weights != name:
        return None
    path, steps = (folder / SHIPPED[name].name).with_suffix(".json"), steps_before(run.last_checkpoint)
    there: dict[str, Any] | None = json.loads(path.read_text(encoding="utf-8"))
    scenes = {key: there["settings"]["data"][key] for key in ("train_scenes", "validation_scenes")}
    while there is not None and there["steps"] != steps:
        there = there.get("before")
    if there is None:
        raise RunError(
            f"{path}: tells of no weights of {steps} steps, from which {run.folder} began. Begin from those that ship."
        )
    return {key: there[key] for key in OF_THE_MAKING if key in there} | scenes


def markdown_of(card: dict[str, Any]) -> str:
    """Return the card as a page."""
    data = card["settings"]["data"]
    lines = [
        f"# Weights `{card['name']}`",
        "",
        f"- stage: {card['stage']}, {card['steps']} steps in all, seed {card['seed']}",
        f"- trained on: {', '.join(data['train_scenes'])}; validated on: {', '.join(data['validation_scenes'])}",
        f"- {card['hours']:g} hours of this stage on {', '.join(card['devices'])}; code: {', '.join(card['commits'])}",
        *_lines_before(card.get("before")),
        f"- not for: {card['not for']}",
        "",
        f"PSNR [dB] / SSIM / median error of depth by method and working views, by `{card['command']}`:",
        "",
    ]
    numbers = pd.DataFrame(card["numbers"])
    return "\n".join([*lines, markdown(numbers), "", *_lines_of_aims(numbers, card["name"]), ""])


def _lines_of_aims(numbers: pd.DataFrame, name: str) -> list[str]:
    """Say by how much each scene is above its aim, or short of it, with the most working views that it was seen by."""
    most = numbers.loc[numbers["method"] == name, "working views"].max()
    psnr = numbers.pivot_table(index="scene", columns=["method", "working views"], values="psnr", sort=False)
    simplest = psnr[[(NEAREST, 1), (UNTRAINED, most)]].max(axis=1)
    aims = (simplest + ABOVE_SIMPLEST).clip(lower=pd.Series(AT_LEAST).reindex(psnr.index))
    over = psnr[name, most] - aims
    least = ", ".join(f"{least:g} on {scene}" for scene, least in AT_LEAST.items() if scene in psnr.index)
    return [
        f"Aims, in dB of PSNR with {most} views: {ABOVE_SIMPLEST:g} above the better one of nearest view and untrained"
        f"{f', and at least {least}' if least else ''}. What is missing is negative:",
        "",
        "| scene | aim | reached | above the aim |",
        "|---|---|---|---|",
        *(f"| {each} | {aims[each]:.2f} | {psnr[name, most][each]:.2f} | {over[each]:+.2f} |" for each in psnr.index),
    ]


def _lines_before(before: dict[str, Any] | None) -> list[str]:
    if before is None:
        return []
    made = f"{before['hours']:g} hours of their last stage on {', '.join(before['devices'])}"
    line = (
        f"- begun from weights that shipped before, with a new optimiser: {before['steps']} steps in all, seed "
        f"{before['seed']}, {made}; code: {', '.join(before['commits'])}"
    )
    return [line, *_lines_before(before.get("before"))]
