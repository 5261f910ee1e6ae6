"""Tables in Markdown."""

from __future__ import annotations

from collections.abc import Iterable


def table(head: Iterable[str], rows: Iterable[Iterable[str]], align: str = "") -> str:
    """Return a table.

    Args:
        head: the titles of the columns.
        rows: their cells, in Markdown.
        align: "l" or "r" for each column; left where it ends.
    """
    head = list(head)
    rules = ["---:" if side == "r" else "---" for side in align.ljust(len(head))]
    lines = [head, rules, *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines
    )
