"""A document of blocks, and the two forms it takes: a page that needs no other file, and Markdown.

Every text in a block is plain; what HTML or Markdown would take as its own is escaped here.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from html import escape
from urllib.parse import quote

from .style import CSS

MOST_PICTURES = 2_000_000
"""Bytes of PNG in a page: a third more as text, and it stays well below 3 MB."""

SYNTHETIC_NOTE = (
    "SYNTHETIC IMAGES: drawn by code, not photographs. These numbers say nothing about real "
    "pictures."
)
MARKS = {
    "better": "\N{BLACK UP-POINTING TRIANGLE}",
    "worse": "\N{BLACK DOWN-POINTING TRIANGLE}",
    "undecided": "\N{WHITE CIRCLE}",
    "holds": "\N{CHECK MARK}",
    "does not hold": "\N{MULTIPLICATION X}",
}
"""What stands before a verdict, so that its colour says nothing that black and white does not."""


@dataclass(frozen=True)
class Heading:
    """A heading below the title: level 2, or 3 within that. `anchor` is what links lead to."""

    text: str
    level: int = 2
    anchor: str | None = None


@dataclass(frozen=True)
class Paragraph:
    """A paragraph; `faint` ones say how to read what stands above them."""

    text: str
    faint: bool = False


@dataclass(frozen=True)
class Banner:
    """What nobody may overlook."""

    text: str


@dataclass(frozen=True)
class Verdict:
    """A word of MARKS, and what it is said of; `said` stands for the word if given."""

    word: str
    text: str
    said: str | None = None

    @property
    def lead(self) -> str:
        """The words that it begins with, behind their mark."""
        return f"{MARKS[self.word]} {self.said or f'{self.word.capitalize()}.'}"


@dataclass(frozen=True)
class Picture:
    """A PNG with the words that stand for it; `path` leads to it from where the Markdown is."""

    path: str
    png: bytes
    alt: str


@dataclass(frozen=True)
class Link:
    """A text that leads to another page, named without .html or .md, or to an #anchor of this."""

    text: str
    target: str


Cell = str | Link


@dataclass(frozen=True)
class Table:
    """Rows of cells; `foot` rows stand apart below them. The first cell of a row names it."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    foot: tuple[tuple[Cell, ...], ...] = ()
    title: str | None = None
    alarm: bool = False

    @property
    def numeric(self) -> tuple[bool, ...]:
        """Which columns hold numbers: they stand at the right."""
        found = []
        for index in range(len(self.columns)):
            cells = [row[index] for row in self.rows if index < len(row) and row[index]]
            found.append(bool(cells) and all(_is_number(cell) for cell in cells))
        return (False, *found[1:])


@dataclass(frozen=True)
class Facts:
    """Names and their values."""

    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Code:
    """A command, on one line."""

    text: str


@dataclass(frozen=True)
class Bullets:
    """A list."""

    items: tuple[Cell, ...]


Block = Heading | Paragraph | Banner | Verdict | Picture | Table | Facts | Code | Bullets


@dataclass(frozen=True)
class Document:
    """A title and what stands below it."""

    title: str
    blocks: tuple[Block, ...]


def section(document: Document, anchor: str, folder: str) -> Iterator[Block]:
    """The blocks of a document as a part of another one: its title a heading, its headings one
    level lower, its pictures found in `folder`, as seen from the other's place."""
    yield Heading(document.title, 2, anchor)
    for block in document.blocks:
        if isinstance(block, Heading):
            yield replace(block, level=block.level + 1, anchor=None)
        elif isinstance(block, Picture):
            yield replace(block, path=f"{folder}/{block.path}")
        else:
            yield block


def html(document: Document) -> str:
    """The whole page, its pictures within it; dark or light as the reader's system is."""
    title = escape(document.title)
    parts = [f"<h1>{title}</h1>", *map(_html_block, _fitted(document.blocks))]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        # An empty icon: without one a browser asks for /favicon.ico.
        '<link rel="icon" href="data:,">\n'
        f"<title>{title} · lossbench</title>\n<style>{CSS}</style>\n</head>\n<body>\n"
        + "\n".join(parts)
        + "\n</body>\n</html>\n"
    )


def markdown(document: Document) -> str:
    """The same in Markdown, its pictures by relative link."""
    parts = [f"# {escape_markdown(document.title)}", *map(_markdown_block, document.blocks)]
    return "\n\n".join(parts) + "\n"


def escape_markdown(text: str) -> str:
    """`text` on one line, with nothing in it that Markdown or HTML would take as its own."""
    line = re.sub(r"([\\`*_\[\]<>|#&~$])", r"\\\1", " ".join(text.split()))
    # What makes a list or a heading, at the beginning alone.
    return re.sub(r"^(\d+)([.)] )|^([-+=] )", r"\1\\\2\3", line)


def _fitted(blocks: Sequence[Block]) -> list[Block]:
    """The blocks with pictures that together keep to MOST_PICTURES bytes."""
    pictures = [block.png for block in blocks if isinstance(block, Picture)]
    if sum(map(len, pictures)) <= MOST_PICTURES:
        return list(blocks)
    from lossbench.benchmarks.plots.canvas import compress_png

    # The largest share at which all fit: what small pictures do not need, large ones have.
    room, share = MOST_PICTURES, 0
    for place, size in enumerate(sorted(map(len, pictures))):
        share = room // (len(pictures) - place)
        room -= min(size, share)
    return [
        replace(block, png=compress_png(block.png, share)) if isinstance(block, Picture) else block
        for block in blocks
    ]


def _html_block(block: Block) -> str:
    match block:
        case Heading(text, level, anchor):
            name = f' id="{escape(anchor)}"' if anchor else ""
            return f"<h{level}{name}>{escape(text)}</h{level}>"
        case Paragraph(text, faint):
            return f'<p class="note">{escape(text)}</p>' if faint else f"<p>{escape(text)}</p>"
        case Banner(text):
            return f'<p class="alarm">{escape(text)}</p>'
        case Verdict(word, text):
            lead = f"<strong>{escape(block.lead)}</strong>"
            return f'<p class="verdict {_class(word)}">{lead} {escape(text)}</p>'
        case Picture(_, png, alt):
            source = f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"
            image = f'<img src="{source}" alt="{escape(alt)}">'
            return f'<div class="card" tabindex="0">{image}</div>'
        case Table():
            return f'<div class="scroll" tabindex="0">{_html_table(block)}</div>'
        case Facts(pairs):
            lines = "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in pairs)
            return f"<dl>{lines}</dl>"
        case Code(text):
            return f'<pre class="scroll" tabindex="0">{escape(text)}</pre>'
        case Bullets(items):
            return "<ul>" + "".join(f"<li>{_html_cell(item)}</li>" for item in items) + "</ul>"


def _html_table(table: Table) -> str:
    sides = ["number" if numeric else "text" for numeric in table.numeric]
    head = "".join(
        f'<th scope="col" class="{side}">{escape(column)}</th>'
        for side, column in zip(sides, table.columns, strict=True)
    )
    caption = ""
    if table.title:
        alarm = ' class="alarmed"' if table.alarm else ""
        caption = f"<caption{alarm}>{escape(table.title)}</caption>"

    def lines(rows: Sequence[Sequence[Cell]]) -> str:
        return "".join(_html_row(row, sides) for row in rows)

    words = "" if any(table.numeric) else ' class="words"'
    foot = f"<tfoot>{lines(table.foot)}</tfoot>" if table.foot else ""
    return (
        f"<table{words}>{caption}<thead><tr>{head}</tr></thead>"
        f"<tbody>{lines(table.rows)}</tbody>{foot}</table>"
    )


def _html_row(row: Sequence[Cell], sides: Sequence[str]) -> str:
    name, *cells = row
    rest = zip(cells, sides[1:], strict=False)
    return (
        f'<tr><th scope="row">{_html_cell(name)}</th>'
        + "".join(f'<td class="{side}">{_html_cell(cell)}</td>' for cell, side in rest)
        + "</tr>"
    )


def _html_cell(cell: Cell) -> str:
    if isinstance(cell, Link):
        return f'<a href="{_target(cell, ".html")}">{escape(cell.text)}</a>'
    if cell in MARKS:
        return f'<span class="badge {_class(cell)}">{MARKS[cell]} {cell}</span>'
    return escape(cell)


def _class(word: str) -> str:
    return word.replace(" ", "-")


def _markdown_block(block: Block) -> str:
    match block:
        case Heading(text, level, anchor):
            name = f'<a id="{escape(anchor)}"></a>\n\n' if anchor else ""
            return f"{name}{'#' * level} {escape_markdown(text)}"
        case Paragraph(text):
            return escape_markdown(text)
        case Banner(text):
            return f"**{escape_markdown(text)}**"
        case Verdict(_, text):
            return f"**{escape_markdown(block.lead)}** {escape_markdown(text)}"
        case Picture(path, _, alt):
            return f"![{escape_markdown(alt)}]({quote(path)})"
        case Table():
            return _markdown_table(block)
        case Facts(pairs):
            return "\n".join(f"- {escape_markdown(k)}: {escape_markdown(v)}" for k, v in pairs)
        case Code(text):
            # An indented block, because no content of a single line can end it.
            return f"    {' '.join(text.split())}"
        case Bullets(items):
            return "\n".join(f"- {_markdown_cell(item)}" for item in items)


def _markdown_table(table: Table) -> str:
    rule = ["---:" if numeric else "---" for numeric in table.numeric]
    lines = [[escape_markdown(column) for column in table.columns], rule]
    lines += [[_markdown_cell(cell) for cell in row] for row in (*table.rows, *table.foot)]
    drawn = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    return f"**{escape_markdown(table.title)}**\n\n{drawn}" if table.title else drawn


def _markdown_cell(cell: Cell) -> str:
    if isinstance(cell, Link):
        return f"[{escape_markdown(cell.text)}]({_target(cell, '.md')})"
    return f"{MARKS[cell]} {cell}" if cell in MARKS else escape_markdown(cell)


def _target(link: Link, suffix: str) -> str:
    target = link.target if link.target.startswith("#") else link.target + suffix
    return quote(target, safe="/#")


def _is_number(cell: Cell) -> bool:
    """Whether it begins as a number does, with nothing but numbers and their like behind it."""
    if isinstance(cell, Link):
        return False
    return re.match(r"(reference$|[<>≤≥±]?\s*[+\-−–]?\s*(\d|$))", cell) is not None
