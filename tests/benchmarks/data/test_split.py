"""What is held out is fixed; what is left, thinned and mislabelled is drawn, and nested."""

from dataclasses import replace
from math import inf, nan

import numpy as np
import pytest

from lossbench.benchmarks.data import Split
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


def chosen(images, **settings):
    return select(images, **{**DEFAULTS, **settings})


def classes_of(images, rows):
    return np.bincount(images.train.labels[rows], minlength=len(images.classes)).tolist()


def wrong(images, **settings):
    """The rows whose label is not the true one."""
    selection = chosen(images, **settings)
    return set(selection.rows[selection.labels != images.train.labels[selection.rows]].tolist())


def test_without_settings_every_image_is_trained_on_as_what_it_is(images):
    selection = chosen(images)
    assert selection.rows.tolist() == list(range(96))
    assert selection.labels.tolist() == images.train.labels.tolist()
    assert selection.labels.dtype == np.int64
    assert len(selection.held_out) == 0
    assert selection.counts == (48, 48)


@pytest.mark.parametrize(("share", "each"), [(0.1, 20), (0.25, 50), (0.125, 25), (0.99, 198)])
def test_the_share_is_held_out_of_every_class(image_set, share, each):
    images = image_set(train=2000, classes=TEN)
    selection = chosen(images, validation=share)
    assert classes_of(images, selection.held_out) == [each] * 10
    together = np.concatenate([selection.rows, selection.held_out])
    assert sorted(together) == list(range(2000))
    assert selection.counts == (200 - each,) * 10


def test_a_share_of_unequal_classes_is_rounded_in_each():
    labels = np.repeat([0, 1, 2], [100, 36, 3])
    names = [f"{i}" for i in range(139)]
    held = stratified(labels, names, 0.1)
    assert np.bincount(labels[held]).tolist() == [10, 4, 1]
    assert not stratified(labels, names, 0.0).any()


def test_what_is_held_out_is_the_same_for_every_seed_noise_and_thinning(images):
    first = chosen(images, validation=0.25).held_out.tolist()
    for settings in (
        {"seed": 1},
        {"seed": 7, "label_noise": 0.4},
        {"train_images": 20},
        {"imbalance": 4.0},
    ):
        assert chosen(images, validation=0.25, **settings).held_out.tolist() == first
    # A shuffle, not the first of each class.
    assert first != list(range(24))


def test_what_is_held_out_depends_on_names_and_not_on_their_order(images):
    names = np.array(images.train.names)
    first = set(names[chosen(images, validation=0.25).held_out])
    order = np.random.default_rng(0).permutation(96)
    train = images.train
    shuffled = Split(train.images[order], train.labels[order], tuple(names[order]))
    again = chosen(replace(images, train=shuffled), validation=0.25).held_out
    assert set(names[order][again]) == first
    renamed = replace(train, names=tuple(f"other {name}" for name in train.names))
    other = chosen(replace(images, train=renamed), validation=0.25).held_out
    assert set(names[other]) != first


def test_a_smaller_share_is_part_of_a_larger_one(images):
    small, large = (set(chosen(images, validation=v).held_out.tolist()) for v in (0.1, 0.3))
    assert small < large


def test_images_with_a_validation_split_keep_all_they_train_on(image_set):
    selection = chosen(image_set(validation=10), validation=0.5)
    assert selection.counts == (48, 48)
    assert len(selection.held_out) == 0


@pytest.mark.parametrize("share", [0.0, 0.2, 0.4, 0.45, 0.99])
@pytest.mark.parametrize("classes", [("dog", "cat"), TEN])
def test_the_share_of_wrong_labels_is_exact_in_every_class(image_set, classes, share):
    images = image_set(train=1000, classes=classes)
    rows = np.array(sorted(wrong(images, label_noise=share)), int)
    each = 1000 // len(classes)
    assert classes_of(images, rows) == [round(share * each)] * len(classes)
    assert chosen(images, label_noise=share).counts == (each,) * len(classes)


def test_wrong_labels_of_less_noise_are_among_those_of_more(image_set):
    images = image_set(train=1000, classes=TEN)
    for settings in ({}, {"train_images": 300}, {"validation": 0.1, "seed": 3}):
        less, more = (wrong(images, label_noise=share, **settings) for share in (0.2, 0.4))
        assert 0 < len(less) < len(more)
        assert less < more
    # And they are wrong in the same way.
    less, more = (chosen(images, label_noise=share).labels for share in (0.2, 0.4))
    rows = sorted(wrong(images, label_noise=0.2))
    assert less[rows].tolist() == more[rows].tolist()


def test_a_wrong_label_is_each_of_the_other_classes_as_often(image_set):
    images = image_set(train=20_000, classes=("a", "b", "c", "d"))
    selection = chosen(images, label_noise=0.9)
    table = np.zeros((4, 4))
    np.add.at(table, (images.train.labels, selection.labels), 1)
    assert np.diag(table).tolist() == [500] * 4
    others = table[~np.eye(4, dtype=bool)]
    # 1,500 are expected of each, with a standard deviation of 32.
    assert abs(others - 1500).max() < 160


def test_two_classes_swap():
    labels, steps = np.array([0, 1, 0, 1]), np.ones(4, int)
    draws = np.array([0.1, 0.9, 0.8, 0.2])
    assert corrupt_labels(labels, draws, steps, 0.5, 2).tolist() == [1, 1, 0, 0]


def test_no_more_images_than_wanted_and_as_many_of_each_class(image_set):
    images = image_set(train=200, classes=TEN)
    assert chosen(images, train_images=57).counts == (5,) * 10
    assert chosen(images, train_images=200).counts == (20,) * 10
    assert chosen(images, train_images=10**6).counts == (20,) * 10
    labels = np.repeat([0, 1], [30, 8])
    few = balanced_subset(labels, np.random.default_rng(0).random(38), 20)
    assert np.bincount(labels[few]).tolist() == [8, 8]


def test_fewer_images_are_some_of_more(images):
    few, more = (set(chosen(images, train_images=n, seed=2).rows.tolist()) for n in (20, 60))
    assert few < more


@pytest.mark.parametrize(("imbalance", "cats"), [(1.0, 500), (3.0, 167), (10.0, 50), (50.0, 10)])
def test_cats_are_thinned_out(image_set, imbalance, cats):
    images = image_set(train=1000)
    selection = chosen(images, imbalance=imbalance)
    assert selection.counts == (500, cats)
    assert classes_of(images, selection.rows) == [500, cats]
    fewer = chosen(images, imbalance=2 * imbalance)
    assert set(fewer.rows.tolist()) < set(selection.rows.tolist())


def test_everything_at_once_is_counted_by_the_true_labels(image_set):
    images = image_set(train=1000)
    settings = {"validation": 0.1, "train_images": 400, "imbalance": 10.0, "label_noise": 0.2}
    selection = chosen(images, **settings)
    assert selection.counts == (200, 20)
    assert len(wrong(images, **settings)) == 44
    assert not set(selection.rows.tolist()) & set(selection.held_out.tolist())
    assert (np.diff(selection.rows) > 0).all()


@pytest.mark.parametrize(
    "settings", [{"label_noise": 0.3}, {"train_images": 40}, {"imbalance": 3.0}]
)
def test_what_is_drawn_depends_on_the_seed_and_on_nothing_else(images, settings):
    def told(seed):
        np.random.seed(np.random.randint(1000))
        selection = chosen(images, seed=seed, **settings)
        return selection.rows.tolist(), selection.labels.tolist()

    assert told(0) == told(0)
    assert told(0) != told(1)


def test_places_are_a_permutation_within_each_class():
    rng = np.random.default_rng(0)
    labels, draws = rng.integers(0, 3, 50), rng.random(50)
    place = rank_in_class(labels, draws)
    for label in range(3):
        mine = place[labels == label]
        assert sorted(mine) == list(range(len(mine)))
        assert (np.argsort(mine) == np.argsort(draws[labels == label])).all()


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
        ({"validation": 0.999}, ("no image of dog is left", "0.999")),
    ],
)
def test_what_cannot_be_is_refused(images, refusal, settings, words):
    refusal(lambda: chosen(images, **settings), *words)


def test_imbalance_is_of_two_classes(image_set, refusal):
    images = image_set(train=100, classes=TEN)
    refusal(lambda: chosen(images, imbalance=2.0), "imbalance 2", "noise has 10 classes")
    assert chosen(images, imbalance=1.0).counts == (10,) * 10


def test_a_class_that_is_rarer_already_is_not_called_thinned_out(images, refusal):
    keep = np.flatnonzero((images.train.labels == 0) | (np.arange(96) < 24))
    train = images.train
    names = tuple(train.names[i] for i in keep)
    rare = replace(images, train=Split(train.images[keep], train.labels[keep], names))
    refusal(lambda: chosen(rare, imbalance=2.0), "only 12 images of cat to 48 of dog", "4 or more")
    assert chosen(rare, imbalance=4.0).counts == (48, 12)
    assert chosen(rare).counts == (48, 12)
