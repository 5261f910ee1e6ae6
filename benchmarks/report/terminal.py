"""Tables of documents in the terminal, which may be narrow."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator, Sequence

import rich.table
from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from .document import Cell, Link, Table

PIPE = 10_000
"""Width of what is no terminal: all columns stand side by side."""

GAP = 2
"""Width between two columns."""

HEADING_LINES = 3
"""Lines of a heading at most."""

MOST_OF_A_LINE = 0.6
"""Share of a line that the names of rows take at most; longer ones are broken."""


def print_table(table: Table, title: str = "") -> None:
    """Print a table to standard output.

    Columns that do not fit beside the others follow below, beside the names of the rows again, so
    that no number is broken.
    """
    console = Console()
    if title:
        console.print(Text(title, style="bold"), soft_wrap=True)
    if not sys.stdout.isatty():
        console.width = PIPE
    for number, part in enumerate(parts(table, console.width)):
        if number:
            print()
        console.print(part)


def parts(table: Table, width: int) -> Iterator[rich.table.Table]:
    """Yield the parts of a table, each no wider than `width`."""
    wanted = [_width(table, index) for index in range(len(table.columns))]
    wanted[0] = min(wanted[0], max(int(MOST_OF_A_LINE * width), width - GAP - max(wanted[1:])))
    wanted[1:] = [min(each, width - wanted[0] - GAP) for each in wanted[1:]]
    chosen: list[int] = []
    for index in range(1, len(wanted)):
        taken = wanted[0] + sum(GAP + wanted[each] for each in (*chosen, index))
        if chosen and taken > width:
            yield _part(table, chosen, wanted)
            chosen = []
        chosen.append(index)
    yield _part(table, chosen, wanted)


def _width(table: Table, index: int) -> int:
    """Return the width of a column whose heading has at most HEADING_LINES lines."""
    heading = table.columns[index]
    width = max(map(cell_len, heading.split() or [""]))
    while len(textwrap.wrap(heading, width or 1, break_on_hyphens=False)) > HEADING_LINES:
        width += 1
    cells = [_text(row[index]) for row in (*table.rows, *table.foot)]
    return max(width, *map(cell_len, cells))


def _part(table: Table, chosen: Sequence[int], widths: Sequence[int]) -> rich.table.Table:
    """Build the part with the names of the rows and the chosen columns."""
    # The box puts a space between columns too.
    printed = rich.table.Table(
        box=box.SIMPLE_HEAD, padding=(0, GAP - 1, 0, 0), pad_edge=False, show_edge=False
    )
    for index in (0, *chosen):
        printed.add_column(
            # Text, not str: rich would read [...] in a name as markup.
            Text(table.columns[index]),
            justify="right" if table.numeric[index] else "left",
            min_width=widths[index],
            max_width=widths[index],
            overflow="fold",
        )
    for rows, style in ((table.rows, ""), (table.foot, "dim")):
        printed.add_section()
        for row in rows:
            if not chosen or any(row[index] for index in chosen):
                cells = (_text(row[index]) for index in (0, *chosen))
                printed.add_row(*(Text(cell, style=style) for cell in cells))
    return printed


def _text(cell: Cell) -> str:
    return cell.text if isinstance(cell, Link) else str(cell)
