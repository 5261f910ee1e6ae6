"""Crops, resizing and color jitter against PIL and float64."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance

from lossbench.benchmarks.data.augment_photos import (
    PhotographAugmentation,
    crop_size,
    jitter_color,
    resize_matrices,
)

AUGMENTATION = PhotographAugmentation()
NO_JITTER = torch.ones(1, 3)
BILINEAR = Image.Resampling.BILINEAR


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(count: int, side: int) -> torch.Tensor:
    return torch.randint(0, 256, (count, side, side, 3), dtype=torch.uint8, generator=generator())


@pytest.mark.parametrize(("side", "out"), [(20, 16), (20, 40), (33, 8), (16, 16)])
@pytest.mark.parametrize(("top", "height"), [(0.0, 1.0), (0.13, 0.6), (0.41, 0.59)])
def test_lines_are_cropped_and_resized_as_by_pil(side, out, top, height) -> None:
    lines = np.random.default_rng(0).normal(size=(side, side)).astype(np.float32)
    (matrix,) = resize_matrices(torch.tensor([top]), torch.tensor([height]), side, out)
    box = (0, top * side, side, (top + height) * side)
    expected = np.asarray(Image.fromarray(lines).resize((side, out), BILINEAR, box=box))
    np.testing.assert_allclose(matrix.numpy() @ lines, expected, atol=2e-5)


def test_rows_are_cropped_by_height_and_columns_by_width() -> None:
    image = torch.zeros(1, 40, 40, 3, dtype=torch.uint8)
    image[:, 10:30, 4:12] = 200
    crop = torch.tensor([[10 / 40, 4 / 40, 20 / 40, 8 / 40]])
    batch = AUGMENTATION.batch(image, torch.tensor([0]), crop, torch.tensor([False]), NO_JITTER)
    # Interpolation at the edges uses a pixel from outside the crop.
    assert (batch[:, 2:-2, 4:-4] > 199).all()


def test_a_batch_equals_pil_and_float64_image_by_image() -> None:
    images, rows = noise(7, 40), torch.tensor([5, 0, 5, 3])
    drawn = AUGMENTATION.draw(4, 40, generator(1))
    batch = AUGMENTATION.batch(images, rows, *drawn)
    assert batch.shape == (4, 32, 32, 3)
    assert batch.dtype == torch.float32
    assert batch.is_contiguous()
    assert {True, False} == set(drawn[1].tolist())
    for k, (crop, flipped, factors) in enumerate(zip(*(d.tolist() for d in drawn), strict=True)):
        top, left, height, width = (40 * fraction for fraction in crop)
        box = (left, top, left + width, top + height)
        planes = images[rows[k]].numpy().astype(np.float32)
        resized = [
            np.asarray(Image.fromarray(planes[..., c]).resize((32, 32), BILINEAR, box=box))
            for c in range(3)
        ]
        expected = np.stack(resized, 2).astype(np.float64)[:, :: -1 if flipped else 1]
        brightness, contrast, saturation = factors
        gray = expected @ (0.299, 0.587, 0.114)
        mean = gray.mean()
        expected = saturation * expected + (1 - saturation) * gray[..., None]
        expected = brightness * (contrast * expected + (1 - contrast) * mean)
        np.testing.assert_allclose(batch[k].numpy(), expected.clip(0, 255), atol=2e-3)


@pytest.mark.parametrize("factor", [0.8, 1.2])
@pytest.mark.parametrize(
    ("index", "enhance"),
    [(0, ImageEnhance.Brightness), (1, ImageEnhance.Contrast), (2, ImageEnhance.Color)],
)
def test_jitter_is_that_of_pil(index: int, enhance, factor: float) -> None:
    (image,) = noise(1, 16)
    factors = NO_JITTER.clone()
    factors[0, index] = factor
    jittered = jitter_color(image.reshape(1, -1, 3).mT.float(), factors).view(16, 16, 3)
    expected = enhance(Image.fromarray(image.numpy())).enhance(factor)
    # PIL truncates the gray and the sum.
    np.testing.assert_allclose(jittered.numpy(), np.asarray(expected), atol=1.3)


def test_the_three_jitters_follow_each_other() -> None:
    planes = torch.rand(5, 3, 64, generator=generator()) * 60 + 90
    factors = torch.rand(5, 3, generator=generator(1)) * 0.4 + 0.8
    expected = planes
    for index in (2, 1, 0):
        single = torch.where(torch.arange(3) == index, factors, 1.0)
        expected = jitter_color(expected, single).mT
    torch.testing.assert_close(jitter_color(planes, factors), expected.mT)


def test_gray_stays_gray_and_is_clamped() -> None:
    gray = (torch.rand(4, 1, 64, generator=generator()) * 255).expand(4, 3, 64)
    jittered = jitter_color(gray, torch.tensor([[1.2, 1.2, s] for s in (0.8, 0.9, 1.1, 1.2)]))
    torch.testing.assert_close(jittered[:, :, 0], jittered[:, :, 2], atol=1e-3, rtol=0)
    assert jittered.min() >= 0
    assert jittered.max() == 255


def test_draws_are_in_range_and_inside_the_image() -> None:
    crop, flipped, factors = AUGMENTATION.draw(20_000, 80, generator())
    top, left, height, width = crop.T
    assert crop.min() >= 0
    assert (top + height).max() <= 1 + 1e-6
    assert (left + width).max() <= 1 + 1e-6
    inside = (height < 1) & (width < 1)
    area, ratio = (height * width)[inside], (height / width)[inside]
    assert 0.35 <= area.min() + 1e-6 < 0.36
    assert area.max() > 0.97
    assert ratio.min() < 0.76 < 1.32 < ratio.max() <= 4 / 3 + 1e-5
    assert abs(flipped.float().mean() - 0.5) < 0.02
    torch.testing.assert_close(factors.mean(0), torch.ones(3), atol=5e-3, rtol=0)
    assert 0.8 <= factors.min() < 0.801 < 1.199 < factors.max() <= 1.2
    for start, length in ((top, height), (left, width)):
        free = 1 - length
        positions = (start / free)[free > 0.01]
        counts = torch.histc(positions, 10, 0, 1) / len(positions)
        torch.testing.assert_close(counts, torch.full((10,), 0.1), atol=0.01, rtol=0)


@pytest.mark.parametrize(("side", "out"), [(32, 24), (64, 48), (80, 64), (120, 96), (160, 128)])
def test_training_images_have_four_fifths_of_the_side(side: int, out: int) -> None:
    assert crop_size(side) == out


def test_training_images_have_a_multiple_of_8_pixels() -> None:
    for side in range(32, 225):
        assert crop_size(side) % 8 == 0
        assert 0.7 * side <= crop_size(side) <= 0.92 * side
