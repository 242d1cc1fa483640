"""Speed: ratios to the straightforward way, fractions of the ceiling, and how cost grows."""

from collections.abc import Mapping, Sequence
from textwrap import fill

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from maskrf_core.workbook.experiments.measurements import Arithmetic, Comparison, Growth, Spread
from maskrf_core.workbook.figures import new_figure

LABEL_WIDTH = 34


def ratio_bars(comparisons: Mapping[str, Comparison]) -> Figure:
    """How many times as much the straightforward way takes: medians, with the smallest and largest."""
    labels = {title: f"{part.ratio.median:.2f}×" for title, part in comparisons.items()}
    figure, axes = _bars({title: part.ratio for title, part in comparisons.items()}, labels)
    axes.axvline(1, color="gray", linestyle=":")
    axes.set_xlabel("the straightforward way takes … times as much (dotted: the same)")
    medians = [part.ratio.median for part in comparisons.values()]
    figure.suptitle(
        f"The straightforward way takes {_range(medians)} times as much" if medians else "Nothing was compared",
        fontsize=11,
    )
    return figure


def ceiling_bars(arithmetic: Mapping[str, Arithmetic]) -> Figure:
    """How much of a matrix product's speed is reached."""
    percent = {
        title: Spread(median=100 * part.fraction.median, all=[100 * value for value in part.fraction.all])
        for title, part in arithmetic.items()
    }
    labels = {
        title: f"{part.gflop_per_second.median:.0f} of {part.ceiling.median:.0f} GFLOP/s in {part.precision}"
        for title, part in arithmetic.items()
    }
    figure, axes = _bars(percent, labels)
    axes.set(xlabel="of the speed of a matrix product [%]", xlim=(0, max([100, *axes.get_xlim()])))
    best = max(percent, key=lambda title: percent[title].median, default=None)
    figure.suptitle(
        f"At most {percent[best].median:.0f} % of the ceiling: {best}" if best else "No operations were counted",
        fontsize=11,
    )
    return figure


def growth_curves(grown: Mapping[str, Mapping[str, Growth]]) -> Figure:
    """Cost over how many times as large a quantity is, both logarithmic; one panel for each thing that was grown."""
    figure = new_figure(1 + 4.2 * max(1, len(grown)), 3.6)
    panels = figure.subplots(1, max(1, len(grown)), squeeze=False)[0]
    for axes, (name, quantities) in zip(panels, grown.items(), strict=False):
        _panel(axes, quantities)
        axes.set_title(name, fontsize=10)
    found = {
        f"{quantity}, {name}": growth.exponent
        for name, quantities in grown.items()
        for quantity, growth in quantities.items()
    }
    most = max(found, key=found.get, default=None)
    figure.suptitle(
        f"Largest exponent: {found[most]:.2f} ({most})" if most else "No growth was measured",
        fontsize=11,
    )
    return figure


def _panel(axes: Axes, quantities: Mapping[str, Growth]) -> None:
    factors = sorted({factor for growth in quantities.values() for factor in growth.seconds})
    axes.plot(factors, factors, color="gray", linestyle="--", label="as the quantity: exponent 1")
    for quantity, growth in quantities.items():
        base = growth.seconds[min(growth.seconds)].median
        relative = [spread.median / base for spread in growth.seconds.values()]
        axes.plot(list(growth.seconds), relative, "o-", label=f"{quantity}: exponent {growth.exponent:.2f}")
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda value, _: f"×{value:g}")
    axes.set(xlabel="quantity", ylabel="seconds")
    axes.legend(fontsize=8)


def _bars(spreads: Mapping[str, Spread], labels: Mapping[str, str]) -> tuple[Figure, Axes]:
    """Horizontal bars of medians, the first on top, with whiskers from the smallest to the largest."""
    figure = new_figure(8, 0.42 * len(spreads) + 1.4)
    axes = figure.subplots()
    names = list(spreads)[::-1]
    medians = np.array([spreads[name].median for name in names])
    ends = np.array([[min(spreads[name].all), max(spreads[name].all)] for name in names]).reshape(-1, 2)
    whiskers = np.abs(ends.T - medians)
    axes.barh([fill(name, LABEL_WIDTH) for name in names], medians, xerr=whiskers, color="tab:blue", capsize=3)
    for place, name in enumerate(names):
        axes.annotate(
            labels[name], (ends[place, 1], place), (6, 0), textcoords="offset points", va="center", fontsize=8
        )
    axes.margins(x=0.25)
    return figure, axes


def _range(values: Sequence[float]) -> str:
    low, high = f"{min(values):.2g}", f"{max(values):.2g}"
    return low if low == high else f"{low} to {high}"
