"""`losses/README.md`: every registered loss in a table, and how exact it is, made and not typed."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from lossbench.benchmarks.records.files import write_atomically
from lossbench.losses.catalogue import ENTRIES
from lossbench.losses.catalogue.entry import Entry

from . import tails
from .exact import known
from .figure import draw
from .one_logit import of_one_logit
from .text import DIFFERENCES, HOW_TO_USE, KERNELS, NOTATION, OPENING, TAILS, TASKS, WRONG

Loss = Callable[[Tensor, Tensor], Tensor]
PICTURE = "catalogue.png"
# In grey in every panel of it.
REFERENCE = "bce-with-logits"
BOUND = 4e-6
# The probability of the right class where the gradient is read: wrong, and confidently so.
WRONG_AT = (1e-2, 1e-4)
TAILS_TITLE = "## How exact they are"


def page(entries: Sequence[Entry], count: int = 100) -> str:
    """The whole page; `count` as in `exactness`."""
    return "\n\n".join([catalogue(entries), exactness(entries, count), DIFFERENCES]) + "\n"


def catalogue(entries: Sequence[Entry]) -> str:
    """The part that is the same on every machine: how to use them, and a table a task."""
    parts = [OPENING.format(count=len(entries)), HOW_TO_USE, KERNELS]
    parts.append(f"![Value and gradient of the binary losses against the logit]({PICTURE})")
    parts += [NOTATION, WRONG]
    for task, title in TASKS.items():
        rows = [_described(entry) for entry in entries if entry.task == task]
        head = "loss", "L", "dL/dz", "range", "when to use it", "confidently wrong", "from"
        parts += [title, _table(head, rows)]
    return "\n\n".join(parts)


# --- the catalogue -------------------------------------------------------------------------------


def _described(entry: Entry) -> list[str]:
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
    """What becomes of |dL/dz| as the right class gets less probable, in a word and two numbers."""
    z = [math.log(p / (1 - p)) for p in WRONG_AT]
    curve = of_one_logit(entry, torch.tensor(z, dtype=torch.float64))
    if curve is None:
        return ""
    wrong, wronger = curve[1].abs().tolist()
    word = "stays"
    if wronger < wrong / 2 or wronger == 0:
        word = "dies"
    elif wronger > wrong * 4 / 3:
        word = "grows"
    return f"{word}: {_number(wrong)}, {_number(wronger)}"


def _number(x: float) -> str:
    return f"{x:.2g}".replace("e-0", "e-") if x < 100 else f"{x:.0f}"


def _code(formula: str) -> str:
    return f"`{formula}`" if formula else ""


def _linked(source: str) -> str:
    return re.sub(r"arXiv (\d{4}\.\d{4,5})", r"[arXiv \1](https://arxiv.org/abs/\1)", source)


# --- the tails -----------------------------------------------------------------------------------


def exactness(entries: Sequence[Entry], count: int) -> str:
    """How exact each loss is: a line for ours, and one for torch's or the plain formula's.

    Measured on `count` draws a spread, and each number of classes, so it takes a minute.
    """
    head = ["loss", "", *(f"{what} {name}" for what in ("L", "dL/dz") for name in _group_names())]
    rows = []
    for entry in entries:
        if entry.name in known():
            rows += _measured(entry, count)
    return "\n\n".join([TAILS_TITLE, TAILS, _table(head, rows, align="ll" + "r" * 8)])


def _group_names() -> list[str]:
    return [group if isinstance(group, str) else f"{group:g}" for group in tails.GROUPS]


def _measured(entry: Entry, count: int) -> list[list[str]]:
    losses: dict[str, Loss] = {"ours": entry.build(reduction="none")}
    if entry.reference is not None:
        losses["torch" if _in_torch(entry) else "plain"] = partial(
            entry.reference, reduction="none"
        )
    batches = {group: list(tails.batches(entry, group, count)) for group in tails.GROUPS}
    rows = []
    for whose, loss in losses.items():
        found = [
            tails.worst([tails.measure(entry, loss, batch) for batch in batches[group]])
            for group in tails.GROUPS
        ]
        name = entry.name if whose == "ours" else ""
        values, gradients = ([_error(error) for error in each] for each in zip(*found, strict=True))
        rows.append([name, whose, *values, *gradients])
    return rows


def _in_torch(entry: Entry) -> bool:
    module = getattr(torch.nn, getattr(entry.module, "__name__", ""), None)
    try:
        return module is not None and bool(module(**entry.settings))
    except TypeError:
        return False


def _error(error: float) -> str:
    """One digit, which is as much as two machines agree on; bold above the bound."""
    if math.isnan(error):
        return "**NaN**"
    text = f"{error:.0e}" if error < 0.1 else f"{error:.1g}" if error < 10 else "> 10"
    # Less than a thousandth of an ulp: it is exact, and that is the truth's last digit.
    text = "0" if error < 1e-10 else text.replace("e-0", "e-")
    return text if error <= BOUND else f"**{text}**"


# --- Markdown ------------------------------------------------------------------------------------


def _table(head: Iterable[str], rows: Iterable[Iterable[str]], align: str = "") -> str:
    head = list(head)
    rules = ["---:" if side == "r" else "---" for side in align.ljust(len(head))]
    lines = [head, rules, *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines
    )


def write(directory: Path, count: int = 100) -> list[Path]:
    """Writes the page and its picture into `directory`; returns their paths.

    Raises OSError if that cannot be done.
    """
    reference = next(entry for entry in ENTRIES if entry.name == REFERENCE)
    picture, text = draw(ENTRIES, reference), page(ENTRIES, count)
    paths = [directory / "README.md", directory / PICTURE]
    for path, content in zip(paths, (text.encode(), picture), strict=True):
        write_atomically(path, content)
    return paths
