"""What is to survive a disk that fails, and power that goes away."""

from __future__ import annotations

import os
import re
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lossbench import losses
from lossbench.benchmarks import cli
from lossbench.benchmarks.console import Reporter
from lossbench.benchmarks.data import cache, download, open_images
from lossbench.benchmarks.errors import UserError, one_line
from lossbench.benchmarks.evidence.runner import claim_of, examine
from lossbench.benchmarks.records.claim import read_claim
from lossbench.benchmarks.records.files import read_arrays
from lossbench.benchmarks.training.executors import pool
from lossbench.losses import kernels
from lossbench.losses.kernels import build

from ..benchmarks.conftest import drawn_split
from ..benchmarks.data.conftest import Server, tar
from ..benchmarks.evidence.small import small
from ..benchmarks.rows import assert_same_runs

NETWORK = (
    "--losses cross-entropy zero-one --seeds 2 --epochs 1 --width 4 --batch-size 16 --device cpu"
)
EXPERIMENT = (
    f"{NETWORK} --learning-rate 0.05 --evaluations 1 --log-every 1 --checkpoint-every 0 "
    "--start normal --name small"
)
SEARCH = f"{NETWORK} --rates 0.01 0.1 --validation 0.25"

COMPILER = """#!/bin/sh
[ "$1" = --version ] && echo "stand-in 1.0" && exit
while [ "$1" != -o ]; do shift; done
head -c 20000 "$0" > "$2"
"""
"""A compiler that writes itself, whatever it is to compile."""


@dataclass(frozen=True)
class Scenario:
    """Work that is to survive failures.

    Attributes:
        work: begins or goes on in a place, a directory with the image cache; returns the exit code.
        check: raises AssertionError if the results in two places are others.
        every: whether every operation is to fail, not only some of each place in the code.
    """

    work: Callable[[Path], int]
    check: Callable[[Path, Path], None]
    every: bool = False


def prepare(place: Path, log: Path) -> None:
    """Make this process write its caches to a place, and what it says to a log; one thread."""
    torch.set_num_threads(1)
    os.environ["XDG_CACHE_HOME"] = str(place / "cache")
    # Where the operations are counted: in this process.
    pool.Pool._in_processes = pool.Pool._in_streams  # type: ignore[method-assign]
    for stream in (1, 2):
        os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream)


def make_images(directory: Path) -> None:
    """Write 30 cats and 30 dogs of noise, and a damaged one, unless they are there."""
    if not directory.exists():
        split = drawn_split(60, 0)
        for number, (pixels, label) in enumerate(zip(split.images, split.labels, strict=True)):
            folder = directory / ("dog", "cat")[label]
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(folder / f"{number}.png")
        (directory / "cat" / "damaged.png").write_bytes(b"no picture")


def pictures(place: Path) -> str:
    """Return the path of the images of a place."""
    return str(place.parent / "pets")


def is_begun(runs: Path) -> bool:
    """Return whether there is an experiment to go on with."""
    return (runs / "small" / "experiment.json").exists()


def _compare(runs: Path) -> list[list[str]]:
    if is_begun(runs):
        return [["compare", "--resume", str(runs / "small"), "--workers", "1"]]
    return [["compare", *EXPERIMENT.split(), "--workers", "1"]]


def _plan(runs: Path) -> list[list[str]]:
    directory = str(runs / "small")
    plan = [] if is_begun(runs) else [["plan", *EXPERIMENT.split()]]
    trained = [["run-one", directory, str(number)] for number in range(4)]
    return [*plan, *trained, ["collect", directory]]


def _tune(_: Path) -> list[list[str]]:
    return [["tune", *SEARCH.split()]]


def commands(of: Callable[[Path], list[list[str]]]) -> Callable[[Path], int]:
    """Return the work of command lines of `lossbench`, one after the other until one fails."""

    def work(place: Path) -> int:
        for words in of(place / "runs"):
            begins = words[0] in ("compare", "plan", "tune") and "--resume" not in words
            more = ["--runs", str(place / "runs"), "--data", pictures(place)]
            if code := cli.main([*words, *(more if begins else [])]):
                return code
        return 0

    return work


def told(work: Callable[[Path], object]) -> Callable[[Path], int]:
    """Return work whose errors are told as `lossbench` tells them."""

    def with_code(place: Path) -> int:
        try:
            work(place)
        except (UserError, download.UnavailableError, kernels.NoKernelsError, OSError) as error:
            print(f"lossbench: {one_line(error)}", file=sys.stderr)
            return 2
        return 0

    return with_code


def _examine(place: Path) -> None:
    pool.open_images = lambda _, *rest, **more: open_images(pictures(place), *rest, **more)
    claim = small(claim_of("zero-one"), pytest.MonkeyPatch(), images=32)
    device, said = torch.device("cpu"), Reporter()
    examine([claim], place / "runs", device, 1, "evidence", said, kernels=False)


def _decode(place: Path) -> None:
    cache.ALWAYS_HASHED_BYTES = 0  # as if there were gigabytes of images
    images = open_images(pictures(place), 32, say=print)
    del images
    # Not in what a failure left of the directory that was damaged before.
    (damaged,) = (place / "cache").rglob("images/[!.]*/labels.npy")
    damaged.write_bytes(b"")
    open_images(pictures(place), 32, say=print)


def _download(_: Path) -> None:
    download.SCHEMES = ("http",)
    server, random = Server(), np.random.default_rng(0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    files = {f"data/{number}.txt": random.bytes(100_000) for number in range(2)}
    archives = [server.publish(f"{name}.tar", tar({name: files[name]}, "w")) for name in files]
    members = re.compile(r"data/(?P<path>\w+\.txt)")
    found = download.download("two files", "folder", archives, members, print) / "folder"
    held = {f"data/{path.name}": path.read_bytes() for path in found.iterdir()}
    assert held == files, "not what was published"


def _build(place: Path) -> None:
    compiler = place.parent / "compiler"
    if not compiler.exists():
        compiler.write_text(COMPILER)
        compiler.chmod(0o755)
    os.environ["CXX"] = str(compiler)
    build.build()
    with kernels.collected() as requests:
        losses.entry("bce-with-logits").build()(torch.zeros(4), torch.zeros(4))
    for request in requests:
        library = build.compile_kernel(request, build.source(request))
        assert library.read_bytes() == COMPILER.encode(), "not what was compiled"


def _same_experiments(one: Path, other: Path) -> None:
    assert_same_runs(one / "runs" / "small", other / "runs" / "small")


def _same_searches(one: Path, other: Path) -> None:
    _same_bytes("runs/tuning/*/runs.csv")(one, other)


def _same_claims(one: Path, other: Path) -> None:
    names = sorted(path.name for path in (one / "runs" / "trials").glob("*.npz"))
    assert names
    for name in names:
        first, second = (read_arrays(each / "runs" / "trials" / name) for each in (one, other))
        assert first.pop("about").item()[:200] == second.pop("about").item()[:200]
        assert all(np.array_equal(first[key], second[key]) for key in first)
    first, second = (read_claim(each / "runs" / "evidence" / "zero-one") for each in (one, other))
    assert (first["verdict"], first["measures"]) == (second["verdict"], second["measures"])


def _same_bytes(*patterns: str) -> Callable[[Path, Path], None]:
    def check(one: Path, other: Path) -> None:
        for pattern in patterns:
            first, second = (sorted(each.glob(pattern)) for each in (one, other))
            assert first
            assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]

    return check


SCENARIOS = {
    "compare": Scenario(commands(_compare), _same_experiments, every=True),
    "plan": Scenario(commands(_plan), _same_experiments),
    "tune": Scenario(commands(_tune), _same_searches),
    "evidence": Scenario(told(_examine), _same_claims),
    "cache": Scenario(
        told(_decode),
        _same_bytes(*(f"cache/lossbench/images/*/{name}" for name in cache.FILES)),
    ),
    "download": Scenario(told(_download), _same_bytes("cache/lossbench/downloads/folder/*")),
    # Not the scratch of a killed compilation, which one of the next days removes.
    "kernels": Scenario(
        told(_build),
        _same_bytes(*(f"cache/lossbench/kernels/*/*/{name}.so" for name in ("*", "losses/*"))),
    ),
}
