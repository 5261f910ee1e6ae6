"""Properties of every augmentation, and the exact pixels of a shift."""

import numpy as np
import pytest
import torch

from lossbench.benchmarks.data.augment import AUGMENTATIONS, shift_table

COUNT, SIDE = 12, 32


@pytest.fixture
def images():
    """Make 40 images with different pixels; blue is the number of the image."""
    pixels = np.random.default_rng(0).integers(0, 256, (40, SIDE, SIDE, 3), dtype=np.uint8)
    pixels[..., 2] = np.arange(40)[:, None, None]
    return torch.from_numpy(pixels)


@pytest.fixture(params=["none", "photographs", "shift"])
def augmentation(request):
    return AUGMENTATIONS[request.param]


def draw(augmentation, seed=0, side=SIDE):
    return augmentation.draw(COUNT, side, torch.Generator().manual_seed(seed))


def test_the_names():
    assert sorted(AUGMENTATIONS) == ["none", "photographs", "shift"]


def test_few_numbers_are_drawn_per_image(augmentation):
    """An epoch draws them for all images at once."""
    for side in (SIDE, 224):
        drawn = draw(augmentation, side=side)
        assert all(each.shape[0] == COUNT and each.device.type == "cpu" for each in drawn)
        assert sum(each.numel() * each.element_size() for each in drawn) <= 32 * COUNT


def test_draws_depend_on_the_generator_alone(augmentation):
    first = draw(augmentation)
    torch.manual_seed(5)
    assert all(torch.equal(a, b) for a, b in zip(first, draw(augmentation), strict=True))
    others = draw(augmentation, seed=1)
    assert not any(torch.equal(a, b) for a, b in zip(first, others, strict=True))


def test_a_batch_is_square_images_with_gray_levels(augmentation, images):
    before = images.clone()
    batch = augmentation.batch(images, torch.arange(COUNT), *draw(augmentation))
    assert batch.dtype in (torch.uint8, torch.float32)
    assert batch.shape == (COUNT, batch.shape[1], batch.shape[1], 3)
    assert 0 <= batch.min() <= batch.max() <= 255
    assert torch.equal(images, before)


def test_an_image_does_not_depend_on_others_in_its_batch(augmentation, images):
    rows, drawn = torch.randperm(40)[:COUNT], draw(augmentation)
    batch = augmentation.batch(images, rows, *drawn)
    for part in (slice(0, 5), slice(5, 6), slice(6, COUNT)):
        alone = augmentation.batch(images, rows[part], *(each[part] for each in drawn))
        torch.testing.assert_close(alone, batch[part])


def test_all_shifts_and_both_flips_are_drawn():
    shift = AUGMENTATIONS["shift"]
    down, across = shift.draw(5000, SIDE, torch.Generator().manual_seed(0))
    assert down.unique().tolist() == list(range(9))
    assert across.unique().tolist() == list(range(18))
    assert 0.45 < (across >= 9).float().mean() < 0.55
    assert shift_table(SIDE, torch.device("cpu")).shape == (18, SIDE)
