"""The table of an experiment, for the terminal and for Markdown and HTML pages."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmarks.report.summary import summarise

if TYPE_CHECKING:
    from pathlib import Path

    from rich.table import Table

NOTHING = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"
WIDE = 99


class Column(NamedTuple):
    """A heading for pages and a shorter one, a line a word or two, for terminals."""

    heading: str
    short: str


COLUMNS = (
    Column("loss", "loss"),
    Column("test accuracy, %", "test\naccuracy, %"),
    Column("minus cross-entropy, points", "minus cross\nentropy, pts"),
    Column("mean |dL/dz|, first → last", "mean |dL/dz|\nfirst → last"),
    Column("|dL/dz| when wrong, last", "when\nwrong"),
    Column("vanished, %", "van-\nished"),
    Column("parameter gradient, first → last", "param. grad.\nfirst → last"),
    Column("images/s", "images\n/s"),
)
# What a narrow terminal goes without.
EXTRA = 2


def body(summary: dict[str, Any]) -> list[list[str]]:
    """The cells of every loss, by falling accuracy, and the chance level below them."""
    losses = sorted(
        summary["losses"].items(), key=lambda item: (-(item[1]["test_accuracy"]["mean"] or 0), item)
    )
    rows = [_cells(name, loss) for name, loss in losses]
    rows.append(["chance", percent(summary["chance"]), *[""] * (len(COLUMNS) - 2)])
    return rows


def notes(summary: dict[str, Any]) -> list[str]:
    """What a reader must know to read the numbers, a sentence or two each."""
    losses = summary["losses"]
    counts = {loss["test_accuracy"]["n"] for loss in losses.values()}
    lines = [summary["note"]] if summary["synthetic"] else []
    if max(counts) < 2:
        lines.append(
            "Accuracy after the last epoch. No interval is shown: it takes at least 2 finished "
            "seeds to see how much a result varies."
        )
    else:
        n = " to ".join(str(count) for count in sorted({min(counts), max(counts)}))
        lines.append(
            f"Accuracy after the last epoch, mean ± half the 95 % t interval over {n} seeds; the "
            "difference to cross-entropy is paired by seed."
        )
        if single := [name for name, loss in losses.items() if loss["test_accuracy"]["n"] < 2]:
            lines.append(f"No interval with fewer than 2 finished seeds: {', '.join(single)}.")
    lines.append(
        "dL/dz: gradient of an example's loss with respect to its logit; when wrong: over wrongly "
        "classified examples; vanished: share of the wrong ones below 1e-6 at the end; parameter "
        "gradient: norm over all parameters, of which softmax losses have a second column in the "
        "head. First: the first batch; last: the mean over the steps since the last evaluation "
        "but one."
    )
    if "mse" in losses:
        lines.append("mse fits the raw output itself, to -1 for a dog and +1 for a cat.")
    for name, loss in losses.items():
        missing = [s for s, value in loss["test_accuracy"]["per_seed"].items() if value is None]
        if missing:
            lines.append(f"{name} ended without a finite accuracy for seed {', '.join(missing)}.")
    if unfinished := summary["unfinished_runs"]:
        named = ", ".join(
            f"{run['loss']} seed {run['seed']} "
            + ("not started" if run["epoch"] is None else f"at epoch {run['epoch']:g}")
            for run in unfinished
        )
        lines.append(f"Left out, not finished (epoch {summary['epochs']} is the last): {named}.")
    return lines


def terminal_table(experiment: Path | dict[str, Any], width: int | None = None) -> Table:
    """The table as rich prints it.

    Args:
        experiment: its directory, or what `write_summary` returned.
        width: the columns to fit into, by default those of the terminal; below 99 the last two
            columns of the table are left out, and said to be.

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
    if left_out:
        captions.append(f"Too narrow for {' and '.join(left_out)}: see summary.md.")
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


def markdown_table(summary: dict[str, Any]) -> str:
    """The same table in Markdown, every cell escaped."""
    lines = [[escape_markdown(column.heading) for column in COLUMNS]]
    lines.append(["---"] + ["---:"] * (len(COLUMNS) - 1))
    lines += [[escape_markdown(cell) for cell in row] for row in body(summary)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def title(summary: dict[str, Any]) -> str:
    """The experiment's name, after SYNTHETIC IMAGES where they were."""
    name = str(summary["experiment"])
    return f"SYNTHETIC IMAGES: {name}" if summary["synthetic"] else name


def escape_markdown(text: str) -> str:
    """`text` on one line, with nothing in it that Markdown or HTML would take as its own."""
    return re.sub(r"([\\`*_\[\]<>|#&~$])", r"\\\1", " ".join(text.split()))


def percent(fraction: float | None, digits: int = 1) -> str:
    """0.7812 as 78.1."""
    return NOTHING if fraction is None else f"{100 * fraction:.{digits}f}"


def magnitude(value: float | None) -> str:
    """Three digits of a number of any size; a zero without decimals is exactly zero."""
    if value is None or value == 0:
        return NOTHING if value is None else "0"
    if 1e-3 <= abs(value) < 1e4:
        return f"{value:#.3g}".rstrip(".")
    digits, exponent = f"{value:.1e}".split("e")
    return f"{digits}e{int(exponent)}"


def _cells(name: str, loss: dict[str, Any]) -> list[str]:
    gradient = loss["gradient"]
    speed = loss["images_per_second"]
    return [
        name,
        _with_interval(loss["test_accuracy"], signed=False),
        "reference"
        if name == "cross-entropy"
        else _with_interval(loss["minus_cross_entropy"], signed=True),
        _change(gradient["logit_mean_abs"]),
        magnitude(gradient["logit_when_wrong"]["last"]),
        percent(gradient["vanished_fraction"]["last"]),
        _change(gradient["parameter_norm"]),
        NOTHING if speed is None else f"{speed:,.0f}",
    ]


def _with_interval(interval: dict[str, Any] | None, *, signed: bool) -> str:
    if interval is None or interval["mean"] is None:
        return NOTHING
    mean = 100 * interval["mean"]
    text = f"{mean:+.1f}" if signed else f"{mean:.1f}"
    text = "0.0" if text in ("+0.0", "-0.0") else text.replace("-", MINUS)
    if interval["high"] is None:
        return text
    return f"{text} ± {100 * (interval['high'] - interval['mean']):.1f}"


def _change(ends: dict[str, float | None]) -> str:
    return f"{magnitude(ends['first'])} → {magnitude(ends['last'])}"
