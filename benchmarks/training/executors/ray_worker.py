"""The half of a run on another machine that is there: it trains, and yields what is to be known of
it as values. It needs nothing of the machine that asked but what it is given."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from platform import node
from tempfile import TemporaryDirectory

import torch

from lossbench.benchmarks.commands.compare import RunFailedError, train_one
from lossbench.benchmarks.console import Reporter
from lossbench.benchmarks.data.sources import SOURCES
from lossbench.benchmarks.errors import UserError
from lossbench.benchmarks.records.files import write_atomically
from lossbench.benchmarks.records.gradient_stats import GradientStats
from lossbench.benchmarks.records.reading import EXPERIMENT_FILE, read_description
from lossbench.benchmarks.records.results import FAILURE, RESULTS, run_directory
from lossbench.benchmarks.training.checkpoint import CHECKPOINT_FILE, appended_files
from lossbench.benchmarks.training.plan import Plan, plan_in
from lossbench.benchmarks.training.recorder import RunInterruptedError
from lossbench.benchmarks.training.result import RunConfig

Files = dict[str, bytes]
"""What files of a run hold, by their names in its directory."""


@dataclass(frozen=True)
class News:
    """What has come of a run since the news before.

    Attributes:
        said: lines for the user.
        share: of the run that is done, from 0 to 1. window: its latest; None: nothing new.
        files: the run's, if it can be gone on with from them; None: no newer ones.
        over: whether these are the last; without result and failure it was asked to end.
        result: of a run that has reached its end, the accuracy on the test images and the seconds.
        failure: of a run that has ended by an error, the line that says which.
    """

    said: tuple[str, ...] = ()
    share: float = 0.0
    window: GradientStats | None = None
    files: Files | None = None
    over: bool = False
    result: tuple[float, float] | None = None
    failure: str | None = None


def about_for_nodes(plan: Plan) -> bytes:
    """experiment.json as another machine needs it: with the device that this one has chosen, and a
    path to images that does not depend on where a process was started."""
    about = read_description(plan.directory)
    data = about["config"]["data"]
    if data is not None and data not in SOURCES:
        data = os.path.abspath(os.path.expanduser(data))
    settings = about["config"] | {"device": plan.device.type, "data": data}
    return json.dumps(about | {"config": settings}).encode()


def trained(
    about: bytes, trial: RunConfig, files: Files, every: float, stop: Callable[[], bool]
) -> Iterator[News]:
    """Train a run from where `files` leave it; the last of the news says how it ended.

    Args:
        about: from `about_for_nodes`. trial: one of its runs.
        files: of the run so far, {} of one that begins.
        every: seconds between two news. stop: whether the run is to save its state and end; it is
            asked as often.

    Raises OSError if a file cannot be written here.
    """
    torch.set_num_threads(1)
    try:
        shared = _plan(about)
    except UserError as error:
        yield News(over=True, failure=f"on {node()}: {error}")
        return
    with TemporaryDirectory(prefix="lossbench-") as scratch:
        plan = replace(shared, directory=Path(scratch))
        plan.material = shared.material
        put(run_directory(plan.directory, trial.loss, trial.seed), files)
        work = _Work(plan, trial)
        work.start()
        try:
            yield from work.news(every, stop)
        except BaseException:
            _plan.cache_clear()  # its test images may have been given out
            raise
        finally:
            work.end()


@lru_cache(maxsize=1)
def _plan(about: bytes) -> Plan:
    """The plan with its images, once for all runs of an experiment that this process trains; its
    directory is gone."""
    with TemporaryDirectory(prefix="lossbench-") as scratch:
        (Path(scratch) / EXPERIMENT_FILE).write_bytes(about)
        return plan_in(Path(scratch), Reporter())


class _Work(threading.Thread):
    """A run in training, in a thread beside the one that tells of it."""

    def __init__(self, plan: Plan, trial: RunConfig) -> None:
        super().__init__(name=f"{trial.loss} seed {trial.seed}", daemon=True)
        self.plan, self.trial = plan, trial
        self.path = run_directory(plan.directory, trial.loss, trial.seed)
        self.asked = threading.Event()
        self.said: list[str] = []
        self.share: float = 0.0
        self.window: GradientStats | None = None
        self.last = News(over=True)
        self.error: BaseException | None = None

    def run(self) -> None:
        torch.set_num_threads(1)
        try:
            result = train_one(
                self.plan, self.trial, self.asked.is_set, self._moved, self.said.append
            )
            self.last = News(over=True, result=result)
        except RunFailedError as failure:
            self.last = News(over=True, failure=str(failure))
        except RunInterruptedError:
            pass
        except BaseException as error:  # raised again in the other thread
            self.error = error

    def _moved(self, _trial: RunConfig, share: float, window: GradientStats) -> None:
        # Its numbers are enough to tell how far a run is.
        self.share, self.window = (
            share,
            replace(window, layers={}, logit_log10=window.logit_log10.new_zeros(0)),
        )

    def news(self, every: float, stop: Callable[[], bool]) -> Iterator[News]:
        """What there is to tell, until the run is over or has been asked to end."""
        sent = _mark(self.path)
        while True:
            self.join(every)
            if not self.is_alive():
                break
            if stop():
                self.end()
                break
            now = _mark(self.path)
            files = files_of(self.path) if now != sent else {}
            if CHECKPOINT_FILE in files:
                sent = now
            yield self._told(News(files=files if CHECKPOINT_FILE in files else None))
        if self.error is not None:
            raise self.error
        yield self._told(replace(self.last, files=files_of(self.path)))

    def _told(self, news: News) -> News:
        said = tuple(self.said)
        del self.said[: len(said)]
        window, self.window = self.window, None
        return replace(news, said=said, share=self.share, window=window)

    def end(self) -> None:
        """Have the run end after its step, and wait for that."""
        self.asked.set()
        self.join()


def _mark(path: Path) -> tuple[int, int] | None:
    """Tells a state from the one before it."""
    try:
        about = (path / CHECKPOINT_FILE).stat()
    except FileNotFoundError:
        return None
    return about.st_ino, about.st_mtime_ns


def files_of(path: Path) -> Files:
    """The files of a run, which may be going on: if its state is among them, they are such that it
    can be gone on with, and if the last row of results.csv is, they are all.

    Raises OSError if one cannot be read.
    """
    # The state first, which promises how long the growing files are at least, and results.csv
    # second, whose last row is written when all else is.
    names = [CHECKPOINT_FILE, RESULTS]
    names += sorted({entry.name for entry in path.glob("[!.]*") if entry.is_file()} - set(names))
    found = {}
    for name in names:
        with suppress(FileNotFoundError):
            found[name] = (path / name).read_bytes()
    return found


def put(path: Path, files: Files) -> None:
    """Make the files of a run those that `files_of` gave, in an order such that it can be gone on
    with wherever this breaks off. Files that a run does not go on from are never removed.

    Raises OSError if one cannot be written.
    """
    path.mkdir(parents=True, exist_ok=True)
    for name in files.keys() - {RESULTS, CHECKPOINT_FILE}:
        write_atomically(path / name, files[name])
    for stale in (*appended_files(path), path / FAILURE):
        if stale.name not in files:
            stale.unlink(missing_ok=True)
    for name in (RESULTS, CHECKPOINT_FILE):
        if name in files:
            write_atomically(path / name, files[name])
        else:
            (path / name).unlink(missing_ok=True)
