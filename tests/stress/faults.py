"""Let every operation on the disk fail in turn, and see that nothing is lost.

    uv run python -m tests.stress.faults DIR [NAME]

A small comparison of a folder of images is trained, reported and drawn once, to count its
operations on the disk, those of the image cache among them. Then it is begun once for each
operation and failure: the operation gives an error, the disk is full, or the process is killed just
before or after it. It has to end with one line, or to reach its end; resumed without a failure, it
has to be bit-equal to the first one. So have the other scenarios, of which the first, the last and
a random operation of each place in the code fail. Writes DIR/NAME.jsonl, a line per failure; those
that it has are not tried again. Prints a table, and exits with 1 if anything was lost.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import random
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lossbench.losses.kernels.build import SCRATCH

from ..benchmarks.processes import PROCESSES
from .disk import FAILURES, Disk, Failure, Operation
from .scenarios import SCENARIOS, make_images, prepare

ENDS = {0: "finished", 1: "one line", 2: "one line", -9: "killed"}
"""How a process may end, by its exit code."""


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


def run(name: str, place: Path, case: Case | None, log: Path) -> int:
    """Run a scenario in a new process whose disk fails as a case says; return the exit code.

    Args:
        name: of the scenario.
        place: the directory whose disk fails; the image cache is in it.
        case: the failure; None: none.
        log: file for what is said, and with the suffix .json for the operations.
    """
    return in_process(_work, name, place, case, log)


def in_process(target: Callable[..., None], *arguments: object) -> int:
    """Call a function in a new process and return its exit code."""
    process: Any = PROCESSES.Process(target=target, args=arguments)
    process.start()
    process.join()
    code: int = process.exitcode
    return code


def _work(name: str, place: Path, case: Case | None, log: Path) -> None:
    prepare(place, log)
    disk = Disk(place, *(case or (None,)))
    disk.install()
    code = SCENARIOS[name].work(place)
    log.with_suffix(".json").write_text(json.dumps(disk.operations))
    sys.stdout.flush()
    os._exit(code)


class Trial:
    """A scenario that fails again and again, below a directory.

    Attributes:
        operations: those of the complete one, in their order.
    """

    def __init__(self, place: Path, name: str) -> None:
        self.place, self.name, self.scenario = place / name, name, SCENARIOS[name]
        self.complete, log = self.place / "complete", self.place / "complete.log"
        make_images(self.place / "pets")
        if not log.with_suffix(".json").exists():
            shutil.rmtree(self.complete, ignore_errors=True)
            self.complete.mkdir()
            if code := run(name, self.complete, None, log):
                raise RuntimeError(f"{name} itself ended with {code}: {log.read_text()}")
        found = json.loads(log.with_suffix(".json").read_text())
        self.operations = [Operation(*each) for each in found]

    def try_case(self, case: Case) -> Outcome:
        """Let an operation fail, go on, and compare with the complete scenario."""
        name = f"{case.number}-{case.failure.replace(' ', '-')}"
        place, log = self.place / name, self.place / f"{name}.log"
        shutil.rmtree(place, ignore_errors=True)
        log.unlink(missing_ok=True)
        place.mkdir()
        code = run(self.name, place, case, log)
        ended = ENDS.get(code, f"exit {code}")
        lost = self._lost(case, code, log.read_text()) or self.go_on(place, log)
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

    def go_on(self, place: Path, log: Path) -> str | None:
        """Go on without a failure, and return what differs from the complete scenario."""
        for scratch in place.rglob(".*.tmp"):  # as if a night had passed
            os.utime(scratch, (0, 0))
        code = run(self.name, place, None, log)
        empty = place / "runs" / "small"
        if code == 2 and empty.is_dir() and not (empty / "experiment.json").exists():
            shutil.rmtree(empty)  # a directory without an experiment: there was nothing to lose
            code = run(self.name, place, None, log)
        if code:
            return f"going on ended with {code}"
        try:
            self.scenario.check(self.complete, place)
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
    """Return whether a file is to be the same.

    A list of images is kept if they are not new. An archive that was unpacked may stay, and what
    the next compilation removes.
    """
    may_stay = path.suffix == ".part" or path.parent.name.startswith(SCRATCH)
    return path.is_file() and path.parent.name != "sources" and not may_stay


def _steady(path: Path) -> str:
    """Return a path without the time and process in the name of an event file."""
    name = "events" if path.name.startswith("events.out") else path.name
    return str(path.with_name(name))


def every_case(operations: Sequence[Operation]) -> list[Case]:
    """Return all failures of all operations; first those of the first operation of each place."""
    by_turn = sorted((turn, number) for each in by_place(operations) for turn, number in each)
    return [Case(number, how) for _, number in by_turn for how in FAILURES]


def by_place(operations: Sequence[Operation]) -> list[list[tuple[int, int]]]:
    """Return the operations of each kind and place: (0, number), (1, number) and so on."""
    found: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for number, each in enumerate(operations):
        numbers = found.setdefault((each.kind, each.place), [])
        numbers.append((len(numbers), number))
    return list(found.values())


def some_cases(operations: Sequence[Operation]) -> list[Case]:
    """Return all failures of the first, the last and a random operation of each place."""
    draw, chosen = random.Random(0), list[tuple[int, int]]()
    for numbers in by_place(operations):
        once = dict.fromkeys((numbers[0], numbers[-1], draw.choice(numbers)))
        chosen += [(turn, number) for turn, (_, number) in enumerate(once)]
    return [Case(number, how) for _, number in sorted(chosen) for how in FAILURES]


def sample(operations: Sequence[Operation]) -> list[Case]:
    """Return cases of the first operation of each place, each failure as often as the others."""
    first = sorted(each[0][1] for each in by_place(operations))
    return [Case(number, FAILURES[k % len(FAILURES)]) for k, number in enumerate(first)]


def outcomes(place: Path, name: str) -> Iterator[Outcome]:
    """Yield the outcome of every case; those in the log come first, and are not tried again."""
    trial, log, known = Trial(place, name), place / f"{name}.jsonl", set()
    for line in log.read_text().splitlines() if log.exists() else ():
        case, operation, ended, lost = json.loads(line)
        known.add(Case(*case))
        yield Outcome(Case(*case), Operation(*operation), ended, lost)
    cases = every_case if trial.scenario.every else some_cases
    for case in cases(trial.operations):
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
        places = len(by_place(Trial(place, name).operations))
        print(f"{name}: {places} places\n\n{table(found)}\n", flush=True)
        lost |= any(each.lost for each in found)
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
