"""From an image set to batches on the device; each run gets the test images once."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from lossbench.benchmarks.data import Split, open_images
from lossbench.benchmarks.data.augment import AUGMENTATIONS
from lossbench.benchmarks.data.batches import (
    DeviceSplit,
    Normalisation,
    TrainingBatches,
    evaluation_batches,
    measure_normalisation,
    prepare,
    to_device,
)

CPU = torch.device("cpu")
IDENTITY = Normalisation(torch.zeros(3), torch.ones(3))


@pytest.fixture
def split() -> Split:
    """Make 50 images of 16 px with different pixels; blue is the number of the image."""
    images = np.random.default_rng(0).integers(0, 256, (50, 16, 16, 3), dtype=np.uint8)
    images[..., 2] = np.arange(50)[:, None, None]
    images.flags.writeable = False
    return Split(images, (np.arange(50) % 2).astype(np.uint8), tuple(map(str, range(50))))


def subset(split: Split, rows: torch.Tensor) -> DeviceSplit:
    images, labels, _ = to_device(split, CPU)
    return DeviceSplit(images, labels[rows], rows)


def batches_of(split: DeviceSplit, **settings) -> list[tuple[torch.Tensor, torch.Tensor]]:
    return list(TrainingBatches(split, IDENTITY, **{"size": 8, "epochs": 1, "seed": 0, **settings}))


def assert_equal(first, second) -> None:
    for one, other in zip(first, second, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def channels_last(pixels: torch.Tensor) -> np.ndarray:
    return pixels.permute(0, 2, 3, 1).numpy()


def test_normalised_pixels_have_mean_0_and_standard_deviation_1(split: Split) -> None:
    normalise = measure_normalisation(to_device(split, CPU))
    pixels = normalise(torch.from_numpy(split.images.copy()))
    assert pixels.shape == (50, 3, 16, 16)
    assert pixels.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(pixels.mean((0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(pixels.std((0, 2, 3), correction=0), torch.ones(3))


def test_the_normalisation_is_measured_on_the_rows_of_a_split(split: Split) -> None:
    rows = torch.tensor([3, 30, 31, 44])
    found = measure_normalisation(subset(split, rows))
    chosen = split.images[rows.numpy()].astype(np.float64)
    np.testing.assert_allclose(found.mean, chosen.mean((0, 1, 2)), rtol=1e-6)
    np.testing.assert_allclose(found.std, chosen.std((0, 1, 2)), rtol=1e-6)


def test_of_many_images_evenly_spaced_ones_are_measured(
    split: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lossbench.benchmarks.data.batches.NORMALISATION_IMAGES", 10)
    found = measure_normalisation(to_device(split, CPU))
    np.testing.assert_allclose(found.mean, split.images[::5].mean((0, 1, 2)), rtol=1e-6)


def test_a_constant_channel_is_not_divided_by_zero() -> None:
    gray = Split(np.full((4, 8, 8, 3), 7, np.uint8), np.zeros(4, np.uint8), ("",) * 4)
    assert (measure_normalisation(to_device(gray, CPU))(torch.from_numpy(gray.images)) == 0).all()


def test_an_epoch_has_every_image_at_most_once_with_its_label(split: Split) -> None:
    batches = batches_of(to_device(split, CPU), epochs=2)
    for part in (batches[:6], batches[6:]):
        numbers = torch.cat([pixels[:, 2, 0, 0] for pixels, _ in part]).long()
        assert len(numbers.unique()) == len(numbers) == 48
        assert torch.equal(torch.cat([labels for _, labels in part]), numbers % 2)


def test_batches_depend_on_the_seed_alone(split: Split) -> None:
    batches = TrainingBatches(to_device(split, CPU), IDENTITY, size=8, epochs=2, seed=0)
    first = list(batches)
    assert len(first) == len(batches) == 12
    torch.manual_seed(123)
    assert_equal(batches, first)
    assert not torch.equal(first[0][0], batches_of(to_device(split, CPU), seed=1)[0][0])


@pytest.mark.parametrize("begin", [0, 4, 6, 9])
def test_batches_from_any_number_on_and_shares_of_batches(split: Split, begin: int) -> None:
    batches = TrainingBatches(to_device(split, CPU), IDENTITY, size=8, epochs=2, seed=0)
    expected = list(batches.from_step(0))[begin:]
    assert [len(labels) for labels, *_ in expected] == [8] * (12 - begin)
    assert_equal(batches.from_step(begin), expected)
    share = slice(2, 5)
    shares = [[part[share] for part in batch] for batch in expected]
    assert_equal(batches.from_step(begin, share), shares)


@pytest.mark.parametrize("augmentation", sorted(AUGMENTATIONS))
def test_a_subset_gives_the_batches_of_a_copy(split: Split, augmentation: str) -> None:
    rows = torch.tensor([49, 2, 3, 5, 8, 13, 21, 34, 40, 41, 42, 43])
    copy = Split(split.images[rows.numpy()], split.labels[rows.numpy()], ("",) * 12)
    settings = {"size": 4, "epochs": 2, "augmentation": augmentation}
    of_copy = batches_of(to_device(copy, CPU), **settings)
    assert_equal(batches_of(subset(split, rows), **settings), of_copy)


def test_without_augmentation_pixels_are_unchanged(split: Split) -> None:
    for pixels, labels in batches_of(to_device(split, CPU), augmentation="none"):
        numbers = pixels[:, 2, 0, 0].numpy().astype(int)
        assert np.array_equal(channels_last(pixels), split.images[numbers])
        assert labels.tolist() == split.labels[numbers].tolist()


def test_order_and_shifts_are_drawn_as_in_the_reference_runs(split: Split) -> None:
    """runs/reference depends on these draws: a permutation, then flips, then shifts down and
    across; the next epoch follows."""
    generator = torch.Generator().manual_seed(4)
    padded = np.pad(split.images, ((0, 0), (2, 2), (2, 2), (0, 0)), mode="reflect")
    batches = iter(batches_of(to_device(split, CPU), size=10, epochs=2, seed=4))
    for _ in range(2):
        order = torch.randperm(50, generator=generator).numpy()
        flipped = (torch.rand(50, generator=generator) < 0.5).numpy()
        down, across = torch.randint(-2, 3, (2, 50), generator=generator).numpy() + 2
        for start in range(0, 50, 10):
            pixels, labels = next(batches)
            assert labels.tolist() == split.labels[order[start : start + 10]].tolist()
            for i, image in enumerate(channels_last(pixels), start=start):
                crop = padded[order[i], down[i] : down[i] + 16, across[i] : across[i] + 16]
                np.testing.assert_array_equal(image, crop[:, ::-1] if flipped[i] else crop)


def test_an_unknown_augmentation_is_refused(split: Split, refusal) -> None:
    refusal(lambda: batches_of(to_device(split, CPU), augmentation="shft"), "did you mean 'shift'")


def test_fewer_images_than_a_batch_are_one_batch(split: Split) -> None:
    ((_, labels),) = batches_of(subset(split, torch.arange(5)))
    assert len(labels) == 5


def test_evaluation_has_every_image_once_in_order(split: Split) -> None:
    parts = list(evaluation_batches(to_device(split, CPU), IDENTITY, size=16))
    assert list(map(len, parts)) == [16, 16, 16, 2]
    assert np.array_equal(channels_last(torch.cat(parts)), split.images)
    rows = torch.tensor([4, 9, 11, 40])
    (pixels,) = evaluation_batches(subset(split, rows), IDENTITY)
    assert np.array_equal(channels_last(pixels), split.images[rows.numpy()])


def test_evaluation_batches_have_250_images() -> None:
    many = Split(np.zeros((501, 1, 1, 3), np.uint8), np.zeros(501, np.uint8), ("",) * 501)
    parts = evaluation_batches(to_device(many, CPU), IDENTITY)
    assert list(map(len, parts)) == [250, 250, 1]


def test_no_image_is_copied_on_the_cpu(image_set) -> None:
    images = image_set(validation=10)
    address = images.train.images.ctypes.data
    settings = {"train_images": 40, "label_noise": 0.4, "imbalance": 4.0}
    with_split = prepare(images, CPU, **settings)
    without = prepare(replace(images, validation=None), CPU, validation=0.3, **settings)
    for dataset in (with_split, without):
        assert dataset.train.images.data_ptr() == address
        assert len(dataset.train.rows) == len(dataset.train.labels) < 40
        assert dataset.test.once("run").images.data_ptr() == images.test.images.ctypes.data
    assert without.validation.images.data_ptr() == address
    assert with_split.validation.images.data_ptr() == images.validation.images.ctypes.data


def test_a_dataset_has_the_selected_images(images) -> None:
    dataset = prepare(images, CPU, validation=0.25, label_noise=0.5, imbalance=4.0, seed=3)
    train, validation = dataset.train, dataset.validation
    true = torch.from_numpy(images.train.labels.astype(np.int64))
    assert dataset.classes == ("dog", "cat")
    assert list(dataset.counts) == torch.bincount(true[train.rows]).tolist() == [36, 9]
    assert int((true[train.rows] != train.labels).sum()) == 18 + 4
    assert torch.equal(validation.labels, true[validation.rows])
    assert torch.bincount(validation.labels).tolist() == [12, 12]
    assert not set(train.rows.tolist()) & set(validation.rows.tolist())
    expected = measure_normalisation(train)
    assert torch.equal(dataset.normalise.mean, expected.mean)
    assert torch.equal(dataset.normalise.std, expected.std)


def test_the_validation_split_of_an_image_set_is_used_whole(image_set) -> None:
    images = image_set(validation=12)
    validation = prepare(images, CPU, validation=0.1).validation
    assert np.array_equal(validation.images[validation.rows].numpy(), images.validation.images)
    assert validation.labels.tolist() == images.validation.labels.tolist()


@pytest.mark.parametrize("own", [0, 12])
def test_a_fraction_of_0_means_no_validation(image_set, own: int) -> None:
    dataset = prepare(image_set(validation=own), CPU, validation=0.0)
    assert dataset.validation is None
    assert dataset.counts == (48, 48)


def test_each_run_gets_the_test_images_once(images) -> None:
    test = prepare(images, CPU).test
    split = test.once("mse seed 0")
    assert np.array_equal(split.images[split.rows].numpy(), images.test.images)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="'mse seed 0' has used the test images"):
            test.once("mse seed 0")
    assert len(test.once("mse seed 1").labels) == 40


def test_only_labels_of_the_test_images_are_public(images) -> None:
    test = prepare(images, CPU).test
    assert len(test) == 40
    assert test.labels.tolist() == images.test.labels.tolist()
    assert {name for name in dir(test) if not name.startswith("_")} == {"labels", "once"}


@pytest.mark.slow
def test_real_images_of_ten_classes(real_data, monkeypatch) -> None:
    if not (real_data / "cifar10.zip").is_file():
        pytest.skip("cifar10.zip is not there")
    monkeypatch.setenv("LOSSBENCH_DATA", str(real_data))
    images = open_images("cifar10-ten", None, say=str)
    dataset = prepare(images, CPU, train_images=5000, label_noise=0.2)
    assert dataset.counts == (500,) * 10
    assert torch.bincount(dataset.validation.labels).tolist() == [500] * 10
    assert torch.bincount(dataset.test.labels).tolist() == [1000] * 10
    # Mean and standard deviation of CIFAR-10 as commonly given, over 255.
    np.testing.assert_allclose(dataset.normalise.mean / 255, [0.491, 0.482, 0.447], atol=0.01)
    np.testing.assert_allclose(dataset.normalise.std / 255, [0.247, 0.243, 0.262], atol=0.01)
