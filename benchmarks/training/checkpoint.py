"""What a run goes on from after an interruption: its state as a file, and its other files as they
were when that was written."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from lossbench.benchmarks.records.events import event_files
from lossbench.benchmarks.records.files import write_atomically
from lossbench.benchmarks.records.results import RESULTS, WARNINGS

CHECKPOINT_FILE = "resume.pt"
"""The state's name in the directory of its run."""

FORMAT = 2  # count up when a state means something else

State = dict[str, Any]
"""Numbers, texts and tensors by name, in dictionaries and lists: what `torch.save` writes and
`torch.load(weights_only=True)` reads."""


class CheckpointError(Exception):
    """A state that cannot be gone on from; the text is the reason."""


def save(path: Path, run: str, state: State) -> None:
    """Write the state of the run whose trial has the key `run`, whole or not at all.

    Raises OSError if it cannot be written.
    """
    buffer = io.BytesIO()
    torch.save({"format": FORMAT, "run": run, "state": state}, buffer)
    content = buffer.getvalue()
    # torch.load does not look at the checksums in a file of its own.
    write_atomically(path, hashlib.sha256(content).digest() + content)


def load(path: Path, run: str) -> State | None:
    """The state that `save` wrote, its tensors on the CPU; None if there is none.

    Raises DamagedStateError if it is torn or of another run, OSError if it cannot be read.
    """
    if not path.exists():
        return None
    return unpacked(path.read_bytes(), run)


def unpacked(file: bytes, run: str) -> State:
    """The state in the bytes of a file. Raises DamagedStateError if it is torn or another's."""
    digest, content = file[:32], file[32:]
    if hashlib.sha256(content).digest() != digest:
        raise CheckpointError("it is torn")
    try:
        found = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        if (found["format"], found["run"]) != (FORMAT, run):
            raise CheckpointError("it is that of another training")
        state: State = dict(found["state"])
    except CheckpointError:
        raise
    except Exception as error:  # torch names none of the many that a strange file raises
        raise CheckpointError(f"{type(error).__name__}") from None
    return state


def appended_files(directory: Path) -> list[Path]:
    """The files of a run that are written to as it goes on, those that are there."""
    tables = (directory / name for name in (RESULTS, WARNINGS))
    return [*(path for path in tables if path.exists()), *event_files(directory)]


def sync_files(directory: Path) -> dict[str, int]:
    """How long each of them is, in bytes, once all of that is on the disk.

    Raises OSError if it cannot be brought there.
    """
    found = {}
    for path in appended_files(directory):
        with path.open("rb") as file:
            os.fsync(file.fileno())
            found[path.name] = os.fstat(file.fileno()).st_size
    return found


def roll_back(directory: Path, known: dict[str, int]) -> None:
    """Make the growing files of a run those that `sync_files` knew: what was written afterwards is
    cut off, and a file that began afterwards is removed. {} is the beginning of the run.

    Raises:
        DamagedStateError: a file is gone or shorter than it was; nothing is changed then.
        OSError: one cannot be changed.
    """
    there = {path.name: path for path in appended_files(directory)}
    _complete(there, known.items())
    for name, path in there.items():
        if name in known:
            os.truncate(path, known[name])
        else:
            path.unlink()


def _complete(there: dict[str, Path], known: Iterable[tuple[str, int]]) -> None:
    for name, length in known:
        if name not in there:
            raise CheckpointError(f"{name} is gone")
        if there[name].stat().st_size < length:
            raise CheckpointError(f"{name} has lost its end")
