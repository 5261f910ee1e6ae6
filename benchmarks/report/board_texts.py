"""The report of an experiment as texts of TensorBoard."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby, zip_longest
from textwrap import wrap

HEADING_LINES = 3
"""Lines of the longest heading of a table."""


def sections(page: str) -> dict[str, str]:
    """Split Markdown at its headings of level 2, by tag, without images.

    TensorBoard shows the beginning of each text, and does not serve the image files. It breaks
    words in the cells of a wide table, so tables become blocks of fixed width.
    """
    parts: dict[str, list[str]] = {"summary/0": []}
    for is_row, lines in groupby(page.splitlines(), lambda line: line.startswith("|")):
        if is_row:
            parts[list(parts)[-1]] += ["```", *fixed_width(list(lines)), "```"]
            continue
        for line in lines:
            if line.startswith("## "):
                parts[f"summary/{len(parts)} {line[3:].strip()}"] = []
            elif not line.startswith("!["):
                parts[list(parts)[-1]].append(line)
    texts = {tag: "\n".join(lines).strip() for tag, lines in parts.items()}
    return {tag: text for tag, text in texts.items() if text}


def fixed_width(table: Sequence[str]) -> list[str]:
    """Return the lines of a Markdown table as lines of text with aligned columns.

    Long headings are broken between words, into at most three lines.

    Args:
        table: heading, rule and rows.
    """
    heading, rule, *rows = map(_cells, table)
    right = [mark.endswith(":") for mark in rule]
    titles, widths = [], []
    for title, *cells in zip(heading, *rows, strict=True):
        width = max(map(len, [*cells, *title.split(), " "]))
        while len(wrap(title, width)) > HEADING_LINES:
            width += 1
        titles.append(wrap(title, width))
        widths.append(width)
    lines = [*zip_longest(*titles, fillvalue=""), ["-" * width for width in widths], *rows]
    return [
        "  ".join(
            cell.rjust(width) if at_right else cell.ljust(width)
            for cell, width, at_right in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in lines
    ]


def _cells(line: str) -> list[str]:
    """Return the cells of a row as plain text: without escapes, and of links the text."""
    cells = re.split(r"(?<!\\)\|", line.strip())[1:-1]
    texts = (re.sub(r"(?<!\\)\[(.*?)(?<!\\)\]\([^)]*\)", r"\1", cell.strip()) for cell in cells)
    return [re.sub(r"\\(.)", r"\1", text) for text in texts]
