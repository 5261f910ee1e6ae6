"""Generate `losses/README.md`: tables of all registered losses, and their accuracy in float32."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from lossbench.benchmarks.plots.closed_forms import evaluate_at_logits
from lossbench.benchmarks.records.files import write_atomically
from lossbench.losses.registry import ENTRIES, Entry

from . import tails
from .figure import draw
from .markdown import table
from .text import DIFFERENCES, HOW_TO_USE, KERNELS, NOTATION, OPENING, TAILS, TASKS, WRONG
from .torch_issues.case import TorchIssue
from .torch_issues.section import ALL, section

Loss = Callable[[Tensor, Tensor], Tensor]
FIGURE = "catalogue.png"
# Drawn in grey in every panel.
REFERENCE = "bce-with-logits"
BOUND = 4e-6
# Probabilities of the right class at which the gradient is read.
WRONG_AT = (1e-2, 1e-4)
TAILS_TITLE = "## How exact they are"


def page(entries: Sequence[Entry], count: int = 100, issues: Sequence[TorchIssue] = ALL) -> str:
    """Return the Markdown of `losses/README.md`.

    Args:
        entries: the losses.
        count: random examples per row of the accuracy table: per standard deviation of the logits
            and number of classes.
        issues: what is run for the table of issues.
    """
    parts = catalogue(entries), exactness(entries, count), DIFFERENCES, section(issues)
    return "\n\n".join(parts) + "\n"


def catalogue(entries: Sequence[Entry]) -> str:
    """Return the part that is the same on every machine: usage, and one table per task."""
    parts = [OPENING.format(count=len(entries)), HOW_TO_USE, KERNELS]
    parts.append(f"![Value and gradient of the binary losses against the logit]({FIGURE})")
    parts += [NOTATION, WRONG]
    for task, title in TASKS.items():
        rows = [_catalogue_row(entry) for entry in entries if entry.task == task]
        head = "loss", "L", "dL/dz", "range", "when to use it", "confidently wrong", "from"
        parts += [title, table(head, rows)]
    return "\n\n".join(parts)


# --- the catalogue -------------------------------------------------------------------------------


def _catalogue_row(entry: Entry) -> list[str]:
    settings = ", ".join(f"{name}={value!r}" for name, value in entry.settings.items())
    module = f"`{getattr(entry.module, '__name__', entry.module)}({settings})`"
    takes = "" if entry.takes == "logits" else f"<br>takes {entry.takes}"
    return [
        f"**{entry.name}**<br>{module}{takes}",
        _code(entry.formula),
        _code(entry.gradient),
        entry.range,
        entry.use,
        when_wrong(entry),
        _linked(entry.source),
    ]


def when_wrong(entry: Entry) -> str:
    """Say whether |dL/dz| vanishes, stays or grows from the first to the second of `WRONG_AT`."""
    if entry.takes == "distances":
        return ""
    z = [math.log(p / (1 - p)) for p in WRONG_AT]
    _, gradient = evaluate_at_logits(entry, torch.tensor(z, dtype=torch.float64))
    first, second = gradient.abs().tolist()
    word = "stays"
    if second < first / 2 or second == 0:
        word = "vanishes"
    elif second > first * 4 / 3:
        word = "grows"
    return f"{word}: {_number(first)}, {_number(second)}"


def _number(x: float) -> str:
    return f"{x:.2g}".replace("e-0", "e-") if x < 100 else f"{x:.0f}"


def _code(formula: str) -> str:
    return f"`{formula}`" if formula else ""


def _linked(source: str) -> str:
    return re.sub(r"arXiv (\d{4}\.\d{4,5})", r"[arXiv \1](https://arxiv.org/abs/\1)", source)


# --- the tails -----------------------------------------------------------------------------------


def exactness(entries: Sequence[Entry], count: int) -> str:
    """Return the accuracy table: a line for our loss, and one for torch's or the plain formula.

    Measuring takes about a minute.

    Args:
        entries: the losses.
        count: examples per spread and number of classes.
    """
    groups = [group if isinstance(group, str) else f"{group:g}" for group in tails.GROUPS]
    head = ["loss", "", *(f"{quantity} {group}" for quantity in ("L", "dL/dz") for group in groups)]
    rows = []
    for entry in entries:
        if entry.textbook is not None:
            rows += _accuracy_rows(entry, count)
    return "\n\n".join([TAILS_TITLE, TAILS, table(head, rows, align="ll" + "r" * 8)])


def _accuracy_rows(entry: Entry, count: int) -> list[list[str]]:
    losses: dict[str, Loss] = {"ours": entry.build(reduction="none")}
    if (of_torch := entry.build_of_torch(reduction="none")) is not None:
        losses["torch"] = of_torch
    elif entry.reference is not None:
        losses["plain"] = partial(entry.reference, reduction="none")
    batches = {group: list(tails.batches(entry, group, count)) for group in tails.GROUPS}
    rows = []
    for implementation, loss in losses.items():
        errors = [
            tails.worst([tails.measure(entry, loss, batch) for batch in batches[group]])
            for group in tails.GROUPS
        ]
        name = entry.name if implementation == "ours" else ""
        values, gradients = (
            [_error(error) for error in each] for each in zip(*errors, strict=True)
        )
        rows.append([name, implementation, *values, *gradients])
    return rows


def _error(error: float) -> str:
    """Format an error with one digit, as much as two machines agree on; bold above `BOUND`."""
    if math.isnan(error):
        return "**NaN**"
    text = f"{error:.0e}" if error < 0.1 else f"{error:.1g}" if error < 10 else "> 10"
    # Less than a thousandth of a unit in the last place is the rounding of the exact value itself.
    text = "0" if error < 1e-10 else text.replace("e-0", "e-")
    return text if error <= BOUND else f"**{text}**"


# --- the page ------------------------------------------------------------------------------------


def write(directory: Path, count: int = 100) -> list[Path]:
    """Write the page and its figure into `directory`, and return their paths.

    Raises OSError if they cannot be written.
    """
    reference = next(entry for entry in ENTRIES if entry.name == REFERENCE)
    figure, text = draw(ENTRIES, reference), page(ENTRIES, count)
    paths = [directory / "README.md", directory / FIGURE]
    for path, content in zip(paths, (text.encode(), figure), strict=True):
        write_atomically(path, content)
    return paths
