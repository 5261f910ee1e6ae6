"""A comparison: every loss with every seed, one run after the other."""

from __future__ import annotations

import gc
import math
import signal
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import torch

from benchmarks.config import Comparison
from benchmarks.errors import UserError, one_line
from benchmarks.files import locked, sweep
from benchmarks.report import write_summary
from benchmarks.report.reading import finished_run
from benchmarks.tracking.board import write_board
from benchmarks.tracking.console import Reporter
from benchmarks.tracking.results import gather
from benchmarks.tracking.window import Window

from .interruption import Interruption
from .plan import Plan, new_plan, plan_in
from .recorder import Recorder, RunInterruptedError, run_path
from .run import train
from .trial import Trial


@dataclass
class Ended:
    """How a comparison has ended.

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


def compare(config: Comparison, command: str, reporter: Reporter) -> Ended:
    """Run a comparison; its report is in the directory of the experiment, if a run is finished.

    Raises UserError: a setting is wrong, the images cannot be had, the directory not be written.
    """
    with reporter:
        return _carried_out(new_plan(config, command, reporter), reporter)


def go_on(directory: Path, command: str, reporter: Reporter) -> Ended:
    """Continue the unfinished runs of the experiment in `directory`, those that failed included.

    Raises UserError: it is none that can be gone on with, or another process is at it.
    """
    with reporter:
        return _carried_out(plan_in(directory, command, reporter), reporter)


def _carried_out(plan: Plan, reporter: Reporter) -> Ended:
    try:
        with locked(plan.directory):
            sweep(plan.directory)
            ended = train_all(plan, plan.trials, reporter)
            collect(plan, ended)
    except OSError as error:  # a disk that is full, a directory that went away
        raise UserError(
            f"{one_line(error)}: stopped; what was saved in {plan.directory} is whole, and "
            f"`compare --resume {plan.directory}` goes on from it once that is mended"
        ) from None
    return ended


def collect(plan: Plan, ended: Ended) -> None:
    """Write what the experiment as a whole has: tables, and the report if a run is finished."""
    gather(plan.directory, paths(plan))
    if ended.finished:
        write_summary(plan.directory)
        write_board(plan.directory, plan.images)


def paths(plan: Plan) -> list[Path]:
    """The directories of all runs, there or not."""
    return [run_path(plan.directory, trial.loss, trial.seed) for trial in plan.trials]


def train_all(plan: Plan, trials: Iterable[Trial], reporter: Reporter) -> Ended:
    """Train those of the plan's runs that are not finished, in turn, each from where it was left.

    A run that fails does not stop the others. Ctrl-C or SIGTERM ends the step and saves it; when
    it comes again, it ends at once what is going on.
    """
    trials = list(trials)
    losses = list(dict.fromkeys(trial.loss for trial in trials))
    ended = Ended(plan.directory, len(trials))
    with (
        reporter.table(losses, sorted({trial.seed for trial in trials})) as table,
        Interruption() as interruption,
    ):

        def moved(trial: Trial, share: float, window: Window) -> None:
            table.update(trial.loss, trial.seed, share, window.accuracy, window.logit_mean_abs)

        for trial in trials:
            name = f"{trial.loss} seed {trial.seed}"
            try:
                done = finished_run(run_path(plan.directory, trial.loss, trial.seed), trial.epochs)
                if done is None:
                    done = train_one(plan, trial, lambda: interruption.asked, moved, reporter.say)
            except (RunInterruptedError, KeyboardInterrupt):
                break
            except RunFailedError as failure:
                reporter.say(f"{name} failed: {failure}")
                ended.failed.append(f"{name}: {failure}")
                continue
            ended.finished += 1
            accuracy, seconds = done
            if math.isnan(accuracy):
                ended.failed.append(f"{name}: its network has diverged")
            table.finished(trial.loss, trial.seed, accuracy, seconds)
            gather(plan.directory, paths(plan))
        ended.interrupted = interruption.asked
    return ended


class RunFailedError(Exception):
    """A run has ended by an error that is not a matter of the whole experiment; one line."""


def train_one(
    plan: Plan,
    trial: Trial,
    stop: Callable[[], object],
    moved: Callable[[Trial, float, Window], None],
    say: Callable[[str], None],
) -> tuple[float, float]:
    """Train a run of the plan to its end, from where it was left; its accuracy on the test images
    and the seconds of its training.

    Args: those of `Recorder`.

    Raises:
        RunInterruptedError: `stop` said so; the state is saved.
        RunFailedError: the loss or the model raised something, or memory was short.
        OSError: a file cannot be written.
    """
    recorder = Recorder(
        trial,
        plan.directory,
        plan.said,
        batch_size=min(trial.batch_size, len(plan.material.train.labels)),
        checkpoint_every=plan.checkpoint_every,
        stop=stop,
        moved=moved,
        say=say,
    )
    with recorder:
        try:
            outcome, model = train(trial, plan.material, recorder, plan.log_every, recorder.state)
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
