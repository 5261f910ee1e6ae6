"""Time losses of two revisions of lossbench in one process, as another process asks for it.

    python -P revision_worker.py DIRECTORY DIRECTORY

In one process both share what makes two processes with the same code differ by some percent: where
libraries and tensors lie in memory, and what the system does meanwhile. The folder `losses` of each
directory is imported under a name of its own. A line of input is a JSON object and names a loss, a
file with its input and target, and how long to time it. The answer is a line as well.
"""

from __future__ import annotations

import gc
import importlib.util
import json
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

CHUNK_SECONDS = 2e-4
"""Shortest time that is measured at once: so short that other programs seldom interrupt it."""

Work = Callable[[], object]


def main(*directories: str) -> None:
    """Answer until the input ends."""
    torch.set_num_threads(1)
    names = ("losses_here", "losses_there")
    revisions = [imported(*each) for each in zip(names, directories, strict=True)]
    for revision in revisions:
        revision.kernels.ensure(lambda line: print(line, file=sys.stderr))
    gc.disable()
    for line in sys.stdin:
        asked = json.loads(line)
        answer: dict[str, Any] = {}
        try:
            input, *target = torch.load(asked["file"], weights_only=True)
            input.requires_grad_()
            here, there = (step(each.get(asked["loss"]), input, target) for each in revisions)
            answer["here"], answer["there"] = turns(
                here, there, asked["seconds"], asked["least"], asked.get("slowdown", 0.0)
            )
        except Exception as error:  # told to the other process, which knows what to do
            answer["error"] = f"{type(error).__name__}: {error}".splitlines()[0]
        print(json.dumps(answer), flush=True)
        gc.collect()


def imported(name: str, directory: str) -> Any:
    """Return the folder `losses` of a revision as a package of some name."""
    spec = importlib.util.spec_from_file_location(name, Path(directory, "losses", "__init__.py"))
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def step(loss: Callable[..., torch.Tensor], input: torch.Tensor, target: list[Any]) -> Work:
    """Return the forward and backward pass of a loss."""
    return lambda: torch.autograd.grad(loss(input, *target), input)


def turns(
    here: Work, there: Work, seconds: float, least: int, slowdown: float = 0.0
) -> tuple[list[float], list[float]]:
    """Return CPU seconds of a call, of both losses, two for each turn.

    A turn is here, there, there, here or the other way round, at random, so that neither a trend
    nor the place in the turn counts.

    Args:
        here: a call of the one loss.
        there: of the other.
        seconds: about how long to measure, on the clock.
        least: turns to take even if that takes longer.
        slowdown: share of its time that `here` wastes, to test what is found.
    """
    calls = calls_per_chunk(here, there)
    found: tuple[list[float], list[float]] = ([], [])
    deadline = time.perf_counter() + seconds
    while len(found[0]) < 2 * least or time.perf_counter() < deadline:
        outer = random.randrange(2)
        for side in (outer, 1 - outer, 1 - outer, outer):
            taken = chunk(there, calls) if side else chunk(here, calls, slowdown)
            found[side].append(taken)
    return found


def chunk(work: Work, calls: int, slowdown: float = 0.0) -> float:
    """Return the CPU seconds of a call, measured over `calls` of them."""
    begin = time.process_time()
    for _ in range(calls):
        work()
    if slowdown:
        end = begin + (1 + slowdown) * (time.process_time() - begin)
        while time.process_time() < end:
            pass
    return (time.process_time() - begin) / calls


def calls_per_chunk(*works: Work) -> int:
    """Return how many calls of each work last `CHUNK_SECONDS`, after a few that warm up."""
    for work in works:
        chunk(work, calls=3)
    calls = 1
    while min(chunk(work, calls) for work in works) * calls < CHUNK_SECONDS:
        calls *= 2
    return calls


if __name__ == "__main__":
    main(*sys.argv[1:])
