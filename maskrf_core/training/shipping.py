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
    path = (folder / SHIPPED[name].name).with_suffix(".json")
    card = card_of(name, run, numbers, command)
    if run.config.training.initial_weights == name:
        card["before"] = _before(path, steps_before(run.last_checkpoint))
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


def _before(path: Path, steps: int) -> dict[str, Any]:
    """Return what the card of the weights that a run began from, after so many steps, says of their making."""
    card = json.loads(path.read_text(encoding="utf-8"))
    if card["steps"] != steps:  # weights of this run have taken their place before
        return card["before"]
    return {name: card[name] for name in ("steps", "seed", "hours", "devices", "commits", "before") if name in card}


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
    return "\n".join([*lines, markdown(pd.DataFrame(card["numbers"])), ""])


def _lines_before(before: dict[str, Any] | None) -> list[str]:
    if before is None:
        return []
    made = f"{before['hours']:g} hours of their last stage on {', '.join(before['devices'])}"
    line = (
        f"- begun from weights that shipped before, with a new optimiser: {before['steps']} steps in all, seed "
        f"{before['seed']}, {made}; code: {', '.join(before['commits'])}"
    )
    return [line, *_lines_before(before.get("before"))]
