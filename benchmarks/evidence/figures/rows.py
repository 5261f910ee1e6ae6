"""Figures made of rows: one row per loss, its value along the axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from lossbench.benchmarks.evidence.measures.contrasts import HypothesisTest, signed
from lossbench.benchmarks.plots.canvas import CHANCE_STYLE, DPI, FAINT, INK, RC, render_png
from lossbench.benchmarks.plots.palette import loss_style
from lossbench.benchmarks.records.claim import ClaimFigure
from lossbench.benchmarks.stats.intervals import mean_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lossbench.benchmarks.stats.intervals import Interval

HOLDS = "#E3F1EA"
SEEDS = "marker: mean over seeds, bar: its 95 % interval, ticks: the seeds"


class Row(NamedTuple):
    """Values of one treatment, one per seed; `hollow` marks a variant of a loss."""

    label: str
    loss: str
    values: Sequence[float]
    hollow: bool = False


def marker_style(loss: str, *, hollow: bool = False) -> dict[str, Any]:
    """Return the marker of a loss as keyword arguments of `Axes.plot`."""
    style = loss_style(loss)
    return {
        "linestyle": "none",
        "marker": style["marker"],
        "markersize": 9,
        "markeredgewidth": 1.8,
        "color": style["color"],
        "markerfacecolor": "white" if hollow else style["color"],
    }


def draw_rows(axes: Axes, rows: Sequence[Row], text: str = "{:.1f}") -> None:
    """Draw rows from top to bottom: a dot per seed, and the mean with its 95 % t interval."""
    for place, row in enumerate(rows):
        interval = mean_interval(list(row.values))
        color = loss_style(row.loss)["color"]
        axes.plot(
            row.values,
            [place + 0.24] * len(row.values),
            linestyle="none",
            marker="|",
            color=color,
            markersize=6,
            alpha=0.75,
        )
        draw_interval(axes, place, interval, row.loss, hollow=row.hollow)
        _at_right(axes, place, "" if interval.mean is None else text.format(interval.mean))
    name_rows(axes, [row.label for row in rows])


def draw_interval(
    axes: Axes, place: float, interval: Interval, loss: str, *, hollow: bool = False
) -> None:
    """Draw a mean as the loss's marker on a bar for its interval."""
    if interval.mean is None:
        return
    if interval.low is not None and interval.high is not None:
        axes.plot(
            [interval.low, interval.high],
            [place, place],
            color=loss_style(loss)["color"],
            linewidth=2.4,
            solid_capstyle="butt",
        )
    axes.plot([interval.mean], [place], **marker_style(loss, hollow=hollow))


def name_rows(axes: Axes, labels: Sequence[str]) -> None:
    """Write the rows' names at the left, with a gray line through each row."""
    axes.set_yticks(range(len(labels)), labels, color=INK)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="both", color="#E6E6E6", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines["left"].set_visible(False)


def chance_line(axes: Axes, chance: float, *, text: str = "chance") -> None:
    """Draw the chance level of an axis in percent."""
    axes.axvline(chance, **CHANCE_STYLE)
    axes.annotate(
        f"{text} {chance:.0f}",
        (chance, 0),
        xycoords=("data", "axes fraction"),
        xytext=(3, 4),
        textcoords="offset points",
        fontsize=9,
        color=FAINT,
    )


def heading(figure: Figure, title: str, below: str = "") -> float:
    """Write a title and the lines below it; return the fraction of the height left for panels."""
    height = figure.get_figheight()
    size: Any = RC["axes.titlesize"]
    figure.text(0.012, 1 - 0.12 / height, title, va="top", fontsize=size + 1, fontweight="bold")
    figure.text(0.012, 1 - 0.44 / height, below, va="top", fontsize=10.5, linespacing=1.35)
    return 1 - (0.52 + 0.21 * len(below.splitlines())) / height


def label_width(labels: Sequence[str]) -> float:
    """Return the fraction of a figure's width that names at the left take."""
    return 0.03 + 0.0086 * max(map(len, labels))


def draw_tests(
    name: str, what: str, found: Sequence[HypothesisTest], *, digits: int = 1
) -> ClaimFigure:
    """Draw the interval of each tested contrast; green is where the claim expects it.

    Args:
        name: file name of the figure.
        what: label of the axis.
        found: the tests.
        digits: decimals of the numbers.
    """
    import matplotlib
    from matplotlib.figure import Figure

    title = "What is claimed, and what was found"
    names = [demand.contrast.name for demand, _, _ in found]
    with matplotlib.rc_context(RC):
        figure = Figure(figsize=(10, 1.75 + 0.44 * len(found)), dpi=DPI)
        top = heading(
            figure,
            title,
            "Marker: mean over seeds; bar: 95 % interval. Green: where it lies if the claim is "
            "right.",
        )
        axes = figure.subplots()
        figure.subplots_adjust(
            left=label_width(names), right=0.81, top=top, bottom=0.68 / figure.get_figheight()
        )
        axes.set_xlabel(what)
        for place, (demand, _, _) in enumerate(found):
            drawn = demand.contrast
            draw_interval(axes, place, drawn.interval, drawn.loss, hollow=drawn.hollow)
        name_rows(axes, names)
        axes.axvline(0, color=INK, linewidth=1)
        axes.margins(x=0.06)
        low, high = axes.get_xlim()
        # The thresholds themselves are always in sight.
        reach = 0.05 * (high - low)
        low = min([low, *(demand.threshold - reach for demand, _, _ in found)])
        high = max([high, *(demand.threshold + reach for demand, _, _ in found)])
        axes.set_xlim(low, high)
        for place, (demand, _, measure) in enumerate(found):
            ends = (demand.threshold, high) if demand.side == "above" else (low, demand.threshold)
            axes.fill_betweenx([place - 0.42, place + 0.42], *ends, color=HOLDS, zorder=0)
            _at_right(axes, place, signed(measure.value, digits), measure.verdict)
        alt = f"{title}: " + "; ".join(_in_words(item, digits) for item in found) + "."
        return ClaimFigure(name, render_png(figure, alt), alt)


def _in_words(item: HypothesisTest, digits: int) -> str:
    measure = item.measure
    return (
        f"{measure.name}: {signed(measure.value, digits)}, wanted {measure.wanted}, "
        f"{measure.verdict}"
    )


def _at_right(axes: Axes, place: float, number: str, words: str = "") -> None:
    for text, offset, side in ((number, 46, "right"), (words, 56, "left")):
        axes.annotate(
            text,
            (1, place),
            xycoords=("axes fraction", "data"),
            xytext=(offset, 0),
            textcoords="offset points",
            va="center",
            ha=side,
            annotation_clip=False,
        )
