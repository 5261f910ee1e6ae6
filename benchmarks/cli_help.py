"""Help pages of the command line: flags by topic, in the width of the terminal.

tyro prints all flags of a command in one box. Its page is read here and written anew.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator

TOPICS = {
    "experiment": (
        "losses model width seeds start preset learning-rate tuned rates looks only against seconds"
    ),
    "data": "data split classes duplicates image-size augmentation validation evidence",
    "training": (
        "epochs batch-size optimizer schedule weight-decay test-time-augmentation precision "
        "kernels channels-last compile cuda-graphs deterministic device executor workers "
        "evaluations log-every checkpoint-every resume"
    ),
    "output": "name runs output all every-seed port",
}
"""Flags by topic, in this order and without their hyphens. Others follow."""

WIDE = "10000"
"""Width in characters in which tyro breaks no line."""

INDENT = 6
"""Width by which the text of a flag is indented where its line continues."""

Entry = tuple[str, str]
"""A flag with its values, or the name of a command or an argument, and its text."""


def help_page(page: str, width: int) -> str:
    """Return a help page of tyro's with its flags by topic.

    Args:
        page: as tyro prints it in a terminal that is WIDE.
        width: of the new page, in characters.
    """
    head, *boxes = page.split("\n╭─ ")
    usage, *lines = head.splitlines()
    # The commands are listed below.
    usage = re.sub(r" \{[a-z,-]+\}$", " COMMAND ...", usage)
    parts = [_fill(usage, width, INDENT), *(_fill(line, width) for line in lines)]
    blocks = ["\n".join(parts)]
    for box in boxes:
        title = box.partition(" ─")[0]
        entries = {
            re.sub(r"(--)([\w-]+), --no-\2", r"\1[no-]\2", name): text
            for name, text in _entries(box)
            if name not in ("-h, --help", "(required)")
        }
        if title == "options":
            blocks += [_block(*each, INDENT, width) for each in _by_topic(entries)]
        else:
            column = max(map(len, entries)) + 4
            padded = {f"{name:{column - 4}}": text for name, text in entries.items()}
            blocks.append(_block(title, padded, column, width))
    return "\n\n".join(block.strip("\n") for block in blocks) + "\n"


def _block(title: str, entries: dict[str, str], indent: int, width: int) -> str:
    lines = [_fill(f"  {name}  {text}", width, indent) for name, text in entries.items()]
    return "\n".join([f"{title}:", *lines])


def _fill(line: str, width: int, indent: int = 0) -> str:
    return textwrap.fill(line, width, subsequent_indent=" " * indent, break_on_hyphens=False)


def _by_topic(entries: dict[str, str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield each topic that has flags, with them; flags without a topic under 'other'."""
    left = {re.sub(r"[^a-z-]|no-\]", "", name.split()[0])[2:]: name for name in entries}
    for topic, names in TOPICS.items():
        if chosen := [left.pop(name) for name in names.split() if name in left]:
            yield topic, {name: entries[name] for name in chosen}
    if left:
        yield "other", {name: entries[name] for name in left.values()}


def _entries(box: str) -> Iterator[Entry]:
    """Yield what a box lists; of a command the first paragraph alone."""
    name, parts, closed = "", [""], False
    for line in box.splitlines()[1:]:
        inside = line.removeprefix("│ ").rstrip(" │")
        if begin := re.match(r"(?:  • )?([^\s╰].*?)(?:  +(.*))?$", inside):
            if name:
                yield name, " ".join(parts).strip()
            name, parts, closed = begin[1], [begin[2] or ""], False
        elif not inside:
            closed = True
        elif not closed and not inside.startswith("╰"):
            parts.append(inside.strip())
    if name:
        yield name, " ".join(parts).strip()
