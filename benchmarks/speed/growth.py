"""Growth with the number of images: memory, decoding, start-up, a training step.

`growth_runs` measures growth with the number of runs.
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
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from lossbench.benchmarks.config import RunConfig
from lossbench.benchmarks.data import open_images
from lossbench.benchmarks.data.batches import DeviceDataset, prepare
from lossbench.benchmarks.data.decode import decode_square
from lossbench.benchmarks.data.listing_cache import SETTLED_SECONDS
from lossbench.benchmarks.records.environment import cpu_count
from lossbench.benchmarks.training.train import Trainer

from . import growth_runs
from .baselines import image_folder, image_set
from .interleaved import Ratio, interleave, time_ratio
from .target import SpeedTarget

SIZE = 64
FEW_IMAGES, MANY_FILES = 1_000, 100_000
CACHE_BYTES = 4_000_000_000
WARMUP_STEPS, TIMED_STEPS = 5, 20
BATCH_SIZE = 64


def growth_targets() -> Iterator[SpeedTarget]:
    """Yield all targets of growth."""
    target = partial(SpeedTarget, "growth")
    yield target("private memory with a cache of 4 GB", private_memory, 1.0, unit=" GB")
    yield target("decoding, of the cores' own speed", decoding, 0.85, at_least=True)
    yield target(f"second start, {MANY_FILES:,} files", second_start, 1.0, unit=" s")
    for count in (10_000, 100_000, 1_000_000):
        name = f"a step on {count:,} images, of one on {FEW_IMAGES:,}"
        yield target(name, partial(step_cost, count), 1.1)
    yield target("the last of 200 runs, of the first", growth_runs.run_cost, 1.1)
    yield target("report of 200 runs", growth_runs.report_seconds, 10.0, unit=" s")
    yield target("report of 200 runs, its size", growth_runs.report_megabytes, 3.0, unit=" MB")
    board = "TensorBoard on 200 runs, until all is there"
    yield target(board, growth_runs.board_seconds, 5.0, unit=" s")


# --- training ------------------------------------------------------------------------------------


@contextmanager
def black_images(count: int, size: int) -> Iterator[NDArray[np.uint8]]:
    """Provide images of zeros, memory-mapped from a file as the cache maps its own."""
    with tempfile.TemporaryDirectory(prefix="lossbench-") as name:
        path = Path(name) / "images.npy"
        shape = (count, size, size, 3)
        np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
        yield np.load(path, mmap_mode="r")


def take_steps(
    dataset: DeviceDataset, steps: int, after_step: Callable[[], object] = lambda: None
) -> float:
    """Return the seconds of `steps` training steps that follow `WARMUP_STEPS` others.

    Args:
        dataset: images to train on.
        steps: number of timed steps.
        after_step: called after every step, and timed.
    """
    total = WARMUP_STEPS + steps
    epochs = -(-total * BATCH_SIZE // len(dataset.train.labels)) + 1
    config = RunConfig(
        "cross-entropy", 0, 1e-3, epochs=epochs, batch_size=BATCH_SIZE, evaluations=1
    )
    trainer = Trainer(config, dataset, log_every=10)
    start = 0.0
    for step in range(total):
        if step == WARMUP_STEPS:
            start = time.perf_counter()
        trainer.step()
        after_step()
    return time.perf_counter() - start


def step_cost(count: int, seconds: float) -> Ratio:
    """Measure a training step on `count` images of 32 px relative to one on `FEW_IMAGES`."""
    with black_images(FEW_IMAGES, 32) as few, black_images(count, 32) as many:
        device = torch.device("cpu")
        small, large = (prepare(image_set(x), device, validation=0.0) for x in (few, many))
        return interleave(
            lambda: take_steps(large, TIMED_STEPS),
            lambda: take_steps(small, TIMED_STEPS),
            seconds,
            15,
        )


# --- memory --------------------------------------------------------------------------------------


def private_memory(_seconds: float) -> Ratio:
    """Measure the peak of private memory, in GB, of a training from a cache of 4 GB.

    It holds Python, torch, the model, and what is made of the images' names and labels. Mapped
    pages of the cache are not private: the system may reclaim them. NaN where the system does not
    report it (RssAnon in /proc/self/status).
    """
    program = f"from {__name__} import peak_private_bytes; print(peak_private_bytes())"
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, stdout=subprocess.PIPE, text=True
    )
    return Ratio.single(float(done.stdout) / 1e9)


def peak_private_bytes(size: int = CACHE_BYTES, steps: int = 30) -> float:
    """Train in this process from `size` bytes of images; return its peak of private memory."""
    sizes: list[float] = []
    with black_images(size // (SIZE * SIZE * 3), SIZE) as images:
        dataset = prepare(image_set(images), torch.device("cpu"), validation=0.001)
        take_steps(dataset, steps, lambda: sizes.append(private_bytes()))
    return max(sizes)


def private_bytes() -> float:
    """Return the bytes of memory that only this process has; NaN where unknown."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return float("nan")
    return 1024 * next(float(line.split()[1]) for line in lines if line.startswith("RssAnon"))


# --- start-up ------------------------------------------------------------------------------------


@contextmanager
def empty_cache() -> Iterator[None]:
    """Make lossbench's cache an empty directory while this is open."""
    previous = os.environ.get("XDG_CACHE_HOME")
    with tempfile.TemporaryDirectory(prefix="lossbench-") as name:
        os.environ["XDG_CACHE_HOME"] = name
        try:
            yield
        finally:
            if previous is None:
                del os.environ["XDG_CACHE_HOME"]
            else:
                os.environ["XDG_CACHE_HOME"] = previous


def decoding(seconds: float) -> Ratio:
    """Measure images per second of a first start on photographs, checksums included.

    The reference is one process per core that only reads and decodes files in a plain loop.
    """
    workers = cpu_count()
    with (
        image_folder(1200, 500, "jpg") as directory,
        ProcessPoolExecutor(workers, get_context("spawn")) as pool,
    ):
        files = sorted(directory.rglob("*.jpg"))
        parts = [files[k::workers] for k in range(workers)]

        def first_start() -> None:
            with empty_cache():
                open_images(str(directory), SIZE, say=lambda _: None, progress=lambda *_: None)

        def plain_loop() -> None:
            list(pool.map(decode_files, parts))

        return time_ratio(plain_loop, first_start, seconds, min_pairs=5)


def decode_files(files: Sequence[Path]) -> None:
    """Read and decode files one after the other."""
    for file in files:
        decode_square(file.read_bytes(), SIZE)


def second_start(_seconds: float) -> Ratio:
    """Measure the seconds until the decoded images of `MANY_FILES` files are opened again."""
    with image_folder(100, 32, "jpg") as originals, empty_cache():
        directory = originals / "all"
        link_files(sorted(originals.rglob("*.jpg")), directory, MANY_FILES)
        time.sleep(SETTLED_SECONDS + 0.1)  # younger listings are not trusted
        open_directory(directory)
        return Ratio.of([open_directory(directory) for _ in range(5)])


def open_directory(directory: Path) -> float:
    """Return the seconds to open a directory of images, decoded into the cache if need be."""
    start = time.perf_counter()
    open_images(str(directory), 32, say=lambda _: None)
    return time.perf_counter() - start


def link_files(files: Sequence[Path], directory: Path, count: int) -> None:
    """Create `count` hard links to files in class folders, a thousand in a few directories."""
    for number in range(count):
        file = files[number % len(files)]
        # The classes share no folder: one that they shared might be a test set.
        name = file.parent.name
        folder = directory / name / f"{name}-{number // 1000:03d}"
        folder.mkdir(parents=True, exist_ok=True)
        os.link(file, folder / f"{number}{file.suffix}")
