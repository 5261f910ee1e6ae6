from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from lossbench.benchmarks.data import ImageSet, Split
from lossbench.benchmarks.errors import UserError

from .trained_runs import config, trained  # noqa: F401
from .written_experiments import experiment  # noqa: F401


def drawn_split(count: int, seed: int, classes: int = 2) -> Split:
    """Noise that is brighter for higher classes, so that a network learns it within a few steps."""
    rng = np.random.default_rng(seed)
    labels = (np.arange(count) % classes).astype(np.uint8)
    noise = rng.integers(0, 200, (count, 32, 32, 3))
    brighter = 55 * labels[:, None, None, None] // (classes - 1)
    return Split((noise + brighter).astype(np.uint8), labels, tuple(f"{i}" for i in range(count)))


@pytest.fixture(scope="session", autouse=True)
def single_thread() -> Iterator[None]:
    """Use one thread: with two, small batches wait for each other on a busy machine. So do runs of
    an experiment, however many cores there are."""
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lossbench.benchmarks.training.plan.cpu_count", lambda: 1)
        yield


@pytest.fixture(scope="session")
def image_set() -> Callable[..., ImageSet]:
    """Makes images of noise, told apart by brightness, as many of each class as of any other."""

    def make(
        train: int = 96,
        test: int = 40,
        validation: int = 0,
        classes: tuple[str, ...] = ("dog", "cat"),
    ) -> ImageSet:
        return ImageSet(
            name="noise",
            description="noise, brighter for cats",
            synthetic=True,
            fingerprint="f" * 64,
            image_size=32,
            train=drawn_split(train, 0, len(classes)),
            validation=drawn_split(validation, 2, len(classes)) if validation else None,
            test=drawn_split(test, 1, len(classes)),
            skipped=(),
            classes=classes,
        )

    return make


@pytest.fixture
def images(image_set: Callable[..., ImageSet]) -> ImageSet:
    """96 training and 40 test images of dogs and cats."""
    return image_set()


@pytest.fixture(scope="module")
def module_images(image_set: Callable[..., ImageSet]) -> ImageSet:
    """The same images, for fixtures of a module."""
    return image_set()


@pytest.fixture
def refusal():
    """Checks that a call is refused as a user's mistake: one line, with these words in it."""

    def check(call, *words: str) -> str:
        with pytest.raises(UserError) as caught:
            call()
        text = str(caught.value)
        assert "\n" not in text
        assert all(word in text for word in words), text
        return text

    return check


@pytest.fixture
def pictures(tmp_path: Path, monkeypatch, cats_and_dogs) -> Path:
    """A folder of 30 cats and 30 dogs of noise, and a cache and a working directory of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("LOSSBENCH_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    return cats_and_dogs(tmp_path / "pets")
