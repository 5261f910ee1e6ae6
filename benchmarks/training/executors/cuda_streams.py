"""Several trainings at a time in one process, which keep one CUDA device busy together.

A training of a small network leaves most of a GPU idle: each of its kernels is over soon, and the
next has to wait for it. Here every training has its stream (of the 32 that torch has; more share
them) and takes a step whenever it is its turn; the device does what the streams hold side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from itertools import count, islice
from typing import Any, NamedTuple, TypeAlias, TypeVar

import torch

T = TypeVar("T")
K = TypeVar("K")

Task: TypeAlias = Generator[None, None, T]
"""A training that stops wherever the device has been given work to do; its value is what came of
it."""

PAUSE = 8
"""Turns after which what a training needs of the device's memory can be seen."""


class _Going(NamedTuple):
    """A task and where its work goes."""

    task: Generator[None, None, Any]
    stream: Callable[[], AbstractContextManager[Any]]


def to_the_end(task: Task[T], device: torch.device) -> T:
    """What comes of a task, by itself."""
    ((_, ended),) = in_turns([(None, task)], device, most=1)
    return ended.result()


def in_turns(
    tasks: Iterable[tuple[K, Task[T]]], device: torch.device, most: int | None
) -> Iterator[tuple[K, Future[T]]]:
    """Carry out the tasks; each one's name, as soon as it has ended, with its value or its error.

    Args:
        tasks: with their names; one is asked for when there is room for it.
        device: where they compute.
        most: tasks at a time; None: on CUDA as many as the memory holds, elsewhere one.
    """
    coming, going = iter(tasks), dict[K, _Going]()
    most = most or (None if device.type == "cuda" else 1)
    try:
        for number in count():
            for name, task in islice(coming, _begin_now(len(going), number, most, device)):
                going[name] = _Going(task, _stream(device))
            if not going:
                return
            for name, (task, stream) in list(going.items()):
                ended = _turn(task, stream)
                if ended is not None:
                    del going[name]
                    yield name, ended
    finally:
        for task, stream in going.values():
            with stream():
                task.close()


def _turn(task: Task[T], stream: Callable[[], AbstractContextManager[Any]]) -> Future[T] | None:
    """Let a task go on; how it ended, if it has."""
    ended: Future[T] = Future()
    with stream():
        try:
            next(task)
        except StopIteration as end:
            ended.set_result(end.value)
        except Exception as error:
            ended.set_exception(error)
        else:
            return None
    return ended


def _stream(device: torch.device) -> Callable[[], AbstractContextManager[Any]]:
    """A stream of the device for one task, to be entered for each of its turns."""
    if device.type != "cuda":
        return nullcontext
    stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    # What is on the device already was brought there on another stream.
    stream.wait_stream(torch.cuda.current_stream(device))
    return lambda: torch.cuda.stream(stream)


def _begin_now(going: int, turn: int, most: int | None, device: torch.device) -> int:
    """How many tasks begin in this turn: from pause to pause as many as there are, as far as each
    of the new ones finds twice the memory that one of the others has taken."""
    if going == 0:
        return 1
    if turn % PAUSE or going == most:
        return 0
    wanted = going if most is None else min(going, most - going)
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        each = torch.cuda.memory_reserved(device) / going
        wanted = min(wanted, int(free / (2 * each)))
    return wanted
