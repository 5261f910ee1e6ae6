import numpy as np
import pytest

from benchmarks.data import ImageSet, Split
from benchmarks.errors import UserError


def drawn_split(count: int, seed: int) -> Split:
    """Noise that is brighter for cats, so that a network learns it within a few steps."""
    rng = np.random.default_rng(seed)
    labels = (np.arange(count) % 2).astype(np.uint8)
    noise = rng.integers(0, 200, (count, 32, 32, 3))
    return Split(
        (noise + 55 * labels[:, None, None, None]).astype(np.uint8),
        labels,
        tuple(f"{i}" for i in range(count)),
    )


@pytest.fixture
def images() -> ImageSet:
    """96 training and 40 test images, told apart by brightness."""
    return ImageSet(
        name="noise",
        description="noise, brighter for cats",
        synthetic=True,
        fingerprint="f" * 64,
        image_size=32,
        train=drawn_split(96, 0),
        test=drawn_split(40, 1),
        skipped=(),
    )


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
