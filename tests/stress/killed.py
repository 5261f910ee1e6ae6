"""Processes that train a comparison and are killed, at a moment or in a file operation."""

from __future__ import annotations

import itertools
import os
import signal
from pathlib import Path
from typing import Any

import torch

from lossbench.benchmarks.config import CompareConfig
from lossbench.benchmarks.console import Reporter
from lossbench.benchmarks.data import ImageSet
from lossbench.benchmarks.errors import UserError
from lossbench.benchmarks.records import events
from lossbench.benchmarks.training import checks, recorder
from tests.benchmarks.comparisons import compare, resume

from ..benchmarks.processes import PROCESSES


def start(config: CompareConfig, directory: Path, images: ImageSet, die_at: int | None) -> Any:
    """Start or resume the comparison in a new process.

    If `die_at` is a number, the process kills itself in the file operation of that number.
    """
    process = PROCESSES.Process(target=_work, args=(config, directory, images, die_at))
    process.start()
    return process


def _work(config: CompareConfig, directory: Path, images: ImageSet, die_at: int | None) -> None:
    torch.set_num_threads(1)
    checks.open_images = lambda *_, **__: images  # type: ignore[attr-defined]
    if die_at is not None:
        _die_in_operation(die_at)
    if (directory / "experiment.json").exists():
        resume(directory, "", Reporter())
    else:
        compare(config, "", Reporter())


def protected(config: CompareConfig, images: ImageSet, directory: Path, said: Path) -> Any:
    """Start the comparison in an unprivileged process whose directory becomes read-only.

    That happens with the third logging interval. The file `said` gets the error message.
    """
    process = PROCESSES.Process(target=_protect, args=(config, images, directory, said))
    process.start()
    return process


def _protect(config: CompareConfig, images: ImageSet, directory: Path, said: Path) -> None:
    if os.geteuid() == 0:
        os.setuid(65534)
    torch.set_num_threads(1)
    checks.open_images = lambda *_, **__: images  # type: ignore[attr-defined]
    count, real = itertools.count(1), recorder.Recorder.on_gradient_stats

    def protect(*arguments: Any) -> None:
        if next(count) == 3:
            for place in (directory, *directory.rglob("*")):
                place.chmod(0o555 if place.is_dir() else 0o444)
        real(*arguments)

    recorder.Recorder.on_gradient_stats = protect  # type: ignore[method-assign]
    try:
        compare(config, "", Reporter())
    except UserError as error:
        said.write_text(str(error))


def _die_in_operation(number: int) -> None:
    """Make the process kill itself in its sync, rename or write of that number.

    A write is done by half.
    """
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

    def half_row(path: Path, _: Any) -> None:
        with path.open("ab") as half:
            half.write(b"cross-entropy,0,1,")

    os.fsync, os.replace = wrapped(os.fsync), wrapped(os.replace)
    writer = events.RecordWriter
    writer.write = wrapped(writer.write, half_record)
    recorder.append_row = wrapped(recorder.append_row, half_row)
