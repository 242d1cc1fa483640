"""The table of runs that a person can sort and filter; two rows that are chosen are compared below it."""

import json
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

import ipywidgets
import pandas as pd
from IPython.display import HTML, display

from maskrf_core import runs
from maskrf_core.runs import Run
from maskrf_core.support.errors import MaskrfError
from maskrf_core.support.progress import in_watched_notebook
from maskrf_core.workbook.figures import plots
from maskrf_core.workbook.figures.parts_of_pages import html_of, picture

HINT = "Click two rows to compare these runs."
KINDS = ("truth", "fine")  # of the pictures that an evaluation leaves as <scene>/<image>_<kind>.png
RENDERS = "side_by_side"  # folder in a run's renders, for what is rendered here
STYLE = "width: 240px; max-width: 100%; image-rendering: pixelated"
FILTERS = ".dataTable tfoot input {width: 100%; min-width: 4em; box-sizing: border-box}"  # as wide as their columns
TELL = """function(settings) {{
  const table = this.api();
  table.off('.chosen').on('select.chosen deselect.chosen', () => {{
    const input = document.querySelector('.{name} input');
    input.value = JSON.stringify(table.rows({{selected: true}}).indexes().toArray());
    input.dispatchEvent(new Event('input', {{bubbles: true}}));
  }});
}}"""
"""Write the numbers of the rows that are chosen into a widget that nobody sees: the kernel reads them there."""


def compare(root: Path, where: Mapping[str, Any] | None = None, sort: str | None = None) -> Any:
    """Show `runs.table` with columns to sort and filter by; two rows that are clicked are compared below it.

    Where nobody watches, return the table alone.

    Raises:
        SettingsError: as `runs.table`.
    """
    table = runs.table(root, where, sort)
    if not in_watched_notebook() or table.empty:
        return table
    comparison = Comparison([root / name for name in table.index])
    _show_table(table, comparison.name)
    return comparison.page


class Comparison:
    """What is shown below the table: settings in which two runs differ, their losses, and renders side by side."""

    def __init__(self, folders: list[Path]):
        self._folders = folders
        self.chosen = ipywidgets.Text("[]", layout={"display": "none"})  # numbers of rows, as JSON
        self.name = f"chosen-{self.chosen.model_id}"
        self.chosen.add_class(self.name)
        self.chosen.observe(lambda change: self.show(json.loads(change["new"])), names="value")
        self._shown = ipywidgets.VBox()
        self.page = ipywidgets.VBox([self.chosen, self._shown])
        self.show([])

    def show(self, rows: list[int]) -> None:
        """Compare the runs of two rows; with any other number of them, say what to do."""
        if len(rows) != 2:
            self._shown.children = [ipywidgets.HTML(f"<i>{HINT}</i>")]
            return
        try:
            self._shown.children = self._compared([Run.open(self._folders[row]) for row in rows])
        except (MaskrfError, ValueError, KeyError, OSError) as error:  # a folder that is damaged, or just changing
            self._shown.children = [ipywidgets.HTML(f"cannot be compared: {escape(str(error))}")]

    def _compared(self, pair: list[Run]) -> list[ipywidgets.Widget]:
        difference = runs.diff(*pair)
        names = list(difference.columns)
        logged = {name: run.metrics() for name, run in zip(names, pair, strict=True)}
        curves = {name: (rows, 0) for name, rows in logged.items() if (rows["phase"] == "train").any()}
        losses = "<i>Neither has logged losses.</i>"
        if curves:
            figure = plots.colour_curves(curves)
            losses = html_of(figure, figure.get_suptitle())
        return [
            _table_of(difference),
            ipywidgets.HTML(losses),
            *self._renders(names, pair),
        ]

    def _renders(self, names: list[str], pair: list[Run]) -> list[ipywidgets.Widget]:
        """Show a view that both have rendered beside its truth; where there is none, a button that renders one."""
        view = common_view(*pair)
        if view is not None:
            truth, *fine = (
                (run.renders / f"{view}_{kind}.png").read_bytes()
                for run, kind in zip([pair[0], *pair], [KINDS[0], KINDS[1], KINDS[1]], strict=True)
            )
            shown = {"truth": truth} | dict(zip(names, fine, strict=True))
            parts = [f"<figure>{picture(png, name, STYLE)}<figcaption>{escape(name)}</figcaption></figure>"
                     for name, png in shown.items()]  # fmt: skip
            return [ipywidgets.HTML(f'<b>{escape(view)}</b><div style="display: flex">{"".join(parts)}</div>')]
        if not all(run.weights.is_file() for run in pair):
            return [ipywidgets.HTML("<i>There is nothing to render yet: one of them has no weights.</i>")]
        button = ipywidgets.Button(description="render a validation view of both", layout={"width": "auto"})

        def pressed(_) -> None:
            button.disabled, button.description = True, "rendering …"
            try:
                for run in pair:
                    render_one(run, pair[0].config.data.validation_scenes[0])
                self._shown.children = self._compared(pair)
            except (MaskrfError, ValueError, KeyError, OSError) as error:  # nobody would see it raised from here
                self._shown.children = [ipywidgets.HTML(f"cannot be rendered: {escape(str(error))}")]

        button.on_click(pressed)
        return [button]


def _table_of(difference: pd.DataFrame) -> ipywidgets.HTML:
    rows = difference.reset_index().to_html(index=False, border=0)
    shown = ipywidgets.HTML(rows if len(difference) else "<i>These runs differ in nothing that they record.</i>")
    return shown.add_class("jp-RenderedHTMLCommon")  # JupyterLab's own look of tables


def common_view(first: Run, second: Run) -> str | None:
    """Find a view of which both runs keep renders: its path in `renders`, without `_fine.png`; by name the first."""
    ending = f"_{KINDS[1]}.png"
    kept = [{path.relative_to(run.renders) for path in run.renders.rglob(f"*{ending}")} for run in (first, second)]
    return min((path.as_posix().removesuffix(ending) for path in set.intersection(*kept)), default=None)


def render_one(run: Run, scene: str) -> None:
    """Render one validation view of a scene with a run's weights, and keep it in the run's renders."""
    from maskrf_core.rendering.evaluation import evaluate  # imports torch

    data, hardware = run.config.data, run.config.hardware
    evaluate(
        run, [scene], data_root=data.data_root, split="validation", working_views=data.working_views,
        view_choice=data.view_choice, views_per_scene=1, rays_per_chunk=hardware.rays_per_chunk,
        rendering=run.config.rendering, device=hardware.device, pictures=run.renders / RENDERS,
        render_cache_mib=hardware.render_cache_mib,
    )  # fmt: skip


def _show_table(table: pd.DataFrame, chosen: str) -> None:
    """Put the table on the page, with all that it needs to work without a network."""
    from itables import JavascriptFunction, init_notebook_mode, to_html_datatable

    init_notebook_mode(all_interactive=False, connected=False)
    shown = table.map(lambda value: str(value) if isinstance(value, list | dict) else value).round(3)
    shown = shown.dropna(axis="columns", how="all").rename_axis(columns=None).reset_index()
    settings_first = sorted(shown.columns, key=lambda name: (name != "run", "." not in name))
    tell = JavascriptFunction(TELL.format(name=chosen))
    page = to_html_datatable(
        shown[settings_first], connected=False, maxBytes=0, showIndex=False, column_filters="footer",
        select={"style": "multi"}, drawCallback=tell, css=FILTERS,
    )  # fmt: skip
    display(HTML(page))
