"""Growth with the number of runs in an experiment: cost of a run, its report, its TensorBoard.

The runs are trained, but on a network so small that most of their time goes to their records.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from lossbench.benchmarks.console import Reporter
from lossbench.benchmarks.records.experiment import SYNTHETIC_MARK
from lossbench.benchmarks.records.results import append_tables
from lossbench.benchmarks.report.board import BOARD, write_board
from lossbench.benchmarks.report.comparison import write_comparison
from lossbench.benchmarks.training.executors.local import gather_finished, run_locally
from lossbench.benchmarks.training.interruption import Interruption
from lossbench.benchmarks.training.plan import Plan, load_plan
from lossbench.benchmarks.training.progress import Progress

from .interleaved import Ratio, interleave

MANY_SEEDS = 20
"""Seeds per loss of the measured experiment: 200 runs of ten losses."""
FEW_SEEDS = 3
"""Seeds per loss of the experiment that it is compared with."""
WARMUP_RUNS, COMPARED_RUNS = 5, 20
"""Runs of the small experiment that are not timed, and those after them that are."""
TIMEOUT = 60.0
"""Seconds to wait for TensorBoard."""


class LargeExperiment(NamedTuple):
    """A finished experiment.

    Attributes:
        plan: of the experiment.
        cost: of one of its last runs, relative to an early run of a small experiment.
        directory: temporary directory of both, removed when this process ends.
    """

    plan: Plan
    cost: Ratio
    directory: tempfile.TemporaryDirectory[str]


def plan_experiment(runs: Path, seeds: int) -> Plan:
    """Plan an experiment of ten losses on synthetic images, with a network of width 1."""
    name = f"{seeds}-seeds"
    command = [
        *(sys.executable, "-m", "lossbench", "plan", "--runs", str(runs), "--name", name),
        *("--data", "synthetic", "--seeds", str(seeds), "--epochs", "1", "--width", "1"),
        *("--device", "cpu"),
    ]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return load_plan(runs / f"{SYNTHETIC_MARK}-{name}", Reporter.silent())


@contextmanager
def run_timer(plan: Plan) -> Iterator[Callable[[], float]]:
    """Provide a function that trains the plan's next run and returns its processor time.

    Time that is spent waiting for the disk is as long for each run, and would hide a difference.
    """
    reporter = Reporter.silent()
    with reporter.table((config.loss, config.seed) for config in plan.runs) as table:
        progress = Progress(plan, table, Interruption(), reporter)
        gather_finished(plan, plan.runs)
        runs = iter(zip(plan.runs, plan.run_directories, strict=True))

        def train_next() -> float:
            config, path = next(runs)
            finished, start = progress.status.finished, time.process_time()
            run_locally(plan, [config], progress, tables=False)
            if progress.status.finished == finished:  # Ctrl-C ended it
                raise KeyboardInterrupt
            append_tables(plan.directory, path)
            return time.process_time() - start

        yield train_next


@cache
def finished_experiment() -> LargeExperiment:
    """Train the large experiment, timed beside a small one. Later calls return the same."""
    directory = tempfile.TemporaryDirectory(prefix="lossbench-")
    many, few = (plan_experiment(Path(directory.name), n) for n in (MANY_SEEDS, FEW_SEEDS))
    with run_timer(many) as last, run_timer(few) as first:
        for train_next, count in ((last, len(many.runs) - COMPARED_RUNS), (first, WARMUP_RUNS)):
            for _ in range(count):
                train_next()
        # Interleaved: the cost of a file system depends on what was written just before.
        cost = interleave(last, first, 0, COMPARED_RUNS)
    return LargeExperiment(many, cost, directory)


def run_cost(_seconds: float) -> Ratio:
    """Measure the processor time of the last of 200 runs relative to an early run.

    That time includes writing events, rows of results.csv, predictions, weights and tables.
    """
    return finished_experiment().cost


def report_seconds(_seconds: float) -> Ratio:
    """Measure the seconds in which summary, plots and report are written."""

    def once() -> float:
        start = time.perf_counter()
        write_comparison(finished_experiment().plan.directory)
        return time.perf_counter() - start

    return Ratio.of([once() for _ in range(3)])


def report_megabytes(_seconds: float) -> Ratio:
    """Measure the size of report.html in MB."""
    directory = finished_experiment().plan.directory
    write_comparison(directory)
    return Ratio.single((directory / "report.html").stat().st_size / 1e6)


def board_seconds(_seconds: float) -> Ratio:
    """Measure the seconds from TensorBoard's start until it has answered for every page.

    Its pages need all losses and the runs of every seed. The browser's drawing is not included.
    """
    plan = finished_experiment().plan
    write_comparison(plan.directory)
    write_board(plan.directory, plan.images)
    runs = len(plan.runs) + len(list((plan.directory / BOARD).iterdir()))
    return Ratio.of([tensorboard_seconds(plan.directory, runs) for _ in range(3)])


def tensorboard_seconds(directory: Path, runs: int) -> float:
    """Return the seconds until a new TensorBoard has read so many runs and serves each page.

    Raises TimeoutError if that takes more than `TIMEOUT` seconds.
    """
    start = time.perf_counter()
    with serve_tensorboard(directory) as get:
        previous = -1
        while True:
            tags = get("data/plugin/timeseries/tags")
            scalars = tags.get("scalars", {}).get("runTagInfo", {})
            count = sum(map(len, scalars.values()))
            if len(scalars) >= runs and count == previous:
                break
            if time.perf_counter() - start > TIMEOUT:
                raise TimeoutError(f"TensorBoard has read {len(scalars)} of {runs} runs")
            previous = count
            time.sleep(0.1)
        for page in ("runs", "plugins_listing", "plugin/custom_scalars/layout"):
            get(f"data/{page}")
        for plugin in ("scalars", "histograms", "images", "text", "pr_curves"):
            get(f"data/plugin/{plugin}/tags")
        return time.perf_counter() - start


@contextmanager
def serve_tensorboard(directory: Path) -> Iterator[Callable[[str], Any]]:
    """Run TensorBoard on a free port.

    Provides a function that returns its JSON answer to a path, {} before there is one.
    """
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    command = [
        *(sys.executable, "-m", "tensorboard.main", "--logdir", str(directory)),
        *("--host", "localhost", "--port", str(port)),
    ]
    # A proxy does not know this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def get(path: str) -> Any:
        try:
            with opener.open(f"http://localhost:{port}/{path}", timeout=TIMEOUT) as answer:
                return json.loads(answer.read())
        except OSError:
            return {}

    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield get
    finally:
        process.terminate()
        process.wait()
