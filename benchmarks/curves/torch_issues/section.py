"""The table of torch's issues, made by running them."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ..markdown import table
from .case import Losses, TorchIssue, is_right, our_losses, outcome, text, torch_losses
from .derivatives import COMPILED, DERIVATIVES
from .rows import ROWS
from .values import VALUES

ALL = (*VALUES, *ROWS, *DERIVATIVES, *COMPILED)
TITLE = "## What torch's users complain of"
INTRODUCTION = """\
Issues that users filed about torch's losses, run again on the CPU with torch and with lossbench;
some were filed on CUDA. All entries of a result are shown. **Bold** is wrong: not the exact value,
the limit, or what the definition says. *Fixed* means that torch is right today. A value of torch
that is neither is what the issue complains of, but right by definition; lossbench has it too."""


def section(issues: Sequence[TorchIssue] = ALL) -> str:
    """Return the section of the page, with a row for every issue."""
    head = "symptom", "issue", f"torch {torch_version()}", "lossbench"
    theirs, ours = torch_losses(), our_losses()
    rows = [row(each, theirs, ours) for each in issues]
    return "\n\n".join([TITLE, INTRODUCTION, table(head, rows)])


def torch_version() -> str:
    """Return torch's version without that of its build."""
    return torch.__version__.partition("+")[0]


def row(issue: TorchIssue, theirs: Losses, ours: Losses) -> list[str]:
    """Run an issue with both libraries and return its row."""
    links = ", ".join(_link(issue.repository, number) for number in issue.issues)
    fixed = "" if issue.as_defined else "fixed: "
    return [
        issue.symptom,
        links,
        _cell(issue, theirs, fixed),
        _cell(issue, ours, ""),
    ]


def _cell(issue: TorchIssue, losses: Losses, fixed: str) -> str:
    found = outcome(issue, losses)
    return fixed + text(found) if is_right(issue, found) else f"**{text(found)}**"


def _link(repository: str, number: int) -> str:
    name = "" if repository == "pytorch/pytorch" else repository.rpartition("/")[2] + " "
    return f"[{name}#{number}](https://github.com/{repository}/issues/{number})"
