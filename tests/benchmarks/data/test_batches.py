"""From an image set to batches on the device, and no way to look at the test images twice."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from lossbench.benchmarks.data import Split, open_images
from lossbench.benchmarks.data.augment import AUGMENTATIONS
from lossbench.benchmarks.data.batches import (
    DeviceSplit,
    GuardedSplit,
    Normalisation,
    TrainingBatches,
    evaluation_batches,
    measure_normalisation,
    prepare,
    to_device,
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


def batches_of(
    split: Split, rows: torch.Tensor | None = None, **settings: object
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    images, labels, every = to_device(split, CPU)
    rows = every if rows is None else rows
    part = DeviceSplit(images, labels[rows], rows)
    arguments = {"size": 8, "epochs": 1, "seed": 0} | settings
    return list(TrainingBatches(part, PLAIN, **arguments))  # type: ignore[arg-type]


def same(a: list[tuple[torch.Tensor, ...]], b: list[tuple[torch.Tensor, ...]]) -> bool:
    pairs = (
        (x, y) for one, other in zip(a, b, strict=True) for x, y in zip(one, other, strict=True)
    )
    return all(torch.equal(x, y) for x, y in pairs)


def test_normalised_pixels_have_mean_0_and_spread_1(split: Split) -> None:
    pixels = measure_normalisation(to_device(split, CPU))(torch.from_numpy(split.images.copy()))
    assert pixels.shape == (50, 3, 16, 16)
    torch.testing.assert_close(pixels.mean((0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(pixels.std((0, 2, 3), correction=0), torch.ones(3))


def test_the_normalisation_is_that_of_the_rows(split: Split) -> None:
    images, labels, _ = to_device(split, CPU)
    rows = torch.tensor([3, 30, 31, 44])
    found = measure_normalisation(DeviceSplit(images, labels[rows], rows))
    chosen = split.images[rows.numpy()].astype(np.float64)
    np.testing.assert_allclose(found.mean, chosen.mean((0, 1, 2)), rtol=1e-6)
    np.testing.assert_allclose(found.std, chosen.std((0, 1, 2)), rtol=1e-6)


def test_more_images_than_are_measured_are_measured_evenly_spaced(
    split: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lossbench.benchmarks.data.batches.NORMALISATION_IMAGES", 10)
    found = measure_normalisation(to_device(split, CPU))
    np.testing.assert_allclose(found.mean, split.images[::5].mean((0, 1, 2)), rtol=1e-6)


def test_a_channel_without_spread_is_not_divided_by_zero() -> None:
    grey = Split(np.full((4, 8, 8, 3), 7, np.uint8), np.zeros(4, np.uint8), ("",) * 4)
    assert (measure_normalisation(to_device(grey, CPU))(torch.from_numpy(grey.images)) == 0).all()


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
    assert same(first, again)
    assert not torch.equal(first[0][0], other[0][0])


@pytest.mark.parametrize("augmentation", sorted(AUGMENTATIONS))
def test_a_part_of_an_array_gives_the_batches_of_a_copy_of_it(
    split: Split, augmentation: str
) -> None:
    rows = torch.tensor([49, 2, 3, 5, 8, 13, 21, 34, 40, 41, 42, 43])
    names = tuple(split.names[i] for i in rows)
    copy = Split(split.images[rows.numpy()], split.labels[rows.numpy()], names)
    settings = {"size": 4, "epochs": 2, "augmentation": augmentation}
    assert same(batches_of(split, rows, **settings), batches_of(copy, **settings))


def test_without_augmentation_the_pixels_are_those_of_the_images(split: Split) -> None:
    for pixels, labels in batches_of(split, augmentation="none"):
        which = pixels[:, 2, 0, 0].numpy().astype(int)
        assert np.array_equal(pixels.permute(0, 2, 3, 1).numpy(), split.images[which])
        assert labels.tolist() == split.labels[which].tolist()


def test_the_order_and_the_shifts_are_drawn_as_they_always_were(split: Split) -> None:
    """The committed comparison rests on these draws: a permutation, then whether each place in
    it is mirrored, then shifts down and across; the next epoch goes on from there."""
    generator = torch.Generator().manual_seed(4)
    padded = np.pad(split.images, ((0, 0), (2, 2), (2, 2), (0, 0)), mode="reflect")
    batches = iter(batches_of(split, size=10, epochs=2, seed=4))
    for _ in range(2):
        order = torch.randperm(50, generator=generator).numpy()
        mirrored = (torch.rand(50, generator=generator) < 0.5).numpy()
        down, across = torch.randint(-2, 3, (2, 50), generator=generator).numpy() + 2
        for at in range(0, 50, 10):
            pixels, labels = next(batches)
            assert labels.tolist() == split.labels[order[at : at + 10]].tolist()
            for i, image in enumerate(pixels.permute(0, 2, 3, 1).numpy(), start=at):
                cut = padded[order[i], down[i] : down[i] + 16, across[i] : across[i] + 16]
                np.testing.assert_array_equal(image, cut[:, ::-1] if mirrored[i] else cut)


def test_an_unknown_augmentation_is_refused(split: Split, refusal) -> None:
    refusal(lambda: batches_of(split, augmentation="shft"), "did you mean 'shift'")


def test_iterating_twice_gives_the_same(split: Split) -> None:
    batches = TrainingBatches(to_device(split, CPU), PLAIN, size=8, epochs=1, seed=0)
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


def test_fewer_images_than_a_batch_are_one_batch(split: Split) -> None:
    small = Split(split.images[:5], split.labels[:5], split.names[:5])
    (only,) = batches_of(small)
    assert len(only[1]) == 5


def test_evaluation_has_every_image_once_in_order_and_unchanged(split: Split) -> None:
    parts = list(evaluation_batches(to_device(split, CPU), PLAIN, size=16))
    assert [len(labels) for _, labels in parts] == [16, 16, 16, 2]
    pixels = torch.cat([p for p, _ in parts]).permute(0, 2, 3, 1)
    assert np.array_equal(pixels.numpy(), split.images)
    assert torch.cat([labels for _, labels in parts]).tolist() == split.labels.tolist()


def test_evaluation_of_a_part_has_its_rows_in_order(split: Split) -> None:
    images, labels, _ = to_device(split, CPU)
    rows = torch.tensor([4, 9, 11, 40])
    parts = list(evaluation_batches(DeviceSplit(images, labels[rows], rows), PLAIN, size=3))
    pixels = torch.cat([p for p, _ in parts]).permute(0, 2, 3, 1)
    assert np.array_equal(pixels.numpy(), split.images[rows.numpy()])
    assert torch.cat([found for _, found in parts]).tolist() == labels[rows].tolist()


def test_no_image_is_copied_on_the_cpu(image_set) -> None:
    images = image_set(validation=10)
    at = images.train.images.ctypes.data
    settings = {"train_images": 40, "label_noise": 0.4, "imbalance": 4.0}
    for material in (
        prepare(images, CPU, **settings),
        prepare(replace(images, validation=None), CPU, validation=0.3, **settings),
    ):
        assert material.train.images.data_ptr() == at
        assert len(material.train.rows) == len(material.train.labels) < 40
        assert material.test.once("me").images.data_ptr() == images.test.images.ctypes.data
    assert material.validation is not None
    assert material.validation.images.data_ptr() == at
    own = prepare(images, CPU).validation
    assert own is not None
    assert own.images.data_ptr() == images.validation.images.ctypes.data


def test_batches_are_channels_last(split: Split) -> None:
    (pixels, _), *_ = batches_of(split)
    assert pixels.is_contiguous(memory_format=torch.channels_last)


def test_material_is_what_was_selected(images) -> None:
    material = prepare(images, CPU, validation=0.25, label_noise=0.5, imbalance=4.0, seed=3)
    assert material.classes == ("dog", "cat")
    assert material.counts == (36, 9)
    true = torch.from_numpy(images.train.labels.astype(np.int64))
    train, held_out = material.train, material.validation
    assert held_out is not None
    assert torch.bincount(true[train.rows]).tolist() == [36, 9]
    assert int((true[train.rows] != train.labels).sum()) == 18 + 4
    assert torch.equal(held_out.labels, true[held_out.rows])
    assert torch.bincount(held_out.labels).tolist() == [12, 12]
    assert not set(train.rows.tolist()) & set(held_out.rows.tolist())
    expected = measure_normalisation(train)
    assert torch.equal(material.normalise.mean, expected.mean)
    assert torch.equal(material.normalise.std, expected.std)


def test_a_validation_split_of_the_images_own_is_taken_whole(image_set) -> None:
    images = image_set(validation=12)
    held_out = prepare(images, CPU, validation=0.1).validation
    assert held_out is not None
    assert np.array_equal(held_out.images[held_out.rows].numpy(), images.validation.images)
    assert held_out.labels.tolist() == images.validation.labels.tolist()


@pytest.mark.parametrize("own", [0, 12])
def test_no_share_means_no_validation(image_set, own: int) -> None:
    material = prepare(image_set(validation=own), CPU, validation=0.0)
    assert material.validation is None
    assert material.counts == (48, 48)


def test_a_mistaken_share_is_refused(images, refusal) -> None:
    refusal(lambda: prepare(images, CPU, validation=1.5), "validation 1.5")


def test_the_test_images_are_had_once_by_each_run(images) -> None:
    test = prepare(images, CPU).test
    pixels = test.once("mse seed 0")
    assert np.array_equal(pixels.images[pixels.rows].numpy(), images.test.images)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="'mse seed 0' has used the test images"):
            test.once("mse seed 0")
    assert len(test.once("mse seed 1").labels) == 40


def test_what_is_held_out_shows_its_labels_and_nothing_else(images) -> None:
    test = prepare(images, CPU).test
    assert isinstance(test, GuardedSplit)
    assert len(test) == 40
    assert test.labels.tolist() == images.test.labels.tolist()
    assert {name for name in dir(test) if not name.startswith("_")} == {"labels", "once"}


@pytest.mark.slow
def test_real_images_of_ten_classes(real_data, monkeypatch) -> None:
    if not (real_data / "cifar10.zip").is_file():
        pytest.skip("cifar10.zip is not there")
    monkeypatch.setenv("LOSSBENCH_DATA", str(real_data))
    images = open_images("cifar10-ten", None, say=str)
    material = prepare(images, CPU, train_images=5000, label_noise=0.2)
    assert material.counts == (500,) * 10
    assert material.validation is not None
    assert torch.bincount(material.validation.labels).tolist() == [500] * 10
    assert torch.bincount(material.test.labels).tolist() == [1000] * 10
    # CIFAR-10's mean and spread as commonly given, over 255.
    np.testing.assert_allclose(material.normalise.mean / 255, [0.491, 0.482, 0.447], atol=0.01)
    np.testing.assert_allclose(material.normalise.std / 255, [0.247, 0.243, 0.262], atol=0.01)
