"""Checkpoints: the state of an interrupted run in a file, and the lengths of its other files."""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path
from typing import Any

import torch

from lossbench.benchmarks.records.events import event_files
from lossbench.benchmarks.records.files import sync_directory, sync_file, write_atomically
from lossbench.benchmarks.records.results import RESULTS, WARNINGS

CHECKPOINT_FILE = "resume.pt"
"""File name in the directory of a run."""

FORMAT = 5  # increase it when the content changes

State = dict[str, Any]
"""Nested dictionaries and lists of numbers, strings and tensors, for `weights_only=True`."""


class CheckpointError(Exception):
    """Raised for a checkpoint that cannot be resumed from; the text is the reason."""


def save(path: Path, run: str, state: State) -> None:
    """Write a checkpoint atomically.

    Args:
        path: file to write.
        run: `RunConfig.key()` of the run.
        state: the checkpoint.

    Raises:
        OSError: it cannot be written.
    """
    buffer = io.BytesIO()
    torch.save({"format": FORMAT, "run": run, "state": state}, buffer)
    content = buffer.getvalue()
    # torch.load does not verify the checksums of its zip members.
    write_atomically(path, hashlib.sha256(content).digest() + content)


def load(path: Path, run: str) -> State | None:
    """Read the checkpoint that `save` wrote, with its tensors on the CPU; None without a file.

    Raises:
        CheckpointError: it is damaged or of another run.
        OSError: it cannot be read.
    """
    if not path.exists():
        return None
    return parse(path.read_bytes(), run)


def parse(file: bytes, run: str) -> State:
    """Return the checkpoint in the bytes of a file.

    Raises:
        CheckpointError: it is damaged or of another run.
    """
    digest, content = file[:32], file[32:]
    if hashlib.sha256(content).digest() != digest:
        raise CheckpointError("it is damaged")
    try:
        found = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        state: State = dict(found["state"])
        if (found["format"], found["run"]) != (FORMAT, run):
            raise CheckpointError("it belongs to another run")
    except CheckpointError:
        raise
    except Exception as error:  # torch documents no exception types
        raise CheckpointError(f"{type(error).__name__}") from None
    return state


def appended_files(directory: Path) -> list[Path]:
    """Return the existing files of a run that grow during training."""
    tables = (directory / name for name in (RESULTS, WARNINGS))
    return [*(path for path in tables if path.exists()), *event_files(directory)]


def sync_files(directory: Path) -> dict[str, int]:
    """Flush the growing files of a run to the disk, with their names; return their lengths in bytes
    by name.

    Raises:
        OSError: a file cannot be flushed.
    """
    lengths = {path.name: sync_file(path) for path in appended_files(directory)}
    sync_directory(directory)
    return lengths


def roll_back(directory: Path, lengths: dict[str, int]) -> None:
    """Cut the growing files of a run back to the lengths that `sync_files` returned.

    Files that began later are removed: with {} all of them.

    Raises:
        CheckpointError: a file is missing or shorter than that; nothing is changed then.
        OSError: a file cannot be changed.
    """
    files = {path.name: path for path in appended_files(directory)}
    for name, length in lengths.items():
        if name not in files:
            raise CheckpointError(f"{name} is missing")
        if files[name].stat().st_size < length:
            raise CheckpointError(f"{name} is shorter than it was")
    for name, path in files.items():
        if name in lengths:
            os.truncate(path, lengths[name])
        else:
            path.unlink()
