"""Copies that are found, and pictures that are not taken for copies."""

import time

import numpy as np
import pytest
from PIL import Image

from lossbench.benchmarks.data import copies, open_images
from lossbench.benchmarks.data.copies import find_copies, hash_images
from lossbench.benchmarks.data.decode import decode_square


def shrink(image, by):
    return image.resize([round(side * by) for side in image.size])


def crop(image, by):
    left, top = (round(side * by) for side in image.size)
    return image.crop((left // 2, top, image.width - left + left // 2, image.height))


CHANGES = {
    "jpeg 90": lambda image, encoded: encoded(image, "JPEG", quality=90),
    "jpeg 60": lambda image, encoded: encoded(image, "JPEG", quality=60),
    "half": lambda image, _: np.asarray(shrink(image, 0.5)),
    "twice": lambda image, _: np.asarray(shrink(image, 2)),
    "half, jpeg 60": lambda image, encoded: encoded(shrink(image, 0.5), "JPEG", quality=60),
    "cropped": lambda image, _: np.asarray(crop(image, 0.02)),
    "brighter": lambda image, _: np.asarray(
        image.point([min(255, 6 * v // 5) for v in range(256)] * 3)
    ),
    "gray": lambda image, _: np.asarray(image.convert("L").convert("RGB")),
}


@pytest.mark.parametrize("size", [32, 50, 64])
@pytest.mark.parametrize("change", CHANGES)
def test_changed_copies_are_found_and_nothing_else(change, size, encoded, photographs):
    originals = photographs()
    changed = [CHANGES[change](Image.fromarray(pixels), encoded) for pixels in originals]
    images = np.stack([decode_square(each, size) for each in [*originals, *changed]])
    same, group = find_copies(images).T
    assert group.tolist() == 2 * list(range(len(originals)))
    assert (same == np.arange(len(images))).mean() > 0.9


def test_identical_pixels_are_told_from_nearly_identical_ones(photographs):
    one, other, third = photographs(3)
    near = np.where(one < 255, one + 1, one).astype(np.uint8)
    found = find_copies(np.stack([one, other, near, one, third, other]))
    assert found.tolist() == [[0, 0], [1, 1], [2, 0], [0, 0], [4, 4], [1, 1]]
    assert found.dtype == np.int32


def test_near_to_the_same_image_is_a_group(photographs):
    (first,), (last,) = photographs(1, seed=1), photographs(1, seed=2)
    parts = [np.uint8(first + (last - first.astype(float)) * part) for part in np.linspace(0, 1, 9)]
    images = np.stack(parts)
    *_, far = hash_images(images, np.array([0, 8]))
    assert far[0] @ far[1] < 0.5 * copies.SCALE**2
    assert find_copies(images)[:, 1].tolist() == [0] * 9
    assert find_copies(images[[0, 8]])[:, 1].tolist() == [0, 1]


@pytest.mark.parametrize("size", [32, 50, 224])
def test_hashes_are_of_exact_means_of_cells(size):
    images = np.random.default_rng(0).integers(64, 128, (3, size, size, 3), np.uint8)
    images *= (1 + 2 * np.arange(size) // size)[:, None, None].astype(np.uint8)
    edges = [*(size * cell // 8 for cell in range(8)), size]
    cells = np.empty((3, 8, 8))
    for row, column in np.ndindex(8, 8):
        inside = (slice(edges[i], edges[i + 1]) for i in (row, column))
        means = images[:, *inside].astype(np.int64).mean((1, 2))
        cells[:, row, column] = means @ [0.299, 0.587, 0.114]
    cells -= cells.mean((1, 2), keepdims=True)
    cells *= copies.SCALE / np.sqrt((cells**2).sum((1, 2), keepdims=True))
    plain, _ = hash_images(images, np.arange(3))
    assert np.array_equal(plain.reshape(3, 8, 8), cells.round())


def test_what_has_only_a_horizon_in_common_is_no_copy(photographs):
    sky = np.linspace(220, 60, 64)[None, :, None, None] * np.ones((2, 64, 64, 3))
    drawn = sky + photographs(2, 64) * 0.1
    plain, centred = hash_images(drawn.astype(np.uint8), np.arange(2))
    assert plain[0] @ plain[1] > copies.NEAR * copies.SCALE**2
    assert centred[0] @ centred[1] < copies.NEAR * copies.SCALE**2
    assert find_copies(drawn.astype(np.uint8))[:, 1].tolist() == [0, 1]


def test_what_differs_by_its_light_alone_is_no_copy(photographs):
    (one,) = photographs(1, 64) // 2
    light = np.linspace(0, 30, 64)[:, None, None]
    images = np.stack([one + light, one + light[::-1]]).astype(np.uint8)
    plain, centred = hash_images(images, np.arange(2))
    assert centred[0] @ centred[1] > copies.NEAR * copies.SCALE**2
    assert 0 < plain[0] @ plain[1] < copies.NEAR * copies.SCALE**2
    assert find_copies(images)[:, 1].tolist() == [0, 1]


def test_images_without_contrast_are_copies_only_if_identical():
    flat = np.full((4, 32, 32, 3), 90, np.uint8)
    flat[1:] += np.random.default_rng(0).integers(0, 3, (3, 32, 32, 3), np.uint8)
    flat[3] = flat[0]
    assert find_copies(flat).tolist() == [[0, 0], [1, 1], [2, 2], [0, 0]]


def test_no_images_have_no_copies():
    assert find_copies(np.zeros((0, 32, 32, 3), np.uint8)).shape == (0, 2)


def test_above_a_number_only_identical_ones_are_found(monkeypatch, photographs):
    (one,) = photographs(1)
    images = np.stack([one, one + (one < 255), one]).astype(np.uint8)
    monkeypatch.setattr(copies, "MAX_NEAR", 1)
    assert find_copies(images).tolist() == [[0, 0], [1, 1], [0, 0]]


def test_many_near_images_are_one_group_in_time(photographs):
    (one,) = photographs(1, 32)
    noise = np.random.default_rng(0).integers(-2, 3, (1_000, *one.shape))
    images = np.clip(one + noise, 0, 255).astype(np.uint8)
    start = time.perf_counter()
    assert not find_copies(images)[:, 1].any()
    assert time.perf_counter() - start < 5


@pytest.mark.slow
def test_pairs_of_real_photographs(real_data, monkeypatch):
    """Every pair was looked at: all of them are one photograph twice, and none has two labels."""
    monkeypatch.setenv("LOSSBENCH_DATA", str(real_data))
    for name, expected in (("cifar10", 93), ("oxford-pets", 6)):
        images = open_images(name, None, say=str)
        labels = np.concatenate([images.train.labels, images.test.labels])
        group = images.copies[:, 1]
        assert abs(np.count_nonzero(group != np.arange(len(group))) - expected) <= 1
        assert (labels == labels[group]).all()
