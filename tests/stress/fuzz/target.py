"""What a target is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Target:
    """Something that reads what comes from outside.

    Attributes:
        seeds: makes valid inputs, which are mutated.
        read: reads an input; it may write into the directory that it is given, which is the same
            for all inputs of a run. A result that is wrong in itself is an AssertionError.
        documented: the errors that it may raise.
        tokens: bytes that mean something to it.
    """

    seeds: Callable[[], Sequence[bytes]]
    read: Callable[[bytes, Path], object]
    documented: tuple[type[BaseException], ...]
    tokens: tuple[bytes, ...] = ()
