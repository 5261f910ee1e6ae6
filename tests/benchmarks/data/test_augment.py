"""Every augmentation: rows for images, drawn by one generator, whichever images are in a batch."""

import numpy as np
import pytest
import torch

from lossbench.benchmarks.data.augment import AUGMENTATIONS, reflect

COUNT, SIDE = 12, 32


@pytest.fixture
def array():
    """40 images in which every pixel is different and blue tells which image it is of."""
    pixels = np.random.default_rng(0).integers(0, 256, (40, SIDE, SIDE, 3), dtype=np.uint8)
    pixels[..., 2] = np.arange(40)[:, None, None]
    return torch.from_numpy(pixels)


@pytest.fixture(params=sorted(AUGMENTATIONS))
def augmentation(request):
    return AUGMENTATIONS[request.param]


def drawn(augmentation, seed=0):
    return augmentation.draw(COUNT, SIDE, torch.Generator().manual_seed(seed))


def test_there_are_three():
    assert sorted(AUGMENTATIONS) == ["none", "photographs", "shift"]


def test_a_row_is_drawn_for_each_image(augmentation):
    for each in drawn(augmentation):
        assert each.shape[0] == COUNT
        assert each.device.type == "cpu"


def test_what_is_drawn_for_an_image_is_a_few_numbers(augmentation):
    """Of whatever side, because an epoch has them for all images at once."""
    for side in (SIDE, 224):
        each = augmentation.draw(COUNT, side, torch.Generator().manual_seed(0))
        assert sum(t.numel() * t.element_size() for t in each) <= 32 * COUNT


def test_what_is_drawn_depends_on_the_generator_alone(augmentation):
    first = drawn(augmentation)
    torch.manual_seed(5)
    for a, b in zip(first, drawn(augmentation), strict=True):
        assert torch.equal(a, b)


def test_a_batch_is_square_images_in_grey_levels(augmentation, array):
    rows = torch.randint(0, 40, (COUNT,))
    batch = augmentation.batch(array, rows, *drawn(augmentation))
    assert batch.dtype in (torch.uint8, torch.float32)
    assert batch.shape[0] == COUNT
    assert batch.shape[1] == batch.shape[2]
    assert batch.shape[3] == 3
    assert batch.min() >= 0
    assert batch.max() <= 255


def test_an_image_does_not_depend_on_those_beside_it(augmentation, array):
    rows = torch.randperm(40)[:COUNT]
    draws = drawn(augmentation)
    whole = augmentation.batch(array, rows, *draws)
    for part in (slice(0, 5), slice(5, 6), slice(6, COUNT)):
        alone = augmentation.batch(array, rows[part], *(each[part] for each in draws))
        torch.testing.assert_close(alone, whole[part])


def test_the_array_is_left_as_it_is(augmentation, array):
    before = array.clone()
    augmentation.batch(array, torch.arange(COUNT), *drawn(augmentation))
    assert torch.equal(array, before)


def test_none_is_the_images_themselves(array):
    rows = torch.tensor([7, 3, 3, 39])
    none = AUGMENTATIONS["none"]
    assert none.draw(4, SIDE, torch.Generator()) == ()
    assert torch.equal(none.batch(array, rows), array[rows])


def test_shift_is_numpys_padding_cut_and_mirrored(array):
    """Drawn as it has always been: mirrored or not, then down and across."""
    rows = torch.randperm(40)[:COUNT]
    shift = AUGMENTATIONS["shift"]
    batch = shift.batch(array, rows, *drawn(shift, seed=3))
    generator = torch.Generator().manual_seed(3)
    mirrored = torch.rand(COUNT, generator=generator) < 0.5
    down, across = torch.randint(-4, 5, (2, COUNT), generator=generator)
    for i in range(COUNT):
        padded = np.pad(array[rows[i]].numpy(), ((4, 4), (4, 4), (0, 0)), mode="reflect")
        top, left = 4 + int(down[i]), 4 + int(across[i])
        expected = padded[top : top + SIDE, left : left + SIDE]
        expected = expected[:, ::-1] if mirrored[i] else expected
        np.testing.assert_array_equal(batch[i].numpy(), expected)


def test_reflected_is_numpys_reflection():
    expected = np.pad(np.arange(8), 3, mode="reflect")
    assert reflect(torch.arange(-3, 11), 8).tolist() == expected.tolist()
