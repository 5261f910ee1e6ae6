import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance

from lossbench.benchmarks.data.augment_photos import (
    AREA,
    LUMA,
    RATIO,
    PhotographAugmentation,
    crop_size,
    jitter_color,
    resize_matrices,
)

PLAIN = torch.ones(1, 3)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(count: int, side: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(
        0, 256, (count, side, side, 3), dtype=torch.uint8, generator=generator(seed)
    )


def whole(count: int) -> torch.Tensor:
    return torch.tensor([[0.0, 0.0, 1.0, 1.0]]).repeat(count, 1)


@pytest.mark.parametrize(("side", "out"), [(20, 16), (20, 40), (33, 8), (16, 16)])
def test_a_cut_is_what_pil_cuts_and_resizes(side: int, out: int) -> None:
    line = np.random.default_rng(0).normal(size=(side, side)).astype(np.float32)
    for top, height in [(0.0, 1.0), (0.13, 0.6), (0.41, 0.59)]:
        (matrix,) = resize_matrices(torch.tensor([top]), torch.tensor([height]), side, out)
        box = (0, top * side, side, (top + height) * side)
        wanted = np.asarray(
            Image.fromarray(line).resize((side, out), Image.Resampling.BILINEAR, box=box)
        )
        np.testing.assert_allclose(matrix.numpy() @ line, wanted, atol=2e-5)


def test_the_whole_image_is_the_image_shrunk_as_pil_shrinks_it() -> None:
    images = noise(2, 40)
    got = PhotographAugmentation().batch(
        images, torch.tensor([1]), whole(1), torch.tensor([False]), PLAIN
    )
    shrunk = Image.fromarray(images[1].numpy()).resize((32, 32), Image.Resampling.BILINEAR)
    np.testing.assert_allclose(got[0].numpy(), np.asarray(shrunk), atol=1.01)


def test_a_cut_has_its_rows_from_the_height_and_its_columns_from_the_width() -> None:
    image = torch.zeros(1, 40, 40, 3, dtype=torch.uint8)
    image[:, 10:30, 4:12] = 200
    cut = torch.tensor([[10 / 40, 4 / 40, 20 / 40, 8 / 40]])
    got = PhotographAugmentation().batch(
        image, torch.tensor([0]), cut, torch.tensor([False]), PLAIN
    )
    # The linear interpolation at the edges sees a pixel from outside.
    assert (got[:, 2:-2, 4:-4] > 199).all()


def test_a_batch_is_what_float64_makes_of_it_image_by_image() -> None:
    """Every step of it at once: which image, cut out, resized, mirrored, relit."""
    images, rows = noise(7, 40), torch.tensor([5, 0, 5, 3])
    drawn = PhotographAugmentation().draw(4, 40, generator(1))
    got = PhotographAugmentation().batch(images, rows, *drawn)
    for k, (cut, mirrored, light) in enumerate(zip(*(d.tolist() for d in drawn), strict=True)):
        top, left, height, width = (40 * share for share in cut)
        picture = images[rows[k]].double().numpy()
        colours = [
            np.asarray(
                Image.fromarray(picture[..., c].astype(np.float32)).resize(
                    (32, 32), Image.Resampling.BILINEAR, box=(left, top, left + width, top + height)
                )
            )
            for c in range(3)
        ]
        wanted = np.stack(colours, 2).astype(np.float64)[:, :: -1 if mirrored else 1]
        brightness, contrast, saturation = light
        grey = wanted @ LUMA
        mean = grey.mean()
        wanted = saturation * wanted + (1 - saturation) * grey[..., None]
        wanted = brightness * (contrast * wanted + (1 - contrast) * mean)
        np.testing.assert_allclose(got[k].numpy(), wanted.clip(0, 255), atol=2e-3)
    assert {True, False} == set(drawn[1].tolist())


def test_mirroring_is_from_left_to_right() -> None:
    images, cut = noise(3, 40), torch.tensor([[0.1, 0.3, 0.7, 0.6]]).repeat(3, 1)
    rows, light = torch.arange(3), PLAIN.repeat(3, 1)
    straight = PhotographAugmentation().batch(images, rows, cut, torch.tensor([False] * 3), light)
    mirrored = PhotographAugmentation().batch(images, rows, cut, torch.tensor([True] * 3), light)
    torch.testing.assert_close(mirrored, straight.flip(2))


@pytest.mark.parametrize("factor", [0.8, 1.2])
@pytest.mark.parametrize(
    ("place", "enhance"),
    [(0, ImageEnhance.Brightness), (1, ImageEnhance.Contrast), (2, ImageEnhance.Color)],
)
def test_light_is_that_of_pil(place: int, enhance, factor: float) -> None:
    (image,) = noise(1, 16)
    light = PLAIN.clone()
    light[0, place] = factor
    got = jitter_color(image.reshape(1, -1, 3).mT.float(), light).view(16, 16, 3)
    wanted = enhance(Image.fromarray(image.numpy())).enhance(factor)
    # PIL cuts off the fraction of the grey and that of the sum.
    np.testing.assert_allclose(got.numpy(), np.asarray(wanted), atol=1.3)


def test_the_three_are_one_after_the_other() -> None:
    planes = torch.rand(5, 3, 64, generator=generator()) * 60 + 90
    light = torch.rand(5, 3, generator=generator(1)) * 0.4 + 0.8
    single = [torch.where(torch.arange(3) == k, light, 1.0) for k in range(3)]
    after = jitter_color(jitter_color(jitter_color(planes, single[2]).mT, single[1]).mT, single[0])
    torch.testing.assert_close(jitter_color(planes, light), after)


def test_grey_stays_grey_and_nothing_leaves_the_range() -> None:
    grey = (torch.rand(4, 1, 64, generator=generator()) * 255).expand(4, 3, 64)
    got = jitter_color(grey, torch.tensor([[1.2, 1.2, s] for s in (0.8, 0.9, 1.1, 1.2)]))
    torch.testing.assert_close(got[:, :, 0], got[:, :, 2], atol=1e-3, rtol=0)
    assert got.min() >= 0
    assert got.max() == 255


def test_what_is_drawn_is_in_range_and_inside_the_image() -> None:
    cut, mirrored, light = PhotographAugmentation().draw(20_000, 80, generator())
    top, left, height, width = cut.T
    assert cut.min() >= 0
    assert (top + height).max() <= 1 + 1e-6
    assert (left + width).max() <= 1 + 1e-6
    uncut = (height < 1) & (width < 1)
    area, shape = (height * width)[uncut], (height / width)[uncut]
    assert AREA[0] <= area.min() + 1e-6 < 0.36
    assert area.max() > 0.97
    assert shape.min() < 0.76 < 1.32 < shape.max() <= RATIO + 1e-5
    assert abs(mirrored.float().mean() - 0.5) < 0.02
    torch.testing.assert_close(light.mean(0), torch.ones(3), atol=5e-3, rtol=0)
    assert 0.8 <= light.min() < 0.801 < 1.199 < light.max() <= 1.2


def test_places_are_even_over_what_is_left() -> None:
    cut, _, _ = PhotographAugmentation().draw(20_000, 80, generator())
    for at in (0, 1):
        free = 1 - cut[:, at + 2]
        share = (cut[:, at] / free)[free > 0.01]
        counts = torch.histc(share, 10, 0, 1) / len(share)
        torch.testing.assert_close(counts, torch.full((10,), 0.1), atol=0.01, rtol=0)


def test_draws_depend_on_the_generator_alone() -> None:
    first = PhotographAugmentation().draw(9, 80, generator(3))
    torch.manual_seed(5)
    for a, b in zip(first, PhotographAugmentation().draw(9, 80, generator(3)), strict=True):
        assert len(a) == 9
        assert torch.equal(a, b)
    assert not torch.equal(first[0], PhotographAugmentation().draw(9, 80, generator(4))[0])


def test_an_image_of_a_batch_is_the_same_alone() -> None:
    images, rows = noise(6, 48), torch.tensor([4, 0, 5])
    drawn = PhotographAugmentation().draw(3, 48, generator())
    together = PhotographAugmentation().batch(images, rows, *drawn)
    assert together.shape == (3, 40, 40, 3)
    assert together.dtype == torch.float32
    assert together.is_contiguous()
    for i in range(3):
        alone = PhotographAugmentation().batch(
            images, rows[i : i + 1], *(d[i : i + 1] for d in drawn)
        )
        torch.testing.assert_close(together[i : i + 1], alone, atol=1e-3, rtol=1e-5)


@pytest.mark.parametrize(("side", "out"), [(32, 24), (64, 48), (80, 64), (120, 96), (160, 128)])
def test_images_are_trained_at_four_fifths_of_their_side(side: int, out: int) -> None:
    assert crop_size(side) == out


def test_every_size_is_trained_at_a_multiple_of_8_below_it() -> None:
    for side in range(32, 225):
        assert crop_size(side) % 8 == 0
        assert 0.7 * side <= crop_size(side) <= 0.92 * side
