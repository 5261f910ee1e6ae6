"""A report as a document: a title and blocks of plain text, tables and images.

`render` writes it as HTML and as Markdown, and escapes what these would take as markup.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from lossbench.benchmarks.plots.canvas import SYNTHETIC
from lossbench.benchmarks.plots.panels import PanelFigure
from lossbench.benchmarks.plots.svg import Chart

SYNTHETIC_NOTE = (
    f"{SYNTHETIC}: drawn by code, not photographs. These numbers say nothing about real pictures."
)
MARKS = {
    "better": "\N{UPWARDS ARROW}",
    "worse": "\N{DOWNWARDS ARROW}",
    "equivalent": "\N{ALMOST EQUAL TO}",
    "undecided": "?",
    "better before correction": "\N{UPWARDS ARROW}?",
    "worse before correction": "\N{DOWNWARDS ARROW}?",
    "holds": "\N{CHECK MARK}",
    "does not hold": "\N{CIRCLED DIVISION SLASH}",
}
"""Symbol before each verdict, so that no verdict is told by colour alone.

None is a marker of a loss in the figures.
"""


@dataclass(frozen=True)
class Heading:
    """A heading below the title, of level 2 or lower; `anchor` is the target of links to it."""

    text: str
    level: int = 2
    anchor: str | None = None


@dataclass(frozen=True)
class Paragraph:
    """A paragraph; a `faint` one explains how to read the block above it."""

    text: str
    faint: bool = False


@dataclass(frozen=True)
class Banner:
    """A warning in a frame."""

    text: str


@dataclass(frozen=True)
class Callout:
    """A highlighted verdict: a key of MARKS, a text, and a label that may replace the verdict."""

    verdict: str
    text: str
    label: str | None = None

    @property
    def lead(self) -> str:
        """Return the bold beginning: the mark and the label."""
        return f"{MARKS[self.verdict]} {self.label or f'{self.verdict.capitalize()}.'}"


@dataclass(frozen=True)
class Image:
    """A figure: a PNG for Markdown, and charts for an HTML page.

    Attributes:
        path: of the PNG, relative to the Markdown file; empty: none, for an HTML page alone.
        alt: the alternative text.
        charts: the figure on an HTML page.
        title: text above the charts; a PNG has its own.
        caption: text below them.
        columns: charts beside each other; in more than one they are small.
    """

    path: str
    alt: str
    charts: tuple[Chart, ...] = ()
    title: str = ""
    caption: str = ""
    columns: int = 1

    @classmethod
    def of(cls, figure: PanelFigure, folder: str = "", *, synthetic: bool = False) -> Image:
        """Return a figure whose PNG lies in `folder`, which ends with a slash."""
        charts, path = figure.charts(synthetic), f"{folder}{figure.name}"
        return cls(path, figure.alt, charts, figure.title, figure.caption, figure.columns)


@dataclass(frozen=True)
class Link:
    """A link to an #anchor of this document, or to another page without .html or .md."""

    text: str
    target: str


Cell = str | Link


@dataclass(frozen=True)
class Table:
    """A table whose first column names the rows.

    Attributes:
        columns: headings.
        rows: cells; those that are a key of MARKS are shown as a badge.
        foot: rows that are set apart at the bottom.
        warning: a warning above the table.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    foot: tuple[tuple[Cell, ...], ...] = ()
    warning: str | None = None

    @property
    def numeric(self) -> tuple[bool, ...]:
        """Return which columns hold numbers, and so are aligned to the right."""
        numeric = []
        for index in range(len(self.columns)):
            cells = [row[index] for row in self.rows if index < len(row) and row[index]]
            numeric.append(bool(cells) and all(_is_number(cell) for cell in cells))
        return (False, *numeric[1:])


@dataclass(frozen=True)
class DefinitionList:
    """Names and their values."""

    items: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Code:
    """A command on one line."""

    text: str


@dataclass(frozen=True)
class BulletList:
    """A list of texts and links."""

    items: tuple[Cell, ...]


Block = Heading | Paragraph | Banner | Callout | Image | Table | DefinitionList | Code | BulletList


@dataclass(frozen=True)
class Document:
    """A title and the blocks below it."""

    title: str
    blocks: tuple[Block, ...]


def section(document: Document, anchor: str, folder: str) -> Iterator[Block]:
    """Yield the blocks of a document as a section of another one.

    The title becomes a heading, and every heading moves down by one level.

    Args:
        document: the document to include.
        anchor: target of links to the section.
        folder: path of the images' directory, relative to the including document.
    """
    yield Heading(document.title, 2, anchor)
    for block in document.blocks:
        if isinstance(block, Heading):
            yield replace(block, level=block.level + 1, anchor=None)
        elif isinstance(block, Image) and block.path:
            yield replace(block, path=f"{folder}/{block.path}")
        else:
            yield block


def synthetic_title(title: str, synthetic: bool) -> str:
    """Put SYNTHETIC IMAGES before the title if the images are synthetic."""
    return f"{SYNTHETIC}: {title}" if synthetic else title


def _is_number(cell: Cell) -> bool:
    """Tell whether a cell begins as a number does, or stands for one: 'reference', '', a sign."""
    if isinstance(cell, Link):
        return False
    return re.match(r"(reference$|[<>≤≥±]?\s*[+\-−–]?\s*(\d|$))", cell) is not None
