"""`lossbench speed`: measure targets and write the table of them."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import torch

from lossbench.benchmarks.errors import UserError
from lossbench.benchmarks.records.environment import hardware
from lossbench.benchmarks.records.files import write_atomically, write_json
from lossbench.benchmarks.report.document import DefinitionList, Document, Paragraph, Table
from lossbench.benchmarks.report.render import markdown

from .interleaved import Ratio
from .target import SpeedTarget
from .targets import all_targets

HEADINGS = ("group", "row", "measured", "quartiles", "GB/s", "of a copy", "target", "verdict")
ABOUT = (
    "The first groups: time of a forward and backward pass of a loss relative to "
    "torch.nn.functional's or torchvision's, elsewhere to the plain expression in torch, "
    "interleaved in one process; median and quartiles over pairs of samples. GB/s: bytes of "
    "input, target and gradient per second; of a copy: relative to a copy that moves as many "
    "bytes. Memory: bytes in tensors relative to those of torch's loss. Training: time of the "
    "other implementation relative to lossbench's, on images of noise; with probes and "
    "TensorBoard: relative to the same steps alone. Growth: cost with a hundred or a thousand "
    "times as many images or runs. CUDA, where there is a GPU: time on the device, or bandwidth "
    "relative to a copy's."
)


class Measurement(NamedTuple):
    """A target and what was measured for it."""

    target: SpeedTarget
    ratio: Ratio


def select(only: str | None) -> list[SpeedTarget]:
    """Return the targets with `only` in their group or name. Raises UserError if there is none."""
    targets = [t for t in all_targets() if only is None or only in f"{t.group} {t.name}"]
    if not targets and only == "cuda":
        raise UserError("--only cuda: there is no CUDA device that torch can use")
    if not targets:
        raise UserError(f"no row of the speed table has {only!r} in its group or name")
    return targets


def measure(
    targets: Sequence[SpeedTarget], seconds: float, log: Callable[[str], None]
) -> Iterator[Measurement]:
    """Measure one target after the other; skip those that need something this machine lacks.

    Args:
        targets: what to measure.
        seconds: about how long each takes.
        log: called with a line per target, and one more for a target that is skipped.
    """
    for number, target in enumerate(targets, 1):
        log(f"{number} of {len(targets)}: {target.name}, {target.group}")
        try:
            ratio = target.measure(seconds)
        except UserError as error:
            log(f"skipped: {error}")
        else:
            yield Measurement(target, ratio)


def medians(measurements: Sequence[Measurement]) -> Iterator[Measurement]:
    """Yield a row for the median of every group that has a bound for it."""
    bounds = {t.group: t.median_bound for t, _ in measurements if t.median_bound is not None}
    for group, bound in bounds.items():
        found = [r.median for t, r in measurements if t.group == group and t.median_bound]
        ratio = Ratio.single(statistics.median(found))
        name = f"median of {len(found)} large rows"
        yield Measurement(SpeedTarget(group, name, Ratio.single, bound), ratio)


def machine_facts(measurements: Sequence[Measurement]) -> dict[str, Any]:
    """Describe torch and the machine, with its GPU if something was measured there."""
    device = "cuda" if any(target.group == "cuda" for target, _ in measurements) else "cpu"
    return {"torch": torch.__version__, **hardware(torch.device(device))}


def write(measurements: Sequence[Measurement], directory: Path, now: datetime) -> Path:
    """Write speed.json and speed.md to a new directory named by `now`, and return it."""
    output = directory / "speed" / now.strftime("%Y-%m-%d-%H%M%S")
    output.mkdir(parents=True)
    rows = [
        {
            "group": target.group,
            "row": target.name,
            "target": target.bound,
            "at_least": target.at_least,
            "verdict": target.verdict(ratio),
            **asdict(ratio),
        }
        for target, ratio in measurements
    ]
    write_json(output / "speed.json", {"facts": machine_facts(measurements), "rows": rows})
    write_atomically(output / "speed.md", markdown(page(measurements)).encode())
    return output


def page(measurements: Sequence[Measurement]) -> Document:
    """Return the table with its explanation, notes and machine."""
    pairs = tuple((name, str(value)) for name, value in machine_facts(measurements).items())
    paragraphs = map(Paragraph, notes(measurements))
    return Document(
        "Speed", (Paragraph(ABOUT), table(measurements), *paragraphs, DefinitionList(pairs))
    )


def notes(measurements: Iterable[Measurement]) -> list[str]:
    """Return the sentences below the table."""
    return [f"{target.name}: {ratio.note}." for target, ratio in measurements if ratio.note]


def table(measurements: Iterable[Measurement]) -> Table:
    """Return a table with one row per measurement."""
    return Table(HEADINGS, tuple(map(cells, measurements)))


def group_tables(measurements: Sequence[Measurement]) -> Iterator[tuple[str, Table]]:
    """Yield the name of each group and its table, which is narrow enough for a terminal."""
    for group in dict.fromkeys(target.group for target, _ in measurements):
        found = [cells(each)[1:] for each in measurements if each.target.group == group]
        yield group, Table(HEADINGS[1:], tuple(found))


def cells(measurement: Measurement) -> tuple[str, ...]:
    """Return the row of one measurement."""
    target, ratio = measurement
    median, lower, upper = (f"{x:.3g}" for x in (ratio.median, ratio.lower, ratio.upper))
    spread = f"{lower} to {upper}"
    bandwidth = f"{ratio.bandwidth / 1e9:.3g}" if ratio.bandwidth is not None else ""
    share = f"{ratio.share_of_copy:.2f}" if ratio.share_of_copy is not None else ""
    measured = f"{median}{target.unit}"
    verdict = target.verdict(ratio)
    return target.group, target.name, measured, spread, bandwidth, share, str(target), verdict
