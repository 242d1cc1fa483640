"""Put trained weights into the package: half precision, and a card that says what they are, from the run folder."""

from pathlib import Path
from typing import Any

import pandas as pd

from maskrf_core.checkpoints.published_checkpoints import load_renderer, steps_of
from maskrf_core.checkpoints.published_files import SHIPPED, WEIGHTS
from maskrf_core.checkpoints.shipped_weights import write_weights
from maskrf_core.runs import Run
from maskrf_core.runs.provenance import now, read_provenance
from maskrf_core.support.atomic_files import write_json, write_text
from maskrf_core.support.paths import ROOT
from maskrf_core.training.zero_shot import markdown

NOT_FOR = (
    "Trained on made scenes of 96 and 128 pixels alone. Not for scenes whose depth is not known or cannot be estimated "
    "(mirrors, glass, sky), nor for views far outside those of the references. Its numbers do not compare with "
    "published ones: data, sizes and steps are others."
)


def ship_weights(name: str, run: Run, folder: Path = WEIGHTS) -> Path:
    """Write the last weights of a run under the name that they ship under."""
    path = folder / SHIPPED[name].name
    write_weights(path, load_renderer(run.last_checkpoint), steps_of(run.last_checkpoint))
    return path


def ship_card(
    name: str, run: Run, numbers: pd.DataFrame, command: str, folder: Path = WEIGHTS, docs: Path = ROOT / "docs"
) -> Path:
    """Write the card of weights that ship beside them, and a page of it."""
    card = card_of(name, run, numbers, command)
    path = (folder / SHIPPED[name].name).with_suffix(".json")
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
    settings["training"]["initial_weights"] = config.training.initial_weights and "maskrf-pretrained"
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


def markdown_of(card: dict[str, Any]) -> str:
    """Return the card as a page."""
    data = card["settings"]["data"]
    lines = [
        f"# Weights `{card['name']}`",
        "",
        f"- stage: {card['stage']}, {card['steps']} steps in all, seed {card['seed']}",
        f"- trained on: {', '.join(data['train_scenes'])}; validated on: {', '.join(data['validation_scenes'])}",
        f"- {card['hours']:g} hours of this stage on {', '.join(card['devices'])}; code: {', '.join(card['commits'])}",
        f"- not for: {card['not for']}",
        "",
        f"PSNR [dB] / SSIM / median error of depth by method and working views, by `{card['command']}`:",
        "",
    ]
    return "\n".join([*lines, markdown(pd.DataFrame(card["numbers"])), ""])
