"""Faults of settings in words: one line each, with the name, the value, and what would be right."""

from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError

BOUNDS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
LIMITS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}  # the same in JSON schemas
KINDS = {
    "float": "a number",
    "int": "a whole number",
    "bool": "True or False",
    "string": "text",
    "list": "a list",
    "model": "a section of settings",
    "dict": "a section of settings",
}


def readable(error: ValidationError, model: type[BaseModel], noun: str = "setting") -> str:
    """List all faults of a validation of `model`, one a line: `mask_ratio=1.5: must be ≥ 0 and < 1`."""
    return "\n".join(_fault(fault, model, noun) for fault in error.errors())


def _fault(fault: dict[str, Any], model: type[BaseModel], noun: str) -> str:
    name, kind, value = ".".join(map(str, fault["loc"])), fault["type"], fault["input"]
    if kind == "extra_forbidden":
        *parents, last = map(str, fault["loc"])
        known = list(_model_at(model, fault["loc"][:-1]).model_fields)
        nearest = [".".join([*parents, close]) for close in get_close_matches(last, known, n=1)]
        hint = f"did you mean {nearest[0]}?" if nearest else f"known are {', '.join(known)}"
        return f"{name}: unknown {noun}; {hint}"
    if kind == "missing":
        return f"{name}: is missing"
    if kind == "value_error":  # of a section or of everything as a whole: the message names the setting
        message = str(fault["msg"]).removeprefix("Value error, ")
        return f"{name}.{message}" if name else message
    return f"{name}={value!r}: must be {_expectation(fault, model)}"


def _expectation(fault: dict[str, Any], model: type[BaseModel]) -> str:
    kind = fault["type"]
    if kind == "literal_error":
        choices = fault["ctx"]["expected"]
        names = choices.replace("'", "").replace(" or ", ", ").split(", ")
        nearest = get_close_matches(str(fault["input"]), names, n=1)
        return f"one of {choices}" + (f"; did you mean {nearest[0]!r}?" if nearest else "")
    if kind.endswith(("_type", "_parsing", "_from_float")):
        return KINDS.get(kind.split("_")[0], fault["msg"])
    schema = _model_at(model, fault["loc"][:-1]).model_json_schema()["properties"].get(str(fault["loc"][-1]), {})
    parts = [schema, *schema.get("anyOf", [])]  # those of `Annotated[...] | None` stand in the union's parts
    bounds = [f"{sign} {part[name]}" for name, sign in LIMITS.items() for part in parts if name in part]
    if not bounds:  # of a value inside a dict: what the fault itself says
        bounds = [f"{BOUNDS[name]} {limit:g}" for name, limit in fault.get("ctx", {}).items() if name in BOUNDS]
    return " and ".join(bounds) or fault["msg"]


def _model_at(model: type[BaseModel], location: tuple) -> type[BaseModel]:
    for name in location:
        field = model.model_fields.get(str(name))
        if field is None or not isinstance(field.annotation, type) or not issubclass(field.annotation, BaseModel):
            return model
        model = field.annotation
    return model
