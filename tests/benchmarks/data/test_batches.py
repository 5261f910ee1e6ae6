import numpy as np
import pytest
import torch

from benchmarks.data import Split
from benchmarks.data.batches import (
    Normalisation,
    TrainingBatches,
    evaluation_batches,
    measure,
    on_device,
    reflected,
)

CPU = torch.device("cpu")
PLAIN = Normalisation(torch.zeros(3), torch.ones(3))


@pytest.fixture
def split() -> Split:
    """50 images in which every pixel is different and tells which image it is of."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (50, 16, 16, 3), dtype=np.uint8)
    images[..., 2] = np.arange(50)[:, None, None]
    labels = (np.arange(50) % 2).astype(np.uint8)
    images.flags.writeable = False
    return Split(images, labels, tuple(str(i) for i in range(50)))


def batches_of(split: Split, **settings: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    return list(
        TrainingBatches(
            on_device(split, CPU), PLAIN, **({"size": 8, "epochs": 1, "seed": 0} | settings)
        )
    )


def test_normalised_pixels_have_mean_0_and_spread_1(split: Split) -> None:
    pixels = measure(split, CPU)(torch.from_numpy(split.images.copy()))
    assert pixels.shape == (50, 3, 16, 16)
    torch.testing.assert_close(pixels.mean((0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(pixels.std((0, 2, 3), correction=0), torch.ones(3))


def test_a_channel_without_spread_is_not_divided_by_zero() -> None:
    grey = Split(np.full((4, 8, 8, 3), 7, np.uint8), np.zeros(4, np.uint8), ("",) * 4)
    assert (measure(grey, CPU)(torch.from_numpy(grey.images)) == 0).all()


def test_an_epoch_has_every_image_at_most_once_with_its_label(split: Split) -> None:
    for epoch in range(2):
        part = batches_of(split, epochs=2)[epoch * 6 : (epoch + 1) * 6]
        which = torch.cat([pixels[:, 2, 0, 0] for pixels, _ in part]).long()
        labels = torch.cat([labels for _, labels in part])
        assert len(which.unique()) == len(which) == 48
        assert torch.equal(labels, which % 2)


def test_batches_depend_on_the_seed_and_on_nothing_else(split: Split) -> None:
    first = batches_of(split)
    torch.manual_seed(123)
    again, other = batches_of(split), batches_of(split, seed=1)
    assert all(
        torch.equal(a, b)
        for x, y in zip(first, again, strict=True)
        for a, b in zip(x, y, strict=True)
    )
    assert not torch.equal(first[0][0], other[0][0])


def test_iterating_twice_gives_the_same(split: Split) -> None:
    batches = TrainingBatches(on_device(split, CPU), PLAIN, size=8, epochs=1, seed=0)
    assert all(torch.equal(a, b) for (a, _), (b, _) in zip(batches, batches, strict=True))
    assert len(list(batches)) == len(batches) == 6


def test_pixels_are_those_of_a_shifted_and_perhaps_mirrored_image(split: Split) -> None:
    padded = np.pad(split.images, ((0, 0), (2, 2), (2, 2), (0, 0)), mode="reflect")
    mirrored, shifts = [], set()
    for pixels, _ in batches_of(split):
        for image in pixels.permute(0, 2, 3, 1).numpy():
            candidates = {
                (dy, dx, flip): padded[int(image[0, 0, 2]), dy : dy + 16, dx : dx + 16][:, ::flip]
                for dy in range(5)
                for dx in range(5)
                for flip in (1, -1)
            }
            found = [key for key, crop in candidates.items() if np.array_equal(crop, image)]
            assert len(found) == 1
            mirrored.append(found[0][2] == -1)
            shifts.add(found[0][:2])
    assert 0.25 < np.mean(mirrored) < 0.75
    assert len(shifts) > 10


def test_reflected_is_numpys_reflection() -> None:
    expected = np.pad(np.arange(8), 3, mode="reflect")
    assert reflected(torch.arange(-3, 11), 8).tolist() == expected.tolist()


def test_fewer_images_than_a_batch_are_one_batch(split: Split) -> None:
    small = Split(split.images[:5], split.labels[:5], split.names[:5])
    (only,) = batches_of(small)
    assert len(only[1]) == 5


def test_evaluation_has_every_image_once_in_order_and_unchanged(split: Split) -> None:
    parts = list(evaluation_batches(on_device(split, CPU), PLAIN, size=16))
    assert [len(labels) for _, labels in parts] == [16, 16, 16, 2]
    pixels = torch.cat([p for p, _ in parts]).permute(0, 2, 3, 1)
    assert np.array_equal(pixels.numpy(), split.images)
    assert torch.cat([labels for _, labels in parts]).tolist() == split.labels.tolist()


def test_the_images_of_the_cache_are_not_copied_on_the_cpu(split: Split) -> None:
    images, _ = on_device(split, CPU)
    assert images.data_ptr() == split.images.ctypes.data


def test_batches_are_channels_last(split: Split) -> None:
    (pixels, _), *_ = batches_of(split)
    assert pixels.is_contiguous(memory_format=torch.channels_last)
