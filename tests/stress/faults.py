"""Let every operation on the disk fail in turn, and see that nothing is lost.

    uv run python -m tests.stress.faults DIR [compare | plan | tune]

A small comparison of a folder of images is trained, reported and drawn once, to count its
operations on the disk, those of the image cache among them. Then it is begun once for each
operation and failure: the operation gives an error, the disk is full, or the process is killed just
before or after it. It has to end with one line, or to reach its end; resumed without a failure, it
has to be bit-equal to the first one. So have `plan`, `run-one` and `collect`, and a search of
learning rates. Writes DIR/NAME.jsonl, a line per failure; those that it has are not tried again.
The first operation of each place in the code comes first. Prints a table, and exits with 1 if
anything was lost.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from PIL import Image

from lossbench.benchmarks import cli
from lossbench.benchmarks.training.executors import pool

from ..benchmarks.conftest import drawn_split
from ..benchmarks.processes import PROCESSES
from ..benchmarks.rows import assert_same_runs
from .disk import FAILURES, Disk, Failure, Operation

NETWORK = (
    "--losses cross-entropy zero-one --seeds 2 --epochs 1 --width 4 --batch-size 16 --device cpu"
)
EXPERIMENT = (
    f"{NETWORK} --learning-rate 0.05 --evaluations 1 --log-every 1 --checkpoint-every 0 "
    "--start normal --name small"
)
SEARCH = f"{NETWORK} --rates 0.01 0.1 --validation 0.25"

ENDS = {0: "finished", 1: "one line", 2: "one line", -9: "killed"}
"""How a process may end, by its exit code."""

Commands = list[list[str]]
"""Command lines of `lossbench`, one after the other until one fails."""


class Case(NamedTuple):
    """An operation, by its number, and how it fails."""

    number: int
    failure: Failure


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of a case.

    Attributes:
        case: the operation and its failure.
        operation: the same operation when nothing failed.
        ended: how the process ended: 'finished', 'one line' or 'killed'.
        lost: what is wrong; None if nothing was lost.
    """

    case: Case
    operation: Operation
    ended: str
    lost: str | None


@dataclasses.dataclass(frozen=True)
class Scenario:
    """Commands that are to survive failures.

    Attributes:
        commands: those to begin with or to go on with, from the directory for runs.
        check: raises AssertionError if two directories for runs have other results.
    """

    commands: Callable[[Path], Commands]
    check: Callable[[Path, Path], None]


def _compare(runs: Path) -> Commands:
    if (runs / "small" / "experiment.json").exists():
        return [["compare", "--resume", str(runs / "small"), "--workers", "1"]]
    return [["compare", *EXPERIMENT.split(), "--workers", "1"]]


def _plan(runs: Path) -> Commands:
    directory = str(runs / "small")
    begun = (runs / "small" / "experiment.json").exists()
    plan = [] if begun else [["plan", *EXPERIMENT.split()]]
    trained = [["run-one", directory, str(number)] for number in range(4)]
    return [*plan, *trained, ["collect", directory]]


def _tune(_: Path) -> Commands:
    return [["tune", *SEARCH.split()]]


def _same_experiments(one: Path, other: Path) -> None:
    assert_same_runs(one / "small", other / "small")


def _same_searches(one: Path, other: Path) -> None:
    first, second = (sorted(each.glob("tuning/*/trials.csv")) for each in (one, other))
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    assert first


SCENARIOS = {
    "compare": Scenario(_compare, _same_experiments),
    "plan": Scenario(_plan, _same_experiments),
    "tune": Scenario(_tune, _same_searches),
}


def make_images(directory: Path) -> None:
    """Write 30 cats and 30 dogs of noise, unless they are there."""
    if not directory.exists():
        split = drawn_split(60, 0)
        for number, (pixels, label) in enumerate(zip(split.images, split.labels, strict=True)):
            folder = directory / ("dog", "cat")[label]
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(folder / f"{number}.png")


def run(commands: Commands, place: Path, case: Case | None, log: Path) -> int:
    """Run commands in a new process whose disk fails as a case says; return the exit code.

    Args:
        commands: the commands, without --runs and --data.
        place: the directory whose disk fails; it has runs/ and the image cache.
        case: the failure; None: none.
        log: file for standard error, and with the suffix .json for the operations.
    """
    process: Any = PROCESSES.Process(target=_work, args=(commands, place, case, log))
    process.start()
    process.join()
    code: int = process.exitcode
    return code


def _work(commands: Commands, place: Path, case: Case | None, log: Path) -> None:
    torch.set_num_threads(1)
    os.environ["XDG_CACHE_HOME"] = str(place / "cache")
    # Where the operations are counted: in this process.
    pool.Pool._in_processes = pool.Pool._in_streams  # type: ignore[method-assign]
    for stream in (1, 2):
        os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream)
    disk = Disk(place, *(case or (None,)))
    disk.install()
    code = 0
    for words in commands:
        begins = words[0] in ("compare", "plan", "tune") and "--resume" not in words
        more = ["--runs", str(place / "runs"), "--data", str(place.parent / "pets")]
        code = code or cli.main([*words, *(more if begins else [])])
    log.with_suffix(".json").write_text(json.dumps(disk.operations))
    sys.stdout.flush()
    os._exit(code)


class Trial:
    """A scenario that fails again and again, below a directory.

    Attributes:
        operations: those of the complete one, in their order.
    """

    def __init__(self, place: Path, name: str) -> None:
        self.place, self.scenario = place / name, SCENARIOS[name]
        self.complete, log = self.place / "complete", self.place / "complete.log"
        make_images(self.place / "pets")
        if not log.with_suffix(".json").exists():
            shutil.rmtree(self.complete, ignore_errors=True)
            if code := run(
                self.scenario.commands(self.complete / "runs"), self.complete, None, log
            ):
                raise RuntimeError(f"{name} itself ended with {code}: {log.read_text()}")
        found = json.loads(log.with_suffix(".json").read_text())
        self.operations = [Operation(*each) for each in found]

    def try_case(self, case: Case) -> Outcome:
        """Let an operation fail, go on, and compare with the complete scenario."""
        name = f"{case.number}-{case.failure.replace(' ', '-')}"
        place, log = self.place / name, self.place / f"{name}.log"
        shutil.rmtree(place, ignore_errors=True)
        log.unlink(missing_ok=True)
        code = run(self.scenario.commands(place / "runs"), place, case, log)
        ended = {0: "finished", 1: "one line", 2: "one line", -9: "killed"}.get(
            code, f"exit {code}"
        )
        lost = self._lost(case, code, log.read_text()) or self._go_on(place, log)
        if lost is None:
            shutil.rmtree(place)
            log.unlink()
        log.with_suffix(".json").unlink(missing_ok=True)
        return Outcome(case, self.operations[case.number], ended, lost)

    def _lost(self, case: Case, code: int, said: str) -> str | None:
        """Return what is wrong with the end of the process that failed."""
        if case.failure.startswith("kill"):
            return None if code in (-9, 0) else f"exit code {code}"
        if "Traceback" in said:
            return "a traceback"
        if code in (1, 2) and "lossbench: " not in said:
            return "no line that says why"
        return None if code in (0, 1, 2) else f"exit code {code}"

    def _go_on(self, place: Path, log: Path) -> str | None:
        """Go on without a failure, and return what differs from the complete scenario."""
        for scratch in place.rglob(".*.tmp"):  # as if a night had passed
            os.utime(scratch, (0, 0))
        code = run(self.scenario.commands(place / "runs"), place, None, log)
        empty = place / "runs" / "small"
        if code == 2 and empty.is_dir() and not (empty / "experiment.json").exists():
            shutil.rmtree(empty)  # a directory without an experiment: there was nothing to lose
            code = run(self.scenario.commands(place / "runs"), place, None, log)
        if code:
            return f"going on ended with {code}"
        try:
            self.scenario.check(self.complete / "runs", place / "runs")
        except (AssertionError, OSError) as error:
            return f"results differ: {error}".splitlines()[0]
        names, there = (
            {_steady(path.relative_to(each)) for path in each.rglob("*") if _is_kept(path)}
            for each in (self.complete, place)
        )
        if names - there:
            return f"missing: {', '.join(sorted(names - there))}"
        return f"left behind: {', '.join(sorted(there - names))}" if there - names else None


def _is_kept(path: Path) -> bool:
    """Return whether a file is to be the same. A list of images is kept if they are not new."""
    return path.is_file() and path.parent.name != "sources"


def _steady(path: Path) -> str:
    """Return a path without the time and process in the name of an event file."""
    name = "events" if path.name.startswith("events.out") else path.name
    return str(path.with_name(name))


def every_case(operations: Sequence[Operation]) -> list[Case]:
    """Return all failures of all operations; first those of the first operation of each place."""
    seen: Counter[tuple[str, str]] = Counter()
    turns = []
    for number, each in enumerate(operations):
        seen[each.kind, each.place] += 1
        turns.append((seen[each.kind, each.place], number))
    return [Case(number, how) for _, number in sorted(turns) for how in FAILURES]


def sample(operations: Sequence[Operation], count: int) -> list[Case]:
    """Return cases of the first operation of each place, each failure as often as the others."""
    first = [case.number for case in every_case(operations)[:: len(FAILURES)]]
    return [Case(number, FAILURES[k % len(FAILURES)]) for k, number in enumerate(first[:count])]


def outcomes(place: Path, name: str) -> Iterator[Outcome]:
    """Yield the outcome of every case; those in the log come first, and are not tried again."""
    trial, log, known = Trial(place, name), place / f"{name}.jsonl", set()
    for line in log.read_text().splitlines() if log.exists() else ():
        case, operation, ended, lost = json.loads(line)
        known.add(Case(*case))
        yield Outcome(Case(*case), Operation(*operation), ended, lost)
    for case in every_case(trial.operations):
        if case not in known:
            outcome = trial.try_case(case)
            with log.open("a") as file:
                file.write(json.dumps(list(vars(outcome).values())) + "\n")
            yield outcome


def table(found: Iterable[Outcome]) -> str:
    """Return operations, failures and losses by kind of operation, as Markdown."""
    rows: dict[str, Counter[str]] = {}
    numbers: dict[str, set[int]] = {}
    for each in found:
        for kind in (each.operation.kind, "all"):
            row = rows.setdefault(kind, Counter())
            row.update(["failures", each.ended, *(["lost"] if each.lost else [])])
            numbers.setdefault(kind, set()).add(each.case.number)
    columns = ("failures", "finished", "one line", "killed", "lost")
    lines = [f"| operation | number | {' | '.join(columns)} |", "| --- |" + " ---: |" * 6]
    for kind in sorted(rows, key=lambda kind: (kind == "all", kind)):
        cells = " | ".join(str(rows[kind][column]) for column in columns)
        lines.append(f"| {kind} | {len(numbers[kind])} | {cells} |")
    return "\n".join(lines)


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.stress.faults", description=__doc__)
    parser.add_argument("directory", type=Path, metavar="DIR", help="for what is trained")
    parser.add_argument("name", choices=SCENARIOS, nargs="?", help="one of them (default: all)")
    given = parser.parse_args()
    place = given.directory.resolve()
    place.mkdir(parents=True, exist_ok=True)
    lost = False
    for name in [given.name] if given.name else SCENARIOS:
        found = []
        for outcome in outcomes(place, name):
            found.append(outcome)
            if outcome.lost:
                print(f"{name}, {outcome.case}, {outcome.operation}: {outcome.lost}", flush=True)
        print(f"{name}\n\n{table(found)}\n", flush=True)
        lost |= any(each.lost for each in found)
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
