"""What grows with the images: memory, decoding, a start, a training step. What grows with the runs
is in `growth_runs`.

Arrays that stand for large data sets are files with a hole where the pixels would be, all black:
they are mapped and paged as full ones are, and are made at once.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from numpy.typing import NDArray

from lossbench.benchmarks.data import open_images
from lossbench.benchmarks.data.batches import DeviceDataset, prepare
from lossbench.benchmarks.data.cache import open_cached
from lossbench.benchmarks.data.decode import decode_square
from lossbench.benchmarks.data.folder import path_source
from lossbench.benchmarks.data.listing_cache import SETTLED_SECONDS
from lossbench.benchmarks.data.sources import Load, SourceImage
from lossbench.benchmarks.records.experiment import cpu_count
from lossbench.benchmarks.training.result import RunConfig
from lossbench.benchmarks.training.train import Callback, Trainer, train

from .interleaved import Ratio, of_turns, ratio
from .row import Row
from .usual import folder, image_set

SIZE, FEW, MANY = 64, 1_000, 100_000
CACHE_BYTES = 4_000_000_000
WARM, STEPS = 5, 20
"""Steps of a training that are not timed, and those after them that are."""


class _EnoughError(Exception):
    """As many steps as were wanted have been taken."""


class Steps(Callback):
    """Ends a training after WARM + `steps` steps, doing `each` behind every one of them."""

    def __init__(self, steps: int, each: Callable[[], object] = lambda: None) -> None:
        self.steps, self.each, self.taken = steps, each, 0
        self.seconds = 0.0

    def on_step_end(self, _trainer: Trainer) -> None:
        self.taken += 1
        self.each()
        if self.taken == WARM:
            self.seconds = -time.perf_counter()
        if self.taken == WARM + self.steps:
            self.seconds += time.perf_counter()
            raise _EnoughError

    def train(self, material: DeviceDataset) -> float:
        """Seconds of the steps after the warm ones, as a run of a comparison takes them."""
        size = 64
        epochs = -(-(WARM + self.steps + 1) * size // len(material.train.labels))
        trial = RunConfig("cross-entropy", 0, 1e-3, epochs=epochs, batch_size=size, evaluations=1)
        try:
            train(trial, material, self, log_every=10)
        except _EnoughError:
            return self.seconds
        raise RuntimeError("the training ended before its steps were taken")


@contextmanager
def black(count: int, side: int) -> Iterator[NDArray[np.uint8]]:
    """Images that take no room on the disk, mapped as the cache maps its own."""
    with tempfile.TemporaryDirectory(prefix="lossbench-") as name:
        path = Path(name) / "images.npy"
        shape = (count, side, side, 3)
        np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
        yield np.load(path, mmap_mode="r")


def step_cost(count: int, seconds: float) -> Ratio:
    """Time of a training step on `count` images of 32 px, over that on FEW."""
    with black(FEW, 32) as few, black(count, 32) as many:
        device = torch.device("cpu")
        small, large = (prepare(image_set(each), device, validation=0.0) for each in (few, many))

        def of(material: DeviceDataset) -> float:
            return Steps(STEPS).train(material)

        return of_turns(lambda: of(large), lambda: of(small), seconds, 15)


def private_memory(_seconds: float) -> Ratio:
    """GB that a process has for itself at most while it trains from a cache of 4 GB: Python, torch,
    the model and all that is made of the images' names and labels. Pages of the cache, which the
    system may take back whenever it wants, are not among it (RssAnon in /proc/self/status; NaN
    where the system does not say)."""
    program = f"from {__name__} import most_private; print(most_private())"
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, stdout=subprocess.PIPE, text=True
    )
    return Ratio.of([float(done.stdout) / 1e9] * 2)


def most_private(size: int = CACHE_BYTES, steps: int = 30) -> float:
    """Bytes that this process has for itself at most while it trains from a cache of so many."""
    most = 0.0

    def look() -> None:
        nonlocal most
        most = max(most, _private())

    with black(size // (SIZE * SIZE * 3), SIZE) as images:
        Steps(steps, look).train(prepare(image_set(images), torch.device("cpu"), validation=0.001))
    return most


def _private() -> float:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return float("nan")
    return 1024 * next(float(line.split()[1]) for line in lines if line.startswith("RssAnon"))


@contextmanager
def empty_cache() -> Iterator[Path]:
    """While this is open, lossbench's cache is an empty directory."""
    with (
        tempfile.TemporaryDirectory(prefix="lossbench-") as name,
        patch.dict(os.environ, XDG_CACHE_HOME=name),
    ):
        yield Path(name)


def decoding(seconds: float) -> Ratio:
    """Pictures a second of a first start on a folder of photographs, checksums included, over
    those of one process a core that does nothing but read and decode files, one after the other."""
    workers = cpu_count()
    with (
        folder(1200, 500, "jpg") as place,
        ProcessPoolExecutor(workers, get_context("spawn")) as pool,
    ):
        files = sorted(place.rglob("*.jpg"))
        parts = [files[k::workers] for k in range(workers)]

        def ours() -> None:
            with empty_cache():
                open_images(str(place), SIZE, say=lambda _: None, progress=lambda *_: None)

        return ratio(lambda: list(pool.map(decode_all, parts)), ours, seconds, least=5)


def decode_all(files: Sequence[Path]) -> None:
    """The plain loop."""
    for file in files:
        decode_square(file.read_bytes(), SIZE)


def second_start(_seconds: float) -> Ratio:
    """Seconds until the decoded images of a folder of MANY files are there again.

    The files are links to few, and what stands in the cache for them is black: neither is looked at
    again.
    """
    with tempfile.TemporaryDirectory(prefix="lossbench-") as name, empty_cache():
        place = Path(name)
        write_links(place, MANY)
        time.sleep(SETTLED_SECONDS + 0.1)  # younger files would not be believed to be as they were
        open_cached(replace(path_source(place), load=_black), 32, say=lambda _: None)
        return Ratio.of([_opened(place) for _ in range(5)])


def _opened(place: Path) -> float:
    began = time.perf_counter()
    open_images(str(place), 32, say=lambda _: None)
    return time.perf_counter() - began


def write_links(place: Path, count: int) -> None:
    """So many files of two classes, in folders of a thousand."""
    originals = [place / f"{k}.jpg" for k in range(100)]
    for k, original in enumerate(originals):
        original.write_bytes(b"%d" % k)
    for k in range(count):
        within = place / f"{k // 1000:03d}" / ("cat", "dog")[k % 2]
        if k % 1000 < 2:
            within.mkdir(parents=True)
        os.link(originals[k % 100], within / f"{k}.jpg")


def _black(pictures: Sequence[SourceImage]) -> Iterator[tuple[int, Load]]:
    pixels = np.zeros((32, 32, 3), np.uint8)
    return ((at, lambda: pixels) for at in range(len(pictures)))


def rows() -> Iterator[Row]:
    """All rows of growth."""
    from . import growth_runs as runs

    row = partial(Row, "growth")
    yield row("private memory with a cache of 4 GB", private_memory, 1.0, unit=" GB")
    yield row("decoding, of the cores' own speed", decoding, 0.85, at_least=True)
    yield row(f"second start, {MANY:,} files", second_start, 1.0, unit=" s")
    for count in (10_000, 100_000, 1_000_000):
        name = f"a step on {count:,} images, of one on {FEW:,}"
        yield row(name, partial(step_cost, count), 1.1)
    yield row("beside the last of 200 runs, of the first", runs.cost_of_a_run, 1.1)
    yield row("report of 200 runs", runs.report_seconds, 10.0, unit=" s")
    yield row("report of 200 runs, its size", runs.report_size, 3.0, unit=" MB")
    yield row("TensorBoard on 200 runs, until all is there", runs.board_seconds, 5.0, unit=" s")
