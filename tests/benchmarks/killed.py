"""A process that trains a comparison and is killed on the way, at a moment or in an operation."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any

import scipy.stats  # noqa: F401
import torch
import torch._dynamo

import lossbench.benchmarks.report.figures  # noqa: F401
from lossbench.benchmarks.commands.compare import compare, go_on
from lossbench.benchmarks.config import CompareConfig
from lossbench.benchmarks.console import Reporter
from lossbench.benchmarks.data import ImageSet
from lossbench.benchmarks.errors import UserError
from lossbench.benchmarks.records import events, results
from lossbench.benchmarks.training import recorder
from lossbench.benchmarks.training import setup as choices

# Processes are forked off one that has imported everything, torch._dynamo included, which an
# optimiser imports: that takes them milliseconds instead of seconds.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload([__name__])


def start(config: CompareConfig, directory: Path, images: ImageSet, die_at: int | None) -> Any:
    """Begin the comparison, or go on with it where its directory is there, in a process of its
    own, which kills itself in its `die_at`-th file operation, if that is not None."""
    process = PROCESSES.Process(target=_work, args=(config, directory, images, die_at))
    process.start()
    return process


def _work(config: CompareConfig, directory: Path, images: ImageSet, die_at: int | None) -> None:
    torch.set_num_threads(1)
    choices.open_images = lambda *_, **__: images  # type: ignore[attr-defined]
    if die_at is not None:
        _die_in_operation(die_at)
    if (directory / "experiment.json").exists():
        go_on(directory, "", Reporter())
    else:
        compare(config, "", Reporter())


def protected(config: CompareConfig, images: ImageSet, directory: Path, said: Path) -> Any:
    """Begin the comparison in a process without rights of its own, and take its right to write to
    `directory` away when the third window is logged. `said` receives what the user is told."""
    process = PROCESSES.Process(target=_protect, args=(config, images, directory, said))
    process.start()
    return process


def _protect(config: CompareConfig, images: ImageSet, directory: Path, said: Path) -> None:
    if os.geteuid() == 0:
        os.setuid(65534)
    torch.set_num_threads(1)
    choices.open_images = lambda *_, **__: images  # type: ignore[attr-defined]
    count, real = itertools.count(1), recorder.Recorder.window

    def window(*arguments: Any) -> None:
        if next(count) == 3:
            for place in (directory, *directory.rglob("*")):
                place.chmod(0o555 if place.is_dir() else 0o444)
        real(*arguments)

    recorder.Recorder.window = window  # type: ignore[method-assign]
    try:
        compare(config, "", Reporter())
    except UserError as error:
        said.write_text(str(error))


def _die_in_operation(number: int) -> None:
    """Have the process killed in its `number`-th sync, rename or write, of which the half is done
    where it is a write."""
    count = itertools.count(1)

    def wrapped(real: Any, halve: Any = None) -> Any:
        def operation(*arguments: Any) -> Any:
            if next(count) == number:
                if halve is not None:
                    halve(*arguments)
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments)

        return operation

    def half_record(writer: Any, record: bytes) -> None:
        writer._writer.write(record[: len(record) // 2])
        writer._writer.flush()

    def half_row(file: Any, _: Any) -> None:
        with file.path.open("ab") as half:
            half.write(b"cross-entropy,0,1,")

    os.fsync, os.replace = wrapped(os.fsync), wrapped(os.replace)
    writer = events.RecordWriter
    writer.write = wrapped(writer.write, half_record)
    rows = results.CsvFile
    rows.add = wrapped(rows.add, half_row)  # type: ignore[method-assign]
