"""The tests run on the closed forms, whether kernels happen to have been built here or not; those
of the kernels (losses/test_kernels.py, and the losses' tests under another name) switch them on."""

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
    """Fills a directory with cat/ and dog/, so many pictures of noise each, those of cats brighter;
    unlike images in memory, other processes can open them too."""

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
    """Sums of two threads end in other digits than those of one; and small batches on a busy
    machine wait for a second thread longer than it helps."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
