"""What configs that earlier versions wrote leave out, or said otherwise."""

from typing import Any

from maskrf_core.settings.sections import TrainingSettings


def as_it_was(values: dict[str, Any]) -> dict[str, Any]:
    """Return the values of a written config with what it does not say as it was then.

    Views were the nearest, and its recipe the first: masking began and warmed up in steps, which are written as shares
    of the run's, and the EMA always kept 99 %. What is no section is left to be refused.
    """
    data, training, masking = (values.get(name, {}) for name in ("data", "training", "masking"))
    if not all(isinstance(section, dict) for section in (data, training, masking)):
        return values
    values = values | {"data": {"view_choice": "nearest"} | data, "training": {"recipe": 1} | training}
    if values["training"]["recipe"] != 1:
        return values
    steps = training.get("steps", TrainingSettings().steps)
    begins, rises = masking.get("start_step", 20_000), masking.get("warmup_steps", 10_000)
    shares = {"start": begins / steps, "warmup": rises / steps, "target_memory": 100 / steps}
    own = {name: value for name, value in masking.items() if name not in ("start_step", "warmup_steps")}
    return values | {"masking": {name: min(1.0, share) for name, share in shares.items()} | own}
