"""Putting many inputs to a target, and keeping the one that breaks it."""

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

from .mutations import mutated
from .targets import Target

SLOWEST = 20
"""Seconds after which an input counts as one that hangs."""
MEMORY = "/dev/shm"
"""A file system in memory, where there is one: most of the time would be spent on files."""


@dataclass(frozen=True)
class Tally:
    """What became of the inputs: how many were accepted, how many refused with a documented error,
    the seconds, and where the one is kept that ended it, if one did."""

    inputs: int
    accepted: int
    refused: int
    seconds: float
    broken: Path | None = None

    def line(self, name: str) -> str:
        """The result on one line."""
        text = (
            f"{name:12} {self.inputs:>9,} inputs {self.accepted:>9,} accepted "
            f"{self.refused:>9,} refused {self.seconds:>8.1f} s"
        )
        return f"{text}  BROKEN by {self.broken}" if self.broken else text


class HangError(BaseException):
    """An input took too long. It is no Exception, which what is tested may catch."""


def run(name: str, target: Target, inputs: int, seed: int, kept: Path, progress: bool) -> Tally:
    """Ask a target about so many inputs, the same for the same seed.

    Args:
        kept: the directory that an input is kept in if its answer is an error that is not
            documented; the traceback goes to stderr, and no other input is tried.
        progress: whether to say on stderr how far it is.
    """
    seeds, tokens = target.seeds(), target.tokens
    accepted = 0
    begin = time.perf_counter()
    room = MEMORY if os.access(MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="lossbench-fuzz-", dir=room) as scratch, _quiet():
        for number in range(inputs):
            data = mutated(seeds, tokens, Random(f"{seed} {name} {number}"))
            try:
                accepted += ask(target, data, Path(scratch))
            except (Exception, HangError):
                traceback.print_exc()
                path = keep(name, data, kept)
                spent = time.perf_counter() - begin
                return Tally(number + 1, accepted, number - accepted, spent, path)
            if progress and number % 500 == 0:
                print(f"\r{name} {number:,} of {inputs:,}", end="", file=sys.stderr, flush=True)
    if progress:
        print("\r\x1b[K", end="", file=sys.stderr)
    return Tally(inputs, accepted, inputs - accepted, time.perf_counter() - begin)


def ask(target: Target, data: bytes, scratch: Path) -> bool:
    """Whether a target accepts an input, False where it refuses it with a documented error."""
    with _bounded():
        try:
            target.read(data, scratch)
        except target.documented:
            return False
    return True


def keep(name: str, data: bytes, directory: Path) -> Path:
    """Write an input down, under a name that its content gives."""
    path = directory / f"fuzz-{name}-{hashlib.sha256(data).hexdigest()[:12]}.bin"
    path.write_bytes(data)
    return path


@contextlib.contextmanager
def _bounded() -> Iterator[None]:
    def late(_: int, __: FrameType | None) -> None:
        raise HangError(f"no answer in {SLOWEST} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(SLOWEST)
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
