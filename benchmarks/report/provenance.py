"""Provenance of results: data, hardware, versions and date, as names and values."""

from __future__ import annotations

import shlex
from typing import Any

from lossbench.benchmarks.format import describe_split

MAX_SKIPPED = 20
"""How many skipped files are named; their number is always given."""

MAX_CLASSES = 12
"""How many classes are named; more are only counted."""

Items = list[tuple[str, str]]


def data_items(data: dict[str, Any]) -> Items:
    """Return what a data block of experiment.json says of the images, as (heading, text)."""
    description = data.get("description", "")
    items = [("data", f"{data.get('name', '?')}: {description}" if description else "?")]
    classes = [str(name) for name in data.get("classes", [])]
    if len(classes) > 2:
        names = f": {', '.join(classes)}" if len(classes) <= MAX_CLASSES else ""
        items.append(("classes", f"{len(classes)}{names}"))
    for split in ("train", "validation", "test"):
        if split in data:
            counts = data.get(f"{split}_counts", [])
            text = describe_split(data[split], counts, classes)
            if origin := data.get("origins", {}).get(split):
                text += f", {origin}"
            items.append((f"{split} images", text))
        if split == "train" and (sizes := data.get("trained_on", [])) and sizes != [data[split]]:
            items.append(("train images per network", " or ".join(f"{n:,}" for n in sizes)))
    items += [("left out", str(line)) for line in data.get("left_out", [])]
    if skipped := data.get("skipped", []):
        names = ", ".join(str(name) for name in skipped[:MAX_SKIPPED])
        more = len(skipped) - MAX_SKIPPED
        rest = f" and {more:,} more" if more > 0 else ""
        items.append(("skipped files", f"{len(skipped):,}: {names}{rest}"))
    return [*items, ("data fingerprint", str(data.get("fingerprint", "?")))]


def machine_items(about: dict[str, Any]) -> Items:
    """Describe hardware, versions, git commit and date."""
    return [
        ("hardware", format_mapping(about.get("hardware", {}))),
        ("versions", format_mapping(about.get("versions", {}))),
        ("git commit", str(about.get("git") or "none")),
        ("date", str(about.get("date", "?"))),
    ]


def repeating(command: str) -> str:
    """Return a recorded command line without --name, whose directory exists by now."""
    try:
        words = iter(shlex.split(command))
    except ValueError:  # a record that was changed by hand
        return command
    kept = []
    for word in words:
        if word == "--name":
            next(words, None)
        elif not word.startswith("--name="):
            kept.append(word)
    return shlex.join(kept)


def format_mapping(values: dict[str, Any]) -> str:
    """Write a dictionary on one line: 'processor x86_64, cores 2'."""
    return ", ".join(f"{key} {_format_value(value)}" for key, value in values.items())


def _format_value(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(str(item) for item in value) or "none"
    return "none" if value is None else str(value)
