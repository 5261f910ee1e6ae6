"""Fixtures of all tests.

Tests use the closed forms whether kernels have been built or not; the tests of the kernels switch
them on.
"""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

os.environ.setdefault("LOSSES_KERNELS", "0")


@pytest.fixture(scope="session")
def cats_and_dogs() -> Callable[[Path, int], Path]:
    """Return a function that fills a directory with cat/ and dog/: noise, brighter for cats."""

    def make(directory: Path, each: int = 30) -> Path:
        rng = np.random.default_rng(0)
        for name, brighter in (("cat", 55), ("dog", 0)):
            (directory / name).mkdir(parents=True)
            for number in range(each):
                noise = rng.integers(0, 200, (32, 32, 3)) + brighter
                picture = Image.fromarray(noise.astype(np.uint8))
                picture.save(directory / name / f"{number}.png")
        return directory

    return make


@pytest.fixture
def one_thread():
    """Limit torch to one thread, because sums of two end in other digits."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
