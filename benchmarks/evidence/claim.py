"""What a claim is, and what an examination of it finds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from lossbench.benchmarks.training.result import RunConfig, RunResult

Budget = Literal["quick", "standard", "full"]
Verdict = Literal["holds", "does not hold", "undecided"]


@dataclass(frozen=True)
class Measure:
    """A number that the verdict rests on.

    Attributes:
        name: what was measured, with its unit.
        value: the estimate. low, high: its 95 % interval, None where there is none.
        wanted: what the claim says of it, in words and numbers: 'below 1.0 points'.
        verdict: of this number alone.
    """

    name: str
    value: float | None
    low: float | None
    high: float | None
    wanted: str
    verdict: Verdict


@dataclass(frozen=True)
class Table:
    """Cells as text, the first column naming the row; `notes` say how to read it."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Picture:
    """A PNG under a file name, with the words that stand for it where it cannot be seen."""

    name: str
    png: bytes
    alt: str


@dataclass(frozen=True)
class Finding:
    """What an examination found.

    Attributes:
        verdict: computed from the measures (`verdict_of`), never typed.
        sentence: the finding in one or two sentences made of the measured numbers.
        measures: those that the verdict rests on.
        pictures: the one that shows it first.
        tables: the numbers behind it.
        notes: what a reader must know: limits, surprises, what was not measured.
    """

    verdict: Verdict
    sentence: str
    measures: tuple[Measure, ...]
    pictures: tuple[Picture, ...]
    tables: tuple[Table, ...]
    notes: tuple[str, ...] = ()


class Trainer(Protocol):
    """Where a claim is examined: the budget, and a way to have networks trained."""

    budget: Budget

    def train(self, trials: Sequence[RunConfig]) -> list[RunResult]:
        """The outcomes of the trials, in their order; those had before are not trained again."""
        ...

    def tuned(self, trials: Sequence[RunConfig]) -> list[RunConfig]:
        """Each trial with the learning rate that suits its loss best on validation images: the
        same grid of rates and the same budget for all, seeds of the search's own."""
        ...

    def searched(self, trials: Sequence[RunConfig]) -> list[list[RunResult]]:
        """The outcomes of the search behind `tuned`: a list for each trial, by rate and seed."""
        ...

    def say(self, line: str) -> None:
        """A line for the person who waits."""
        ...


@dataclass(frozen=True)
class Claim:
    """A statement about losses that an experiment can refute.

    Attributes:
        name: in commands and directories.
        question: what is asked, one sentence.
        claim: the answer that is put to the test.
        refuted_by: what would be seen if it were wrong.
        procedure: what is done, in a few sentences; thresholds and margins stand here, before
            anything is measured.
        source: where the claim is from.
        examine: does it.
    """

    name: str
    question: str
    claim: str
    refuted_by: str
    procedure: str
    source: str
    examine: Callable[[Trainer], Finding]


def verdict_of(measures: Sequence[Measure]) -> Verdict:
    """Holds if every measure does, does not hold if one does not, else undecided."""
    verdicts = {measure.verdict for measure in measures}
    if "does not hold" in verdicts:
        return "does not hold"
    return "holds" if verdicts == {"holds"} else "undecided"
