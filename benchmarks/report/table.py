"""The table of an experiment, for the terminal and for pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from lossbench.benchmarks.format import (
    MISSING,
    indefinite_article,
    magnitude,
    percent,
    signed_points,
)
from lossbench.benchmarks.stats.verdict import MINIMUM_SEEDS

from . import document
from .differences import REFERENCE
from .summary import summarise

if TYPE_CHECKING:
    from pathlib import Path

    from rich.table import Table

WIDE = 112


class Column(NamedTuple):
    """A heading for pages and a shorter one, a line a word or two, for terminals."""

    heading: str
    short: str


COLUMNS = (
    Column("loss", "loss"),
    Column("test accuracy, %", "test\naccuracy, %"),
    Column("minus cross-entropy, points", "minus cross\nentropy, pts"),
    Column("verdict", "verdict"),
    Column("mean |dL/dz|, first → last", "mean |dL/dz|\nfirst → last"),
    Column("|dL/dz| when wrong, last", "when\nwrong"),
    Column("vanished, %", "van-\nished"),
    Column("parameter gradient, first → last", "param. grad.\nfirst → last"),
    Column("images/s", "images\n/s"),
)
# What a narrow terminal goes without.
EXTRA = 3


def body(summary: dict[str, Any]) -> list[list[str]]:
    """The cells of every loss, by falling accuracy, and the chance level below them."""
    losses = sorted(
        summary["losses"].items(), key=lambda item: (-(item[1]["test_accuracy"]["mean"] or 0), item)
    )
    rows = [_cells(name, loss) for name, loss in losses]
    rows.append(["chance", percent(summary["chance"]), *[""] * (len(COLUMNS) - 2)])
    return rows


def table_of(summary: dict[str, Any]) -> document.Table:
    """The table of all columns, for a page."""
    *rows, chance = map(tuple, body(summary))
    title = "SYNTHETIC IMAGES" if summary["synthetic"] else None
    headings = tuple(column.heading for column in COLUMNS)
    return document.Table(headings, tuple(rows), (chance,), title, alarm=summary["synthetic"])


def notes(summary: dict[str, Any]) -> list[str]:
    """What a reader must know to read the numbers, a sentence or two each."""
    losses = summary["losses"]
    lines = [summary["note"]] if summary["synthetic"] else []
    lines += _notes_on_intervals(losses)
    lines.append(
        "dL/dz: gradient of an example's loss with respect to its logit; when wrong: over wrongly "
        "classified examples; vanished: share of the wrong ones below 1e-6 at the end; parameter "
        "gradient: norm over all parameters, of which softmax losses have a second column in the "
        "head. First: the first batch; last: the mean over the steps since the last evaluation "
        "but one."
    )
    if "mse" in losses:
        lines.append(f"mse fits the raw output itself, {_targets(summary['classes'])}.")
    for name, loss in losses.items():
        missing = [s for s, value in loss["test_accuracy"]["per_seed"].items() if value is None]
        if missing:
            lines.append(f"{name} ended without a finite accuracy for seed {', '.join(missing)}.")
    if unfinished := summary["unfinished_runs"]:
        named = ", ".join(map(_unfinished, unfinished))
        lines.append(f"Left out, not finished (epoch {summary['epochs']} is the last): {named}.")
    return lines


def _unfinished(run: dict[str, Any]) -> str:
    """How far a run has come, and which error ended it if one did."""
    at = "" if run["epoch"] is None else f" at epoch {run['epoch']:g}"
    how = f" failed{at} with {run['failure']}" if run["failure"] else at or " not started"
    return f"{run['loss']} seed {run['seed']}{how}"


def _notes_on_intervals(losses: dict[str, Any]) -> list[str]:
    counts = {loss["test_accuracy"]["n"] for loss in losses.values()}
    once = "Accuracy on the test images, which are looked at once, after the last epoch"
    if max(counts) < 2:
        return [
            f"{once}. No interval is shown: it takes at least 2 finished seeds to see how much a "
            "result varies."
        ]
    lines = [
        f"{once}: mean ± half the 95 % t interval over {seeds_of(counts)}; the difference to "
        "cross-entropy is paired by seed."
    ]
    if any(loss["minus_cross_entropy"] for loss in losses.values()):
        lines.append(
            "Better or worse: p of the paired t test, after Holm's correction for all losses "
            "compared, is below 0.05, and the paired bootstrap interval over test images excludes "
            f"0; never with fewer than {MINIMUM_SEEDS} seeds."
        )
    if unseen := [
        name
        for name, loss in losses.items()
        if loss["minus_cross_entropy"] and not loss["minus_cross_entropy"]["examples"]
    ]:
        lines.append(f"Nothing is decided without predictions.npz: {', '.join(unseen)}.")
    if single := [name for name, loss in losses.items() if loss["test_accuracy"]["n"] < 2]:
        lines.append(f"No interval with fewer than 2 finished seeds: {', '.join(single)}.")
    return lines


def fineness(differences: list[dict[str, Any]]) -> str:
    """What difference from cross-entropy would have been found, in a sentence.

    Args:
        differences: `minus_cross_entropy` of some losses.
    """
    seeds = {each["n"] for each in differences}
    if max(seeds) < MINIMUM_SEEDS:
        return f"With fewer than {MINIMUM_SEEDS} seeds nothing is decided."
    found = sorted(each["detectable"] for each in differences if each["detectable"] is not None)
    low, high = percent(found[0]), percent(found[-1])
    size = f"{low} points" if low == high else f"{low} to {high} points, depending on the loss,"
    return (
        f"With {seeds_of(seeds)}, a difference of {size} is the smallest that four in five "
        "such comparisons would find."
    )


def seeds_of(counts: set[int]) -> str:
    """'1 seed', '3 seeds', '1 to 3 seeds'."""
    span = " to ".join(map(str, sorted({min(counts), max(counts)})))
    return f"{span} seed" if span == "1" else f"{span} seeds"


def _targets(classes: list[str]) -> str:
    if len(classes) == 2:
        return "to \N{MINUS SIGN}1 for {} and +1 for {}".format(*map(indefinite_article, classes))
    return "to +1 for the right class and \N{MINUS SIGN}1 for each of the others"


def terminal_table(experiment: Path | dict[str, Any], width: int | None = None) -> Table:
    """The table as rich prints it.

    Args:
        experiment: its directory, or what `write_summary` returned.
        width: the columns to fit into, by default those of the terminal; below 112 the last
            three columns of the table are left out, and said to be.

    Raises:
        UserError: as `summarise` does, if a directory was given.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    summary = experiment if isinstance(experiment, dict) else summarise(experiment)
    width = Console().width if width is None else width
    columns = COLUMNS if width >= WIDE else COLUMNS[:-EXTRA]
    left_out = [column.heading for column in COLUMNS[len(columns) :]]
    captions = notes(summary)
    differences = [loss["minus_cross_entropy"] for loss in summary["losses"].values()]
    if compared := [difference for difference in differences if difference]:
        captions.append(fineness(compared))
    if left_out:
        captions.append(f"Too narrow for {'; '.join(left_out)}: see summary.md.")
    # Text, not str: rich would read [...] in a name as markup.
    table = Table(
        title=Text(title(summary), style="bold"),
        caption=Text("\n".join(captions)),
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        show_edge=False,
    )
    for index, column in enumerate(columns):
        # A name of any length that still leaves room for the numbers is not broken.
        name_width = min(18, max(len(name) for name in ["chance", *summary["losses"]]))
        table.add_column(
            Text(column.short),
            justify="right" if index else "left",
            min_width=None if index else name_width,
            overflow="fold",
        )
    *losses, chance = body(summary)
    for row in losses:
        table.add_row(*(Text(cell) for cell in row[: len(columns)]))
    table.add_section()
    table.add_row(*(Text(cell, style="dim") for cell in chance[: len(columns)]))
    return table


def title(summary: dict[str, Any]) -> str:
    """The experiment's name, after SYNTHETIC IMAGES where they were."""
    name = str(summary["experiment"])
    return f"SYNTHETIC IMAGES: {name}" if summary["synthetic"] else name


def _cells(name: str, loss: dict[str, Any]) -> list[str]:
    gradient = loss["gradient"]
    speed = loss["images_per_second"]
    return [
        name,
        with_interval(loss["test_accuracy"], signed=False),
        "reference"
        if name == REFERENCE
        else with_interval(loss["minus_cross_entropy"], signed=True),
        (loss["minus_cross_entropy"] or {}).get("verdict", ""),
        _change(gradient["logit_mean_abs"]),
        magnitude(gradient["logit_when_wrong"]["last"]),
        percent(gradient["vanished_fraction"]["last"]),
        _change(gradient["parameter_norm"]),
        MISSING if speed is None else f"{speed:,.0f}",
    ]


def with_interval(interval: dict[str, Any] | None, *, signed: bool) -> str:
    """A fraction's interval in percent: 74.1 ± 1.4, with a sign if it is a difference."""
    if interval is None or interval["mean"] is None:
        return MISSING
    text = signed_points(interval["mean"]) if signed else percent(interval["mean"])
    if interval["high"] is None:
        return text
    return f"{text} ± {100 * (interval['high'] - interval['mean']):.1f}"


def _change(ends: dict[str, float | None]) -> str:
    return f"{magnitude(ends['first'])} → {magnitude(ends['last'])}"
