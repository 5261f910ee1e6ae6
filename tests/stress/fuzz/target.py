"""Targets of fuzzing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Target:
    """A reader of input from outside.

    Attributes:
        seeds: makes valid inputs, which are mutated.
        read: reads an input. It may write into the directory it is given, which is the same for all
            inputs. It raises AssertionError if its result is wrong.
        documented: errors that it may raise.
        tokens: bytes that mean something to it.
    """

    seeds: Callable[[], Sequence[bytes]]
    read: Callable[[bytes, Path], object]
    documented: tuple[type[BaseException], ...]
    tokens: tuple[bytes, ...] = ()
