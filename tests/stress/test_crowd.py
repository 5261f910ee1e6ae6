"""Many commands started at once on one directory."""

import os
from collections import Counter
from pathlib import Path

import pytest

from lossbench.benchmarks import cli

from ..benchmarks.processes import PROCESSES
from ..benchmarks.rows import assert_same_runs
from .scenarios import EXPERIMENT, make_images, prepare

pytestmark = pytest.mark.slow

COMMANDS = 50


def work(barrier, place: Path, words: list[str], log: Path) -> None:
    prepare(place, log)
    barrier.wait()
    os._exit(cli.main(words))


def run_at_once(count: int, place: Path, words: list[str]) -> list[tuple[int, str]]:
    """Run a command `count` times at once; return exit codes and what each printed."""
    barrier, logs = PROCESSES.Barrier(count), [place / f"{k}.log" for k in range(count)]
    processes = [PROCESSES.Process(target=work, args=(barrier, place, words, log)) for log in logs]
    for each in processes:
        each.start()
    for each in processes:
        each.join()
    return [(p.exitcode, log.read_text()) for p, log in zip(processes, logs, strict=True)]


def test_of_commands_at_once_one_trains_and_the_others_are_refused(tmp_path: Path) -> None:
    make_images(tmp_path / "pets")
    begin = ["compare", *EXPERIMENT.split(), "--workers", "1", "--data", str(tmp_path / "pets")]
    ((code, said),) = run_at_once(1, tmp_path, [*begin, "--runs", str(tmp_path / "alone")])
    assert code == 0, said

    found = run_at_once(COMMANDS, tmp_path, [*begin, "--runs", str(tmp_path / "runs")])
    assert Counter(code for code, _ in found) == {0: 1, 2: COMMANDS - 1}
    for code, said in found:
        assert "Traceback" not in said
        assert code == 0 or said.splitlines()[-1].startswith("lossbench: "), said
    assert_same_runs(tmp_path / "alone" / "small", tmp_path / "runs" / "small")

    # The finished experiment can be resumed by all: one at a time, and nothing changes.
    again = ["compare", "--resume", str(tmp_path / "runs" / "small"), "--workers", "1"]
    found = run_at_once(COMMANDS // 10, tmp_path, again)
    assert {code for code, _ in found} <= {0, 2}
    assert not any("Traceback" in said for _, said in found)
    assert_same_runs(tmp_path / "alone" / "small", tmp_path / "runs" / "small")
