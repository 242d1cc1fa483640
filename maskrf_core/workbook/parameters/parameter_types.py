"""Lists as flat scalars: numbers or names in one text, separated by commas."""

import re
from difflib import get_close_matches
from typing import Annotated, Any

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError


def _as_text(value: Any) -> Any:
    """papermill turns `-p mask_ratios 0.5` into a number before the notebook sees it."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def split_list(text: str | None) -> list[str] | None:
    """`"a, b"` → `["a", "b"]`; None stays None."""
    return None if text is None else [part.strip() for part in text.split(",") if part.strip()]


def _pixel(text: Any) -> Any:
    """Let pass two numbers ≥ 0, separated by a comma."""
    parts = split_list(text) if isinstance(text, str) else None
    if not parts or not re.fullmatch(r"\d+(\.\d+)?, \d+(\.\d+)?", ", ".join(parts)):
        raise PydanticCustomError("pixel", "two numbers ≥ 0, x and y, separated by a comma")
    return text


def _listed(kind: type, within: str, low: int, high: int):
    """A validator of text that lists numbers from `low` up to but not including `high`."""

    def check(text: Any) -> Any:
        text = _as_text(text)
        try:
            values = [kind(part) for part in split_list(text)] if isinstance(text, str) else []
        except ValueError:
            values = []
        if not values or not all(low <= value < high for value in values) or len(set(values)) < len(values):
            raise PydanticCustomError("listed", "{within}", {"within": f"different {within}, separated by commas"})
        return text

    return BeforeValidator(check)


def _strategies(text: Any) -> Any:
    """Let pass different names of strategies; any `module:function` is looked for later."""
    from maskrf_core.model.masking.strategies import STRATEGIES as known  # noqa: N811 - torch, which takes seconds

    parts = split_list(text) if isinstance(text, str) else []
    unknown = [part for part in parts if part not in known and ":" not in part]
    if not parts or unknown or len(set(parts)) < len(parts):
        nearest = [match for part in unknown for match in get_close_matches(part, known, n=1)]
        hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
        within = f"different ones of {', '.join(known)}, separated by commas{hint}"
        raise PydanticCustomError("listed", "{within}", {"within": within})
    return text


StrategyList = Annotated[str, BeforeValidator(_strategies)]
RatioList = Annotated[str, _listed(float, "numbers ≥ 0 and < 1", 0, 1)]
SeedList = Annotated[str, _listed(int, "whole numbers ≥ 0", 0, 2**31)]
PixelText = Annotated[str, BeforeValidator(_pixel)]
SceneList = Annotated[str, Field(pattern=r"\S", description="names of scenes, separated by commas")]
