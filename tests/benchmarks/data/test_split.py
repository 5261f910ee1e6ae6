"""Validation images are fixed; training images, thinning and noisy labels are drawn and nested."""

from dataclasses import replace
from math import inf, nan
from typing import NamedTuple

import numpy as np
import pytest

from lossbench.benchmarks.data import ImageSet, Split
from lossbench.benchmarks.data.split import (
    balanced_subset,
    corrupt_labels,
    rank_in_class,
    select,
    stratified,
)

TEN = tuple("abcdefghij")
DEFAULTS = {
    "validation": 0.0,
    "train_images": None,
    "label_noise": 0.0,
    "imbalance": 1.0,
    "seed": 0,
}


@pytest.fixture
def image_set():
    """Make image sets of single pixels: only labels and names count here."""

    def split(count, classes):
        labels = (np.arange(count) % len(classes)).astype(np.uint8)
        names = tuple(f"{n}.jpg" for n in range(count))
        return Split(np.zeros((count, 1, 1, 3), np.uint8), labels, names)

    def make(train=96, validation=0, classes=("dog", "cat")):
        own = split(validation, classes) if validation else None
        parts = {"train": split(train, classes), "validation": own, "test": split(10, classes)}
        return ImageSet("noise", "about", True, "f" * 64, 32, **parts, skipped=(), classes=classes)

    return make


class Selected(NamedTuple):
    """Training rows, labels and validation rows, and training images per true class."""

    rows: list
    labels: list
    validation: list
    counts: list
    wrong: set


def selected(images, **settings) -> Selected:
    rows, labels, validation = select(images, **{**DEFAULTS, **settings})
    assert rows.dtype == labels.dtype == validation.dtype == np.int64
    true = images.train.labels[rows]
    counts = np.bincount(true, minlength=len(images.classes)).tolist()
    return Selected(
        rows.tolist(), labels.tolist(), validation.tolist(), counts, set(rows[labels != true])
    )


def counts_of(images, rows):
    return np.bincount(images.train.labels[list(rows)], minlength=len(images.classes)).tolist()


def test_defaults_select_every_image_with_its_label(images):
    assert selected(images) == (
        list(range(96)),
        images.train.labels.tolist(),
        [],
        [48, 48],
        set(),
    )


@pytest.mark.parametrize(("fraction", "each"), [(0.1, 20), (0.125, 25), (0.99, 198)])
def test_validation_is_a_fraction_of_every_class(image_set, fraction, each):
    images = image_set(train=2000, classes=TEN)
    found = selected(images, validation=fraction)
    assert counts_of(images, found.validation) == [each] * 10
    assert sorted(found.rows + found.validation) == list(range(2000))


def test_a_fraction_of_unequal_classes_is_rounded_in_each():
    labels = np.repeat([0, 1, 2], [100, 36, 3])
    names = [f"{i}" for i in range(139)]
    assert np.bincount(labels[stratified(labels, names, 0.1)]).tolist() == [10, 4, 1]
    assert not stratified(labels, names, 0.0).any()


@pytest.mark.parametrize(
    "settings",
    [{"seed": 1}, {"seed": 7, "label_noise": 0.4}, {"train_images": 20}, {"imbalance": 4.0}],
)
def test_validation_images_are_the_same_whatever_is_drawn(images, settings):
    first = selected(images, validation=0.25).validation
    assert selected(images, validation=0.25, **settings).validation == first
    assert first != list(range(24))  # a shuffle, not the first of each class


def test_validation_images_depend_on_names_and_not_on_their_order(images):
    train, names = images.train, np.array(images.train.names)
    first = set(names[selected(images, validation=0.25).validation])
    order = np.random.default_rng(0).permutation(96)
    shuffled = Split(train.images[order], train.labels[order], tuple(names[order]))
    again = selected(replace(images, train=shuffled), validation=0.25).validation
    assert set(names[order][again]) == first
    renamed = replace(train, names=tuple(f"other {name}" for name in train.names))
    other = selected(replace(images, train=renamed), validation=0.25).validation
    assert set(names[other]) != first


def test_smaller_selections_are_parts_of_larger_ones(images):
    few, many = (set(selected(images, validation=v).validation) for v in (0.1, 0.3))
    assert few < many
    few, many = (set(selected(images, train_images=n, seed=2).rows) for n in (20, 60))
    assert few < many


def test_images_with_a_validation_split_train_on_all_others(image_set):
    found = selected(image_set(validation=10), validation=0.5)
    assert (found.counts, found.validation) == ([48, 48], [])


@pytest.mark.parametrize("fraction", [0.0, 0.2, 0.45, 0.99])
@pytest.mark.parametrize("classes", [("dog", "cat"), TEN])
def test_label_noise_is_exact_in_every_class(image_set, classes, fraction):
    images = image_set(train=1000, classes=classes)
    each = 1000 // len(classes)
    found = selected(images, label_noise=fraction)
    assert counts_of(images, found.wrong) == [round(fraction * each)] * len(classes)
    assert found.counts == [each] * len(classes)


@pytest.mark.parametrize("settings", [{}, {"train_images": 300}, {"validation": 0.1, "seed": 3}])
def test_wrong_labels_of_less_noise_are_among_those_of_more(image_set, settings):
    images = image_set(train=1000, classes=TEN)
    less, more = (selected(images, label_noise=f, **settings) for f in (0.2, 0.4))
    assert set() < less.wrong < more.wrong
    at = [less.rows.index(row) for row in less.wrong]
    assert [less.labels[i] for i in at] == [more.labels[i] for i in at]


def test_a_wrong_label_is_each_other_class_equally_often(image_set):
    images = image_set(train=4000, classes=("a", "b", "c", "d"))
    table = np.zeros((4, 4))
    np.add.at(table, (images.train.labels, selected(images, label_noise=0.9).labels), 1)
    assert np.diag(table).tolist() == [100] * 4
    # 300 are expected of each, with a standard deviation of 14.
    assert abs(table[~np.eye(4, dtype=bool)] - 300).max() < 72


def test_corrupted_labels_of_two_classes_are_swapped():
    labels, steps = np.array([0, 1, 0, 1]), np.ones(4, int)
    draws = np.array([0.1, 0.9, 0.8, 0.2])
    assert corrupt_labels(labels, draws, steps, 0.5, 2).tolist() == [1, 1, 0, 0]


def test_training_images_are_limited_and_balanced(image_set):
    images = image_set(train=200, classes=TEN)
    for limit, each in ((57, 5), (200, 20), (10**6, 20)):
        assert selected(images, train_images=limit).counts == [each] * 10
    labels = np.repeat([0, 1], [30, 8])
    few = balanced_subset(labels, np.random.default_rng(0).random(38), 20)
    assert np.bincount(labels[few]).tolist() == [8, 8]


@pytest.mark.parametrize(("imbalance", "cats"), [(1.0, 500), (3.0, 167), (50.0, 10)])
def test_imbalance_removes_cats(image_set, imbalance, cats):
    images = image_set(train=1000)
    found = selected(images, imbalance=imbalance)
    assert found.counts == [500, cats]
    assert set(selected(images, imbalance=2 * imbalance).rows) < set(found.rows)


def test_all_settings_together(image_set):
    settings = {"validation": 0.1, "train_images": 400, "imbalance": 10.0, "label_noise": 0.2}
    found = selected(image_set(train=1000), **settings)
    assert found.counts == [200, 20]
    assert len(found.wrong) == 44
    assert not set(found.rows) & set(found.validation)
    assert found.rows == sorted(found.rows)


@pytest.mark.parametrize(
    "settings", [{"label_noise": 0.3}, {"train_images": 40}, {"imbalance": 3.0}]
)
def test_draws_depend_on_the_seed_alone(images, settings):
    first = selected(images, seed=0, **settings)
    np.random.seed(5)
    assert selected(images, seed=0, **settings) == first
    assert selected(images, seed=1, **settings) != first


def test_ranks_are_a_permutation_within_each_class():
    rng = np.random.default_rng(0)
    labels, draws = rng.integers(0, 3, 50), rng.random(50)
    ranks = rank_in_class(labels, draws)
    for label in range(3):
        members = ranks[labels == label]
        assert sorted(members) == list(range(len(members)))
        assert (np.argsort(members) == np.argsort(draws[labels == label])).all()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"validation": 1.0}, ("validation 1.0", "from 0 to below 1")),
        ({"validation": -0.1}, ("validation -0.1",)),
        ({"validation": nan}, ("validation nan",)),
        ({"label_noise": 1.0}, ("label noise 1.0", "from 0 to below 1")),
        ({"label_noise": -1e-9}, ("label noise",)),
        ({"label_noise": inf}, ("label noise inf",)),
        ({"imbalance": 0.5}, ("imbalance 0.5", "1 or more")),
        ({"imbalance": nan}, ("imbalance nan",)),
        ({"imbalance": inf}, ("no image of cat", "imbalance inf")),
        ({"imbalance": 1000.0}, ("noise: no image of cat is left", "imbalance 1000")),
        ({"train_images": 1}, ("no image of dog is left", "train_images 1")),
        ({"train_images": 0}, ("train_images 0",)),
        ({"train_images": -4}, ("train_images -4",)),
        ({"validation": 0.999}, ("no image of dog is left", "--validation 0.999; give less")),
    ],
)
def test_impossible_values_are_refused(images, refusal, settings, words):
    refusal(lambda: selected(images, **settings), *words)


def test_imbalance_needs_two_classes(image_set, refusal):
    images = image_set(train=100, classes=TEN)
    refusal(lambda: selected(images, imbalance=2.0), "imbalance 2", "noise has 10 classes")
    assert selected(images, imbalance=1.0).counts == [10] * 10


def test_imbalance_needs_enough_images_of_class_1(images, refusal):
    keep = np.flatnonzero((images.train.labels == 0) | (np.arange(96) < 24))
    train = images.train
    names = tuple(train.names[i] for i in keep)
    rare = replace(images, train=Split(train.images[keep], train.labels[keep], names))
    refusal(lambda: selected(rare, imbalance=2.0), "only 12 images of cat to 48 of dog", "4 or")
    assert selected(rare, imbalance=4.0).counts == [48, 12]
