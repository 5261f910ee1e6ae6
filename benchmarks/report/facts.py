"""How something was measured, in names and values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

# A list of skipped files can be as long as the data; the count above it says how long.
SKIPPED_SHOWN = 20
# More classes than this are counted, not named.
CLASSES_SHOWN = 12


def data_facts(data: dict[str, Any]) -> list[tuple[str, str]]:
    """Of an experiment's data block: name, splits by class, skipped files, fingerprint."""
    description = data.get("description", "")
    lines = [("data", f"{data.get('name', '?')}: {description}" if description else "?")]
    classes = [str(name) for name in data.get("classes", [])]
    if len(classes) > 2:
        named = f": {', '.join(classes)}" if len(classes) <= CLASSES_SHOWN else ""
        lines.append(("classes", f"{len(classes)}{named}"))
    for part in ("train", "validation", "test"):
        if part in data:
            counts = data.get(f"{part}_counts", [])
            lines.append((f"{part} images", split(data[part], counts, classes)))
        if part == "train" and (numbers := data.get("trained_on", [])) and numbers != [data[part]]:
            each = " or ".join(f"{number:,}" for number in numbers)
            lines.append(("of these a network had", each))
    if skipped := data.get("skipped", []):
        shown = ", ".join(str(name) for name in skipped[:SKIPPED_SHOWN])
        more = len(skipped) - SKIPPED_SHOWN
        rest = f" and {more:,} more" if more > 0 else ""
        lines.append(("files skipped", f"{len(skipped):,}: {shown}{rest}"))
    return [*lines, ("data fingerprint", str(data.get("fingerprint", "?")))]


def split(total: int, counts: Sequence[int], classes: Sequence[str]) -> str:
    """How many images, of what: '2,000 (1,000 dog, 1,000 cat)'."""
    if not total:
        return "none"
    if len(classes) == len(counts) == 2:
        each = ", ".join(f"{n:,} {name}" for n, name in zip(counts, classes, strict=True))
    elif counts and min(counts) == max(counts):
        each = f"{counts[0]:,} of each class"
    elif counts:
        each = f"{min(counts):,} to {max(counts):,} of each class"
    else:
        return f"{total:,}"
    return f"{total:,} ({each})"


def made_by(about: dict[str, Any]) -> list[tuple[str, str]]:
    """Hardware, versions, git commit and date."""
    return [
        ("hardware", joined(about.get("hardware", {}))),
        ("versions", joined(about.get("versions", {}))),
        ("git commit", str(about.get("git") or "none")),
        ("date", str(about.get("date", "?"))),
    ]


def joined(values: dict[str, Any]) -> str:
    """A dictionary on one line."""
    return ", ".join(f"{key} {_plain(value)}" for key, value in values.items())


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(str(item) for item in value)
    return "none" if value is None else str(value)
