"""Train a run on a remote machine, which yields progress, files and result as `Update`s.

Everything it needs is in its arguments: it reads no file of the machine that started it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from platform import node
from tempfile import TemporaryDirectory
from time import monotonic

import torch

from lossbench.benchmarks.config import RunConfig
from lossbench.benchmarks.console import Reporter
from lossbench.benchmarks.data.sources import absolute_data
from lossbench.benchmarks.errors import UserError
from lossbench.benchmarks.records.files import make_directory, write_atomically
from lossbench.benchmarks.records.reading import EXPERIMENT_FILE, read_description
from lossbench.benchmarks.records.results import FAILURE, RESULTS, run_directory
from lossbench.benchmarks.training.checkpoint import CHECKPOINT_FILE, appended_files
from lossbench.benchmarks.training.plan import Plan, load_plan
from lossbench.benchmarks.training.recorder import recorded_trainer

from .cuda_streams import ActiveRun
from .update import BufferedMonitor, Files, Update, run_outcome


def description_for_workers(plan: Plan) -> bytes:
    """Return experiment.json for other machines: with this one's device, and absolute paths."""
    description = read_description(plan.directory)
    data = absolute_data(plan.config.data)
    settings = description["config"] | {"device": plan.device.type, "data": data}
    return json.dumps(description | {"config": settings}).encode()


def train_remotely(
    description: bytes, config: RunConfig, files: Files, interval: float, stop: Callable[[], bool]
) -> Iterator[Update]:
    """Train a run from its last checkpoint; the last update tells how it ended.

    Args:
        description: from `description_for_workers`.
        config: one of its runs.
        files: of the run so far, {} for a new run.
        interval: seconds between two updates.
        stop: tells whether the run is to save its state and end; asked once per interval.

    Raises:
        OSError: a file cannot be written on this machine.
    """
    torch.set_num_threads(1)
    try:
        shared = _plan(description)
    except UserError as error:
        yield Update(ended=True, failure=f"on {node()}: {error}")
        return
    with TemporaryDirectory(prefix="lossbench-") as scratch:
        plan = replace(shared, directory=Path(scratch))
        plan.dataset = shared.dataset
        path = run_directory(plan.directory, config.loss, config.seed)
        write_files(path, files)
        monitor = BufferedMonitor()
        run = ActiveRun(partial(recorded_trainer, plan, config, monitor), plan.device)
        sent, version = monotonic(), _version(path)
        try:
            while (ended := run.take_turn()) is None:
                if monotonic() - sent >= interval:
                    monitor.stopping = stop()
                    before, version = version, _version(path)
                    # Without a newer checkpoint the files are of no use.
                    yield monitor.update_with(read_files(path) if version != before else None)
                    sent = monotonic()
            outcome = run_outcome(ended.result)
            if outcome.error is not None:  # of this machine: the run resumes elsewhere
                raise outcome.error
        except BaseException:
            _plan.cache_clear()  # its test images may have been used
            raise
        finally:
            run.close()
        yield monitor.update_with(read_files(path), outcome)


@lru_cache(maxsize=1)
def _plan(description: bytes) -> Plan:
    """Return the plan, cached for all runs of this process. Its directory no longer exists."""
    with TemporaryDirectory(prefix="lossbench-") as scratch:
        (Path(scratch) / EXPERIMENT_FILE).write_bytes(description)
        return load_plan(Path(scratch), Reporter())


def _version(path: Path) -> tuple[int, int] | None:
    """Return a value that changes with every checkpoint of a run; None without a checkpoint."""
    try:
        status = (path / CHECKPOINT_FILE).stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_mtime_ns


def read_files(path: Path) -> Files:
    """Read the files of a run, which may be in training.

    If a checkpoint is among them, the run can be resumed from them; if the last row of results.csv
    is, they are complete.

    Raises:
        OSError: a file cannot be read.
    """
    # First the checkpoint, which promises the lengths of the growing files, then results.csv, whose
    # last row is written after everything else.
    names = [CHECKPOINT_FILE, RESULTS]
    names += sorted({entry.name for entry in path.glob("[!.]*") if entry.is_file()} - set(names))
    files = {}
    for name in names:
        with suppress(FileNotFoundError):
            files[name] = (path / name).read_bytes()
    return files


def write_files(path: Path, files: Files) -> None:
    """Write the files of a run that `read_files` returned.

    The run can be resumed even if writing is interrupted. Files that do not belong to a run are
    never removed.

    Raises:
        OSError: a file cannot be written.
    """
    make_directory(path)
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
