"""What grows with the runs of an experiment: what is done beside each of them, its report, its
TensorBoard.

One run is trained, and 200 are recorded as if they had gone as it went, each with other mistakes:
what is measured is everything but the training.
"""

from __future__ import annotations

import io
import json
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from rich.console import Console

from lossbench.benchmarks.commands.plan import create_plan
from lossbench.benchmarks.config import ARTICLE_LOSSES, CompareConfig
from lossbench.benchmarks.console import Reporter
from lossbench.benchmarks.records.gradient_stats import GradientStats
from lossbench.benchmarks.report.board import write_board
from lossbench.benchmarks.report.comparison import write_summary
from lossbench.benchmarks.training import recorder
from lossbench.benchmarks.training.executors.local import run_and_append
from lossbench.benchmarks.training.interruption import Interruption
from lossbench.benchmarks.training.plan import Plan
from lossbench.benchmarks.training.progress import Progress
from lossbench.benchmarks.training.result import Point, RunConfig, RunResult
from lossbench.benchmarks.training.train import Callback, Trainer, fit

from .interleaved import Ratio, of_turns

SEEDS, FEW = 20, 3
"""Of each of ten losses: of the experiment, and of the one that its last runs are compared with."""
WARM, COMPARED = 5, 20
"""Runs of the few that are not counted, because what they need is loaded with the first of them,
and how many of those after them are compared with the last of the many."""
PATIENCE = 60.0
"""Seconds after which a TensorBoard that has not read everything is given up."""


class Tape(Callback):
    """Recording of a run's hooks, to be called again by a `Replay`."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, int, object]] = []

    def on_gradient_stats(self, trainer: Trainer, stats: GradientStats) -> None:
        self.calls.append(("on_gradient_stats", trainer.global_step, stats))

    def on_evaluation(self, trainer: Trainer, evaluation: Point) -> None:
        self.calls.append(("on_evaluation", trainer.global_step, evaluation))


class Replay:
    """Trainer that trains nothing, and calls the hooks of a recorded run instead."""

    done = False

    def __init__(
        self, tape: Tape, trained: Trainer, result: RunResult, config: RunConfig, callback: Callback
    ) -> None:
        self.tape, self.result, self.config, self.callback = tape, result, config, callback
        self.model, self.total_steps = trained.model, trained.total_steps
        self.global_step = 0

    def step(self) -> None:
        for hook, step, value in self.tape.calls:
            self.global_step = step
            getattr(self.callback, hook)(self, value)
        self.done = True

    def finish(self) -> RunResult:
        """Return the result of a network that makes other mistakes than the recorded one."""
        test = self.result.test
        assert test is not None
        by = 37 * len(self.config.loss) + 11 * self.config.seed
        rolled = {
            name: np.roll(getattr(test, name), by, axis=0)
            for name in ("outputs", "probabilities", "predicted")
        }
        result = replace(self.result, trial=self.config, test=replace(test, **rolled))
        self.callback.on_train_end(self, result)  # type: ignore[arg-type]
        return result


def experiment(runs: Path, seeds: int) -> Plan:
    """The plan of an experiment of ten losses and so many seeds, to be recorded."""
    config = CompareConfig(
        losses=ARTICLE_LOSSES, data="synthetic", seeds=seeds, epochs=1, runs=runs, device="cpu"
    )
    return create_plan(config, "lossbench speed", _silent())


def _silent() -> Reporter:
    return Reporter(Console(file=io.StringIO()))


@contextmanager
def recording(plan: Plan, interruption: Interruption) -> Iterator[Callable[[], float]]:
    """While this is open, no network is trained. What it gives records the plan's next run and
    returns the seconds of processor time that this took."""
    tape, first, reporter = Tape(), plan.runs[0], _silent()
    trained = Trainer(first, plan.dataset, tape, plan.config.log_every)
    result = fit(trained)

    def replay(config: RunConfig, _dataset: object, callback: Callback, *_: object) -> Replay:
        return Replay(tape, trained, result, config, callback)

    with (
        patch.object(recorder, "Trainer", replay),
        reporter.table(list(ARTICLE_LOSSES), plan.config.seeds) as table,
    ):
        progress = Progress(plan, table, interruption, reporter)
        coming = run_and_append(plan, plan.runs, progress)

        def record() -> float:
            began = time.process_time()
            next(coming, None)
            if interruption.signal is not None:
                raise KeyboardInterrupt
            return time.process_time() - began

        yield record


@dataclass(frozen=True)
class Recorded:
    """An experiment of SEEDS seeds, recorded.

    Attributes:
        place: what its directory is in, which goes with this process, however that ends but by a
        kill.
        plan: of it.
        cost: of one of its last COMPARED runs, over that of one of the first of another experiment,
        of which WARM were there already.
    """

    place: tempfile.TemporaryDirectory[str]
    plan: Plan
    cost: Ratio


@lru_cache(maxsize=1)
def recorded(seeds: int = SEEDS) -> Recorded:
    """The experiment, made when it is first asked for."""
    place = tempfile.TemporaryDirectory(prefix="lossbench-")
    many, few = (experiment(Path(place.name) / str(count), count) for count in (seeds, FEW))
    with (
        Interruption() as interruption,
        recording(many, interruption) as last,
        recording(few, interruption) as first,
    ):
        for record, warm in ((last, len(many.runs) - COMPARED), (first, WARM)):
            for _ in range(warm):
                record()
        # In turns, because a file system's own cost depends on what was written just before.
        cost = of_turns(last, first, 0, COMPARED)
    return Recorded(place, many, cost)


def cost_of_a_run(_seconds: float) -> Ratio:
    """Processor time beside a run with nearly 200 before it, over that beside one with few: events,
    rows, predictions, weights, tables. Waiting for the disk, which is as long for each, would
    drown the difference."""
    return recorded().cost


def report_seconds(_seconds: float) -> Ratio:
    """Seconds in which summary, pictures and page are written."""

    def once() -> float:
        began = time.perf_counter()
        write_summary(recorded().plan.directory)
        return time.perf_counter() - began

    return Ratio.of([once() for _ in range(3)])


def report_size(_seconds: float) -> Ratio:
    """MB of the page that needs no server."""
    directory = recorded().plan.directory
    write_summary(directory)
    return Ratio.of([(directory / "report.html").stat().st_size / 1e6] * 2)


def board_seconds(_seconds: float) -> Ratio:
    """Seconds from TensorBoard's start until it has given everything that its pages ask for of all
    losses and of the runs of every seed. What a browser takes to draw that is not in it."""
    experiment = recorded()
    write_summary(experiment.plan.directory)
    write_board(experiment.plan.directory, experiment.plan.images)
    runs = len(experiment.plan.runs) + len(ARTICLE_LOSSES)
    return Ratio.of([until_read(experiment.plan.directory, runs) for _ in range(3)])


def until_read(directory: Path, runs: int) -> float:
    """Seconds until a new TensorBoard has read so many runs and answered for each page.

    Raises TimeoutError if it has not within PATIENCE seconds.
    """
    began = time.perf_counter()
    with _tensorboard(directory) as ask:
        before = -1
        while True:
            tags = ask("data/plugin/timeseries/tags")
            scalars = tags.get("scalars", {}).get("runTagInfo", {})
            count = sum(map(len, scalars.values()))
            if len(scalars) >= runs and count == before:
                break
            if time.perf_counter() - began > PATIENCE:
                raise TimeoutError(f"TensorBoard has read {len(scalars)} of {runs} runs")
            before = count
            time.sleep(0.1)
        for page in ("runs", "plugins_listing", "plugin/custom_scalars/layout"):
            ask(f"data/{page}")
        for plugin in ("scalars", "histograms", "images", "text", "pr_curves"):
            ask(f"data/plugin/{plugin}/tags")
        return time.perf_counter() - began


@contextmanager
def _tensorboard(directory: Path) -> Iterator[Callable[[str], Any]]:
    """A TensorBoard on a port that is free; gives what it answers to a path, {} before it does."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    command = [
        *(sys.executable, "-m", "tensorboard.main", "--logdir", str(directory)),
        *("--host", "localhost", "--port", str(port)),
    ]
    # Not through a proxy, which would not know this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def ask(path: str) -> Any:
        try:
            with opener.open(f"http://localhost:{port}/{path}", timeout=PATIENCE) as answer:
                return json.loads(answer.read())
        except OSError:
            return {}

    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield ask
    finally:
        process.terminate()
        process.wait()
