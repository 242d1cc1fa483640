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
        siblings = _model_at(model, fault["loc"][:-1]).model_fields
        return f"{name}: unknown {noun}{_suggestion(fault['loc'], siblings)}"
    if kind == "missing":
        return f"{name}: is missing"
    if kind == "value_error":  # of a section or of everything as a whole: the message names the setting
        message = str(fault["msg"]).removeprefix("Value error, ")
        return f"{name}.{message}" if name else message
    return f"{name}={value!r}: must be {_expectation(fault, model)}"


def _suggestion(location: tuple, names: Any) -> str:
    *parents, name = map(str, location)
    nearest = get_close_matches(name, list(names), n=1)
    return f"; did you mean {'.'.join([*parents, nearest[0]])}?" if nearest else f"; known are {', '.join(names)}"


def _expectation(fault: dict[str, Any], model: type[BaseModel]) -> str:
    kind = fault["type"]
    if kind == "literal_error":
        choices = fault["ctx"]["expected"]
        nearest = get_close_matches(
            f"{fault['input']}", choices.replace("'", "").replace(" or ", ", ").split(", "), n=1
        )
        return f"one of {choices}" + (f"; did you mean {nearest[0]!r}?" if nearest else "")
    if kind.endswith(("_type", "_parsing", "_from_float")):
        return KINDS.get(kind.split("_")[0], fault["msg"])
    bounds = _bounds(model, fault["loc"])
    if not bounds:  # of a value inside a dict: what the fault itself says
        broken = {name: limit for name, limit in fault.get("ctx", {}).items() if name in BOUNDS}
        bounds = " and ".join(f"{BOUNDS[name]} {limit:g}" for name, limit in broken.items())
    return bounds or fault["msg"]


def _bounds(model: type[BaseModel], location: tuple) -> str:
    """Write all bounds of a field, e.g. `≥ 0 and < 1`."""
    schema = _model_at(model, location[:-1]).model_json_schema()["properties"].get(str(location[-1]), {})
    parts = [schema, *schema.get("anyOf", [])]  # those of `Annotated[...] | None` stand in the union's parts
    return " and ".join(f"{sign} {part[name]}" for name, sign in LIMITS.items() for part in parts if name in part)


def _model_at(model: type[BaseModel], location: tuple) -> type[BaseModel]:
    for name in location:
        field = model.model_fields.get(str(name))
        if field is None or not isinstance(field.annotation, type) or not issubclass(field.annotation, BaseModel):
            return model
        model = field.annotation
    return model
