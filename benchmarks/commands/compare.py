"""A comparison: every loss with every seed, one run after the other or each by itself."""

from __future__ import annotations

import gc
import math
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import takewhile
from pathlib import Path

import torch

from lossbench.benchmarks.config import CompareConfig
from lossbench.benchmarks.console import LossTable, Reporter
from lossbench.benchmarks.errors import UserError, one_line
from lossbench.benchmarks.records.files import lock_directory, remove_scratch
from lossbench.benchmarks.records.gradient_stats import GradientStats
from lossbench.benchmarks.records.reading import read_failure, read_finished_run
from lossbench.benchmarks.records.results import TableAppender, gather_tables, run_directory
from lossbench.benchmarks.report import write_summary
from lossbench.benchmarks.report.board import write_board
from lossbench.benchmarks.training.checkpoint import CHECKPOINT_FILE
from lossbench.benchmarks.training.distributed import broadcast
from lossbench.benchmarks.training.executors.cuda_streams import Task, in_turns, to_the_end
from lossbench.benchmarks.training.interruption import Interruption
from lossbench.benchmarks.training.plan import Plan, new_plan, note_resumption, plan_in
from lossbench.benchmarks.training.recorder import Recorder, RunInterruptedError
from lossbench.benchmarks.training.result import RunConfig
from lossbench.benchmarks.training.train import is_builtin, training


@dataclass
class ExperimentStatus:
    """How an experiment stands.

    Attributes:
        directory: of the experiment.
        planned: how many runs it has. finished: how many of them are.
        failed: a line a run that ended by an error or whose network has diverged.
        interrupted: the signal that stopped it, None if none did.
    """

    directory: Path
    planned: int
    finished: int = 0
    failed: list[str] = field(default_factory=list)
    interrupted: signal.Signals | None = None

    def finish(self, trial: RunConfig, accuracy: float) -> None:
        """Count a run that has reached its end."""
        self.finished += 1
        if math.isnan(accuracy):
            self.failed.append(f"{trial.loss} seed {trial.seed}: its network has diverged")

    def fail(self, trial: RunConfig, why: str) -> None:
        """Count a run that has not."""
        self.failed.append(f"{trial.loss} seed {trial.seed}: {why}")


class Runs:
    """The runs of a plan while they are trained: what is told of them goes to the terminal and is
    counted in `ended`."""

    def __init__(
        self, plan: Plan, table: LossTable, interruption: Interruption, reporter: Reporter
    ) -> None:
        self.plan, self.table, self.interruption = plan, table, interruption
        self.say = reporter.say
        self.ended = ExperimentStatus(plan.directory, len(plan.trials))

    def stop(self) -> bool:
        """Whether the runs are to save their state and end."""
        return self.interruption.asked is not None

    def moved(self, trial: RunConfig, share: float, window: GradientStats) -> None:
        """A run is going on; `share` of it is done."""
        self.table.update(trial.loss, trial.seed, share, window.accuracy, window.logit_mean_abs)

    def finished(self, trial: RunConfig, accuracy: float, seconds: float) -> None:
        """A run has reached its end."""
        self.ended.finish(trial, accuracy)
        self.table.finished(trial.loss, trial.seed, accuracy, seconds)

    def failed(self, trial: RunConfig, why: str) -> None:
        """A run has ended by an error."""
        self.ended.fail(trial, why)
        self.say(f"{trial.loss} seed {trial.seed} failed: {why}")


Executor = Callable[[Runs, Sequence[RunConfig]], None]
"""Trains runs, each from where it was left, until all are over or it is to stop."""


def run_locally(runs: Runs, trials: Sequence[RunConfig]) -> None:
    """In this process: on a CUDA device as many at a time as it holds, elsewhere one by one."""
    for _ in run_by_run(runs, trials):
        pass


def run_by_run(runs: Runs, trials: Sequence[RunConfig]) -> Iterator[RunConfig]:
    """Yield each finished run once it is in the tables of the experiment."""
    plan = runs.plan
    paths = dict(zip(plan.trials, plan.paths, strict=True))
    missing = set(trials)
    before = [path for trial, path in paths.items() if trial not in missing]
    tables: TableAppender | None = None
    for trial in _ending(runs, trials):
        tables = tables or TableAppender(plan.directory, before)
        tables.add(paths[trial])
        yield trial


def _ending(runs: Runs, trials: Sequence[RunConfig]) -> Iterator[RunConfig]:
    """The same without the tables of the experiment; gives each run that is finished."""
    plan = runs.plan
    trouble: list[Exception] = []

    def stop() -> bool:
        return runs.stop() or bool(trouble)

    # One of the user's own may draw from the random numbers that all of a process share.
    most = plan.config.at_once if all(map(is_builtin, trials)) else 1
    # Where it is to stop, no other begins.
    coming = takewhile(lambda _: not stop(), trials)
    tasks = ((trial, run_of(plan, trial, stop, runs.moved, runs.say)) for trial in coming)
    try:
        for trial, ended in in_turns(tasks, plan.device, most):
            try:
                accuracy, seconds = ended.result()
            except RunInterruptedError:
                continue
            except RunFailedError as failure:
                runs.failed(trial, str(failure))
            except (OSError, UserError) as error:
                # Of the experiment as a whole; those beside it save what they have.
                trouble.append(error)
            else:
                runs.finished(trial, accuracy, seconds)
                yield trial
    except KeyboardInterrupt:
        return
    if trouble:
        raise trouble[0]


def by_itself(runs: Runs, trials: Sequence[RunConfig]) -> None:
    """In this process, without the tables of the experiment: others may write other runs of it."""
    for _ in _ending(runs, trials):
        pass


def compare(
    config: CompareConfig, command: str, reporter: Reporter, executor: Executor = run_locally
) -> ExperimentStatus:
    """Run a comparison; its report is in the directory of the experiment, if a run is finished.

    Raises UserError: a setting is wrong, the images cannot be had, the directory not be written.
    """
    with reporter:
        plan = new_plan(config, command, reporter)
        with experiment_lock(plan.directory):
            return _train_all(plan, reporter, executor)


def go_on(
    directory: Path, command: str, reporter: Reporter, executor: Executor = run_locally
) -> ExperimentStatus:
    """Continue the unfinished runs of the experiment in `directory`, those that failed included.

    Raises UserError: it is none that can be gone on with, or another process is at it.
    """
    with reporter:
        plan = plan_in(directory, reporter)
        with experiment_lock(directory):
            note_resumption(plan, command, reporter)
            return _train_all(plan, reporter, executor)


def run_one(directory: Path, number: int, reporter: Reporter) -> ExperimentStatus:
    """Train one run of the experiment in `directory`, from where it was left, counted from 0 in
    the order of `Plan.trials`; other processes may train others meanwhile.

    Raises UserError: there is no such experiment or run, or another process is at the run.
    """
    with reporter:
        plan = plan_in(directory, reporter)
        if not 0 <= number < len(plan.trials):
            raise UserError(f"run {number}: {directory} has the runs 0 to {len(plan.trials) - 1}")
        trial = plan.trials[number]
        plan = replace(plan, trials=(trial,))
        with _disk(directory):
            return _trained(plan, reporter, by_itself)


def collect(directory: Path, reporter: Reporter) -> ExperimentStatus:
    """Write tables and report of the experiment in `directory` from the runs that are finished.

    Raises UserError: there is no such experiment, or its images are others now.
    """
    with reporter:
        plan = plan_in(directory, reporter)
        ended = ExperimentStatus(directory, len(plan.trials))
        for trial, path in zip(plan.trials, plan.paths, strict=True):
            if done := read_finished_run(path, trial.epochs):
                ended.finish(trial, done[0])
            elif why := read_failure(path):
                ended.fail(trial, why)
        with experiment_lock(directory):
            _report(plan, ended)
    return ended


@contextmanager
def experiment_lock(directory: Path) -> Iterator[None]:
    """While this is open, no other process writes to the experiment as a whole; an error of the
    disk is answered with how to go on."""
    with _disk(directory), lock_directory(directory):
        remove_scratch(directory)
        yield


@contextmanager
def _disk(directory: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:  # a disk that is full, a directory that went away
        raise UserError(
            f"{one_line(error)}: stopped; what was saved in {directory} is whole, and `compare "
            f"--resume {directory}` goes on from it once that is mended"
        ) from None


def _train_all(plan: Plan, reporter: Reporter, executor: Executor) -> ExperimentStatus:
    ended = _trained(plan, reporter, executor)
    _report(plan, ended)
    return ended


def _trained(plan: Plan, reporter: Reporter, executor: Executor) -> ExperimentStatus:
    """Train those of the plan's runs that are not finished. A run that fails does not stop the
    others. Ctrl-C or SIGTERM ends the step and saves it; when it comes again, it ends at once what
    is going on."""
    losses = list(dict.fromkeys(trial.loss for trial in plan.trials))
    seeds = sorted({trial.seed for trial in plan.trials})
    with reporter.table(losses, seeds) as table, Interruption() as interruption:
        runs = Runs(plan, table, interruption, reporter)
        missing = []
        for trial, path in zip(plan.trials, plan.paths, strict=True):
            if done := read_finished_run(path, trial.epochs):
                # Where a process was killed behind its last row.
                (path / CHECKPOINT_FILE).unlink(missing_ok=True)
                runs.finished(trial, *done)
            else:
                missing.append(trial)
        executor(runs, missing)
        if runs.ended.finished < runs.ended.planned:
            runs.ended.interrupted = interruption.asked
    return runs.ended


def _report(plan: Plan, ended: ExperimentStatus) -> None:
    """Write what the experiment as a whole has: tables, and the report if a run is finished."""
    gather_tables(plan.directory, plan.paths)
    if ended.finished:
        write_summary(plan.directory)
        write_board(plan.directory, plan.images)


class RunFailedError(Exception):
    """A run has ended by an error that is not a matter of the whole experiment; one line."""


def run_of(
    plan: Plan,
    trial: RunConfig,
    stop: Callable[[], object],
    moved: Callable[[RunConfig, float, GradientStats], None],
    say: Callable[[str], None],
) -> Task[tuple[float, float]]:
    """Train a run of the plan to its end, from where it was left; its accuracy on the test images
    and the seconds of its training.

    Args: those of `Recorder`.

    Raises:
        RunInterruptedError: `stop` said so; the state is saved.
        RunFailedError: the loss or the model raised something, or memory was short.
        UserError: another process is at the run.
        OSError: a file cannot be written.
    """
    path = run_directory(plan.directory, trial.loss, trial.seed)
    path.mkdir(parents=True, exist_ok=True)
    with lock_directory(path), Recorder(plan, trial, stop=stop, moved=moved, say=say) as recorder:
        try:
            log_every, state = plan.config.log_every, broadcast(recorder.state)
            outcome, model = yield from training(trial, plan.material, recorder, log_every, state)
        except (RunInterruptedError, OSError, UserError):
            raise
        except Exception as error:  # a loss or model of the user's own may raise whatever it likes
            line = recorder.failed(error)
            # What the frames of the error hold is as much as a network, on its device.
            error.__traceback__ = None
            gc.collect()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            raise RunFailedError(line) from None
        return recorder.finish(outcome, model), outcome.seconds


def train_one(
    plan: Plan,
    trial: RunConfig,
    stop: Callable[[], object],
    moved: Callable[[RunConfig, float, GradientStats], None],
    say: Callable[[str], None],
) -> tuple[float, float]:
    """`run_of`, from its beginning to its end."""
    return to_the_end(run_of(plan, trial, stop, moved, say), plan.device)
