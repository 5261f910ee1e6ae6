"""The directory of an experiment, and how and when it was begun."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import torch

from lossbench.benchmarks.errors import UserError

from .environment import describe_environment
from .files import make_directory, sync_directory

SYNTHETIC_MARK = "SYNTHETIC"


def make_runs_directory(directory: Path) -> None:
    """Make a directory for runs unless it exists.

    Raises UserError before hours of work are lost.
    """
    try:
        make_directory(directory)
    except FileExistsError:
        raise UserError(f"--runs: {directory} is no directory; choose another") from None
    except OSError as error:
        raise UserError(
            f"cannot write to {directory}: {error.strerror}; choose another --runs"
        ) from None


def create(directory: Path) -> None:
    """Make the directory of an experiment. Raises UserError if it exists or cannot be made."""
    make_runs_directory(directory.parent)
    try:
        directory.mkdir()
        sync_directory(directory.parent)
    except FileExistsError:
        raise UserError(
            f"{directory} already exists: choose another --name or --runs, or remove it"
        ) from None
    except OSError as error:
        raise UserError(
            f"cannot make {directory}: {error.strerror}; choose another --name or --runs"
        ) from None


def facts(
    command: str, now: datetime, device: torch.device, kernels: bool, threads: int = 1
) -> dict[str, Any]:
    """Return command, date, versions, hardware and git commit as JSON values.

    Args:
        command: the command line.
        now: the date.
        device: where networks are trained.
        kernels: whether losses are computed by their kernels, where there are any.
        threads: of each network on the CPU.
    """
    about = {"command": command, "date": now.isoformat(timespec="seconds")}
    return about | describe_environment(device, kernels, threads)
