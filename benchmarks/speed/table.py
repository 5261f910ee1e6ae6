"""`lossbench speed`: every row with its target, met or not, and the machine's facts beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import torch

from lossbench.benchmarks.errors import UserError
from lossbench.benchmarks.records.experiment import hardware
from lossbench.benchmarks.records.files import write_atomically, write_json
from lossbench.benchmarks.report.document import DefinitionList, Document, Paragraph, Table
from lossbench.benchmarks.report.render import markdown

from .interleaved import Ratio
from .row import Row
from .targets import rows

HEADINGS = ("group", "row", "measured", "quartiles", "target", "met")
ABOUT = (
    "Losses: time of a forward and backward pass over torch.nn.functional's, float32, in one "
    "process and in turns; median and quartiles over pairs of samples. Memory: the most that a "
    "forward and backward pass allocates, over the size of the logits. Training: time of the other "
    "way over lossbench's, on pictures of noise; with probes and TensorBoard: over the same steps "
    "alone. Growth: what a hundred or a thousand times as many images or runs cost, one of them or "
    "all together. CUDA, where there is one: time of the device, or bytes a second over a copy's."
)


class Found(NamedTuple):
    row: Row
    ratio: Ratio


def chosen(only: str | None) -> list[Row]:
    """The rows whose group or name has `only` in it. Raises UserError if there is none."""
    found = [row for row in rows() if only is None or only in f"{row.group} {row.name}"]
    if not found and only == "cuda":
        raise UserError("--only cuda: there is no CUDA device that torch can use")
    if not found:
        raise UserError(f"no row of the speed table has {only!r} in its group or name")
    return found


def measured(of: list[Row], seconds: float, say: Callable[[str], None]) -> Iterable[Found]:
    """The rows, one after the other. One that cannot be measured here, for want of images, is left
    out."""
    for at, row in enumerate(of, 1):
        say(f"{at} of {len(of)}: {row.name}")
        try:
            found = row.measure(seconds)
        except UserError as error:
            say(f"left out: {error}")
        else:
            yield Found(row, found)


def cells(found: Found) -> tuple[str, ...]:
    row, ratio = found
    measured, lower, upper = (f"{x:.3g}" for x in (ratio.median, ratio.lower, ratio.upper))
    met = "yes" if row.met(ratio) else "no"
    return row.group, row.name, f"{measured}{row.unit}", f"{lower} to {upper}", row.wanted, met


def facts() -> dict[str, Any]:
    return {"torch": torch.__version__, **hardware(torch.device("cpu"))}


def write(found: list[Found], directory: Path, now: datetime) -> Path:
    """speed.json and speed.md in a directory of `now`; returns it."""
    place = directory / "speed" / now.strftime("%Y-%m-%d-%H%M%S")
    place.mkdir(parents=True)
    values = [
        {
            "group": each.row.group,
            "row": each.row.name,
            "target": each.row.target,
            "at_least": each.row.at_least,
            "met": each.row.met(each.ratio),
            **asdict(each.ratio),
        }
        for each in found
    ]
    write_json(place / "speed.json", {"facts": facts(), "rows": values})
    write_atomically(place / "speed.md", markdown(page(found)).encode())
    return place


def page(found: Sequence[Found]) -> Document:
    pairs = tuple((name, str(value)) for name, value in facts().items())
    said = map(Paragraph, notes(found))
    return Document("Speed", (Paragraph(ABOUT), table(found), *said, DefinitionList(pairs)))


def notes(found: Iterable[Found]) -> list[str]:
    """What else there is to say of some rows."""
    return [f"{row.name}: {ratio.note}." for row, ratio in found if ratio.note]


def table(found: Iterable[Found]) -> Table:
    return Table(HEADINGS, tuple(map(cells, found)))
