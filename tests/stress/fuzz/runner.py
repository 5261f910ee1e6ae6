"""Try many inputs on a target, and keep the one that breaks it."""

import contextlib
import hashlib
import io
import os
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from types import FrameType

from .mutations import mutate
from .targets import Target

TIMEOUT = 20
"""Seconds after which an input counts as one that hangs."""
MEMORY_DISK = "/dev/shm"
"""File system in memory; without it most of the time is spent on files."""


@dataclass(frozen=True)
class Tally:
    """Counts of inputs, accepted or refused with a documented error.

    Attributes:
        seconds: time taken.
        broken: file of the input that raised another error, or None.
    """

    inputs: int
    accepted: int
    refused: int
    seconds: float
    broken: Path | None = None

    def line(self, name: str) -> str:
        """Describe the result on one line."""
        text = (
            f"{name:12} {self.inputs:>9,} inputs {self.accepted:>9,} accepted "
            f"{self.refused:>9,} refused {self.seconds:>8.1f} s"
        )
        return f"{text}  BROKEN by {self.broken}" if self.broken else text


class HangError(BaseException):
    """Raised when an input takes too long. No Exception, because a target may catch those."""


def run(name: str, target: Target, inputs: int, seed: int, kept: Path, progress: bool) -> Tally:
    """Try inputs on a target, the same ones for the same seed.

    Args:
        name: name of the target.
        target: the target.
        inputs: number of inputs.
        seed: seed of the mutations.
        kept: directory for an input that raises an undocumented error. Its traceback is printed to
            stderr, and no other input is tried.
        progress: print the progress to stderr.
    """
    seeds, tokens = target.seeds(), target.tokens
    accepted = 0
    start = time.perf_counter()
    disk = MEMORY_DISK if os.access(MEMORY_DISK, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="lossbench-fuzz-", dir=disk) as scratch, _quiet():
        for number in range(inputs):
            data = mutate(seeds, tokens, Random(f"{seed} {name} {number}"))
            try:
                accepted += accepts(target, data, Path(scratch))
            except (Exception, HangError):
                traceback.print_exc()
                path = save_input(name, data, kept)
                seconds = time.perf_counter() - start
                return Tally(number + 1, accepted, number - accepted, seconds, path)
            if progress and number % 500 == 0:
                print(f"\r{name} {number:,} of {inputs:,}", end="", file=sys.stderr, flush=True)
    if progress:
        print("\r\x1b[K", end="", file=sys.stderr)
    return Tally(inputs, accepted, inputs - accepted, time.perf_counter() - start)


def accepts(target: Target, data: bytes, scratch: Path) -> bool:
    """Return whether a target accepts an input; False if it raises a documented error."""
    with _time_limit():
        try:
            target.read(data, scratch)
        except target.documented:
            return False
    return True


def save_input(name: str, data: bytes, directory: Path) -> Path:
    """Write an input to a file named by its content."""
    path = directory / f"fuzz-{name}-{hashlib.sha256(data).hexdigest()[:12]}.bin"
    path.write_bytes(data)
    return path


@contextlib.contextmanager
def _time_limit() -> Iterator[None]:
    def stop(_: int, __: FrameType | None) -> None:
        raise HangError(f"no result in {TIMEOUT} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(TIMEOUT)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
