"""`lossbench speed --against REV`: time the losses beside those of another commit.

Both time a row in turns, in one process with one thread (`revision_worker`), so that drift of the
machine cancels. What counts is the CPU time of the process, not the time on the clock, so that
other programs on the same cores lengthen no measurement by waiting. What is left of them, emptied
caches and a shared core, lengthens some measurements and shortens none: the shortest tenth of many
short measurements is nearly free of it.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import torch

from lossbench.benchmarks.errors import UserError, unknown_name
from lossbench.benchmarks.report.document import Table
from lossbench.benchmarks.stats.significance import holm
from lossbench.losses import registry

from .cases import Case, loss_inputs, quick_cases

ROOT = Path(__file__).resolve().parents[2]
"""The clone that this file is in."""

SECONDS = 10.0
"""Time per row, unless another is asked for."""

GROUPS = 16
"""Groups of successive turns that are tested: neighbours may resemble one another."""

LEAST_TURNS = 5 * GROUPS
"""Turns of the slowest rows, ten measurements of each side in a group."""

SHORT = 0.1
"""Share of the measurements of a group that are shorter than what is taken for the time."""

MARGIN = math.log(1.02)
"""Difference that does not matter, as a logarithm. The same code twice differs too, by where it
happens to lie in memory."""

LEVEL = 0.01
"""Probability of calling any row slower although none is slower by more than the margin."""

HEADINGS = ("row", "here", "there", "here / there (98 %)", "p, corrected", "verdict")


@dataclass(frozen=True)
class Difference:
    """Time of a row here relative to the other revision.

    Attributes:
        row: its name.
        here: CPU seconds of a call.
        there: the same of the other revision.
        ratio: here / there.
        lower, upper: its interval of 98 %.
        p_slower, p_faster: p-values of 'slower (faster) by no more than the margin'.
    """

    row: str
    here: float
    there: float
    ratio: float
    lower: float
    upper: float
    p_slower: float
    p_faster: float

    @classmethod
    def of(cls, row: str, here: Sequence[float], there: Sequence[float]) -> Difference:
        """Summarise measurements by a t test; measurements of the same place belong together.

        In each of `GROUPS` groups of successive measurements, the difference is that of the
        logarithms of both sides' `SHORT` quantiles. Their mean is tested against `MARGIN`.
        """
        from scipy.stats import t

        sides = [np.array_split(np.log(np.array(side)), GROUPS) for side in (here, there)]
        times = np.array([[np.quantile(group, SHORT) for group in side] for side in sides])
        differences = times[0] - times[1]
        mean = float(differences.mean())
        error = max(float(differences.std(ddof=1)) / math.sqrt(GROUPS), 1e-9)
        law = t(GROUPS - 1)
        reach = float(law.ppf(0.99)) * error
        ratio, lower, upper = (math.exp(x) for x in (mean, mean - reach, mean + reach))
        slower, faster = (float(law.sf((x - MARGIN) / error)) for x in (mean, -mean))
        ours, theirs = np.exp(np.median(times, axis=1)).tolist()
        return cls(row, ours, theirs, ratio, lower, upper, slower, faster)


# --- revisions -----------------------------------------------------------------------------------


@contextmanager
def checked_out(revision: str) -> Iterator[Path]:
    """Provide a directory with another commit of this clone.

    Raises:
        UserError: lossbench does not run from a git clone, or there is no such commit.
    """
    commit = _git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    with tempfile.TemporaryDirectory(prefix="lossbench-") as name:
        tree = Path(name) / "tree"
        _git("worktree", "add", "--quiet", "--detach", str(tree), commit)
        try:
            yield tree
        finally:
            _git("worktree", "remove", "--force", str(tree))


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=True
        )
    except FileNotFoundError:
        raise UserError("--against needs git, which is not installed") from None
    except subprocess.CalledProcessError as error:
        said = error.stderr.strip().partition("\n")[0] or "there is no such commit"
        raise UserError(f"--against: git {arguments[0]} failed in {ROOT}: {said}") from None
    return done.stdout.strip()


class TimingProcess:
    """Process that times the losses of two directories. A context manager."""

    def __init__(self, here: Path, there: Path) -> None:
        self.directories = [str(here), str(there)]

    def __enter__(self) -> TimingProcess:
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-P", str(Path(__file__).with_name("revision_worker.py"))),
                *self.directories,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.process.kill()
        self.process.communicate()

    def ask(self, **question: Any) -> dict[str, Any]:
        """Return the answer to a question, see `revision_worker`. Raises UserError if it ended."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with suppress(BrokenPipeError):
            self.process.stdin.write(json.dumps(question) + "\n")
            self.process.stdin.flush()
        if not (line := self.process.stdout.readline()):
            raise UserError("--against: the other commit cannot be timed; the lines above say why")
        return dict(json.loads(line))


# --- rows ----------------------------------------------------------------------------------------


def select(only: str | None) -> list[Case]:
    """Return the quick cases with `only` in their condition or name. Raises UserError if none."""
    cases = list(quick_cases())
    chosen = [x for x in cases if only is None or only in f"{x.condition.name} {x.group}"]
    if not chosen:
        assert only is not None
        losses = dict.fromkeys(case.loss for case in cases)
        raise unknown_name(
            "row", only, losses, "a part of a row's name, such as 'bfloat16 mse (64)'"
        )
    return chosen


def compare_rows(
    cases: Sequence[Case],
    tree: Path,
    seconds: float,
    log: Callable[[str], None],
    *,
    slowdown: float = 0.0,
) -> Iterator[Difference]:
    """Measure rows here and in another revision, one after the other.

    Args:
        cases: the rows.
        tree: directory of the other revision.
        seconds: about how long each row takes.
        log: called with a line per row, and one more for a row that one of the two lacks.
        slowdown: share of the time that is wasted here, to test what is found.
    """
    with (
        TimingProcess(ROOT, tree) as worker,
        tempfile.TemporaryDirectory(prefix="lossbench-") as scratch,
    ):
        file = Path(scratch) / "tensors.pt"
        for number, case in enumerate(cases, 1):
            name = f"{case.group} {case.condition.name}"
            log(f"{number} of {len(cases)}: {name}")
            entry = registry.entry(case.loss)
            target_type = case.condition.target_type(entry)
            assert target_type is not None
            torch.save(list(loss_inputs(entry, case.shape, case.condition, target_type)), file)
            answer = worker.ask(
                loss=case.loss,
                file=str(file),
                seconds=seconds,
                least=LEAST_TURNS,
                slowdown=slowdown,
            )
            if "error" in answer:
                log(f"skipped: {answer['error']}")
            else:
                yield Difference.of(name, answer["here"], answer["there"])


# --- verdicts ------------------------------------------------------------------------------------


def verdicts(differences: Sequence[Difference]) -> list[tuple[str, float]]:
    """Return 'slower', 'faster' or 'alike' for each row, and its p-value corrected over the rows.

    The p-value is that of the direction in which the row differs (Holm, each direction for itself).
    """
    slower = holm([each.p_slower for each in differences])
    faster = holm([each.p_faster for each in differences])
    return [
        ("slower", p) if p <= LEVEL else ("faster", q) if q <= LEVEL else ("alike", min(p, q))
        for p, q in zip(slower, faster, strict=True)
    ]


def table(differences: Sequence[Difference]) -> Table:
    """Return a table with one row per difference."""
    rows = [
        (
            each.row,
            f"{1e6 * each.here:,.1f} us",
            f"{1e6 * each.there:,.1f} us",
            f"{each.ratio:.3f} ({each.lower:.3f} to {each.upper:.3f})",
            f"{p:.2g}",
            verdict,
        )
        for each, (verdict, p) in zip(differences, verdicts(differences), strict=True)
    ]
    return Table(HEADINGS, tuple(rows))
