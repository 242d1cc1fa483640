"""Tables for people: data sets, scenes, settings, and the metrics of methods."""

import re
from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import Any

import numpy as np
import pandas as pd
from IPython.display import HTML, Markdown

from maskrf_core.datasets.inventory import DataSetReport, SceneReport
from maskrf_core.datasets.records import DATA_SETS, markdown_table
from maskrf_core.rendering.evaluation import why_no_lpips
from maskrf_core.settings.config import Config
from maskrf_core.support.errors import in_short

DECIMALS = {"psnr": 2, "ssim": 3, "lpips": 3}
CODE = '<code style="white-space: normal">'
HEADINGS = {"psnr": "PSNR [dB] ↑", "ssim": "SSIM ↑", "lpips": "LPIPS ↓"}


def data_sets(reports: Sequence[DataSetReport]) -> pd.DataFrame:
    """Tabulate which data sets are there and whether they are whole: one row each."""
    rows = []
    for report in reports:
        about, looked = DATA_SETS[report.data_set], len(report.scenes)
        published = f" of {about.scenes}" if about.scenes else ""
        depths = f"{report.total('with_depth')} of {report.total('looked_at')}"
        rows.append(
            {
                "data set": report.data_set,
                "title": about.title,
                "used for": about.used_for,
                "state": report.state,
                "scenes found": f"{report.found}{published}" if report.found else "",
                "whole": f"{report.whole} of {looked}" if looked else "",
                "images": report.total("images") or "",
                "depth known, of views looked at": depths if looked else "",
            }
        )
    return pd.DataFrame(rows).set_index("data set")


def remarks(reports: Sequence[DataSetReport]) -> str:
    """Name the first bad file of every broken data set with what to do, and scenes that must not be trained on."""
    lines = [f"{report.data_set}: {report.first_fault}" for report in reports if report.first_fault]
    for report in reports:
        if found := report.test_scenes_found:
            what = f"{in_short(found)} show{'s' if len(found) == 1 else ''} what a test set shows"
            lines.append(f"{report.data_set}: {what}. Never train on it: move it out of the data set's folder.")
    return "\n".join(lines) or "Nothing is broken in what is there."


def where_to_get(reports: Sequence[DataSetReport]) -> HTML | Markdown:
    """Say of what is absent, incomplete or broken what is needed and where it comes from."""
    missing = [report.data_set for report in reports if report.state not in ("complete", "to prepare")]
    if not missing:
        return Markdown("Everything is there.")
    from nbconvert.filters import markdown2html

    return _wrapping(markdown2html(markdown_table(missing)).replace(r"\|", "|"))


def scenes(reports: Sequence[SceneReport]) -> pd.DataFrame:
    """Tabulate scenes that were looked through: one row each, with the first thing that is wrong."""
    columns = ["scene", "state", "images", "whole", "with depth", "fault"]
    rows = [(each.name, each.state, each.images, each.looked_at, each.with_depth, each.fault or "") for each in reports]
    return pd.DataFrame(rows, columns=columns).set_index("scene")


def or_text(table: pd.DataFrame, otherwise: str) -> HTML | Markdown:
    """Show a table, or a text where it has no rows."""
    return _whole(table) if len(table) else Markdown(otherwise)


def _whole(table: pd.DataFrame) -> HTML:
    """Show a table whose long texts are not cut, and which is no wider than the page."""
    named = table.index.name is not None
    with pd.option_context("display.max_colwidth", None):
        return _wrapping((table.reset_index() if named else table).to_html(index=not named))


def _wrapping(table: str) -> HTML:
    """Let names and paths in a table of HTML break after / _ and |, and no word within.

    Styles are on the tags: a page may drop its own.
    """
    texts = re.compile(r"(?<=>)[^<]+")
    table = texts.sub(lambda text: re.sub(r"([/_|])(?=.)", r"\1<wbr>", text[0]), table)
    for tag in ("th", "td"):
        table = table.replace(f"<{tag}>", f'<{tag} style="text-align: left">')
    return HTML(table.replace("<code>", CODE))


def settings_shown(config: Config, names: Sequence[str]) -> HTML:
    """Tabulate some settings of a config, by dotted name, with what they mean."""
    rows = []
    for name in names:
        section, _, field = name.partition(".")
        settings = getattr(config, section)
        description = type(settings).model_fields[field].description or ""
        rows.append({"setting": name, "value": str(getattr(settings, field)), "meaning": description})
    return _whole(pd.DataFrame(rows).set_index("setting"))


def summary_of(scores: pd.DataFrame) -> pd.DataFrame:
    """Average the fine metrics over all views, one row a method in the order of appearance; NaN where there is none."""
    numbers = scores.set_index("method")[[f"fine_{name}" for name in DECIMALS]].astype(float)
    return numbers.set_axis(list(DECIMALS), axis=1).groupby("method", sort=False).mean()


def formatted(summary: pd.DataFrame) -> pd.DataFrame:
    """Write each number with its decimals, `n/a` where there is none."""
    shown = {
        HEADINGS[name]: [f"{value:.{digits}f}" if np.isfinite(value) else "n/a" for value in summary[name]]
        for name, digits in DECIMALS.items()
        if name in summary
    }
    return pd.DataFrame(shown, index=summary.index)


def lpips_note() -> str:
    """Say why there is no LPIPS, or which one it is."""
    reason = why_no_lpips()
    return "LPIPS: VGG backbone" if reason is None else fill(f"LPIPS n/a: {reason}", 100)


def plain(summary: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Return a summary as plain numbers to be recorded: method → metric → value or None."""
    return summary.astype(object).where(np.isfinite(summary), None).to_dict("index")


def from_plain(numbers: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """Invert `plain`."""
    return pd.DataFrame.from_dict(numbers, orient="index").astype(float).rename_axis("method")
