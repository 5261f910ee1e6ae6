"""Duplicates in an image set: counted, named, kept, taken out, refused."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from lossbench.benchmarks.data import copies, duplicates, open_images, resolve
from lossbench.benchmarks.data.synthetic import synthetic

NAMES = [
    f"{split}/{kind}/{n}.jpg"
    for split in ("train", "test")
    for kind in ("cat", "dog")
    for n in range(4)
]


@pytest.fixture
def opened(pack, jpeg):
    """Open images of which some are replaced by others, 0 to 15 in the order of NAMES."""

    def make(replaced=(), policy="keep", names=NAMES, **settings):
        numbers = dict(enumerate(range(len(names)))) | dict(replaced)
        files = {name: jpeg(numbers[n]) for n, name in enumerate(names)}
        path = pack(files, "zip", f"pets{sorted(replaced)}".replace(" ", ""))
        return open_images(str(path), 32, duplicates=policy, say=str, **settings)

    return make


def test_without_duplicates_nothing_is_told_or_changed(opened):
    kept, dropped, stopped = (opened(policy=policy) for policy in ("keep", "drop", "stop"))
    assert kept.composition == dropped.composition == stopped.composition
    assert kept.composition.warnings == ()
    assert kept.fingerprint == dropped.fingerprint == stopped.fingerprint


def test_a_training_image_that_is_a_test_image(opened, refusal):
    twice = {(1, 9), (2, 9)}  # train/cat/1.jpg and 2.jpg are test/cat/1.jpg
    line = (
        "2 training images are copies of test images (identical): train/cat/1.jpg = "
        "train/cat/2.jpg = test/cat/1.jpg"
    )
    kept = opened(twice)
    assert kept.composition.warnings == (f"{line}; --duplicates drop takes them out of training",)
    assert len(kept.train.labels) == 8
    dropped = opened(twice, "drop")
    assert (dropped.composition.left_out, dropped.composition.warnings) == ((line,), ())
    assert set(kept.train.names) - set(dropped.train.names) == {
        "train/cat/1.jpg",
        "train/cat/2.jpg",
    }
    assert dropped.test.names == kept.test.names
    assert dropped.fingerprint != kept.fingerprint
    refusal(lambda: opened(twice, "stop"), line, "--duplicates drop", "--duplicates keep")


def test_what_is_left_keeps_its_pixels_labels_and_order(opened):
    kept, dropped = (opened({(1, 9), (6, 5)}, policy) for policy in ("keep", "drop"))
    rows = [n for n, name in enumerate(kept.train.names) if name in dropped.train.names]
    assert rows == [0, 2, 3, 4, 5, 7]
    np.testing.assert_array_equal(dropped.train.images, kept.train.images[rows])
    np.testing.assert_array_equal(dropped.train.labels, kept.train.labels[rows])
    assert dropped.train.names == tuple(np.array(kept.train.names)[rows])
    np.testing.assert_array_equal(dropped.test.images, kept.test.images)
    same = {f.name for f in dataclasses.fields(kept)} - {"train", "test", "validation"}
    same -= {"copies", "composition", "fingerprint"}
    assert all(getattr(kept, name) == getattr(dropped, name) for name in same)


def test_an_image_with_two_labels_is_dropped_with_its_copy(opened):
    kept, dropped = (opened({(0, 4), (10, 13)}, policy) for policy in ("keep", "drop"))
    pair, other = "train/cat/0.jpg = train/dog/0.jpg", "test/cat/2.jpg = test/dog/1.jpg"
    (warning,) = kept.composition.warnings
    line = f"4 images have copies with another label (identical): {pair}, {other}"
    assert warning == f"{line}; --duplicates drop takes them out of training"
    assert dropped.composition.left_out == (
        f"2 images have copies with another label (identical): {pair}",
    )
    assert dropped.composition.warnings == (
        f"2 images have copies with another label (identical): {other}",
    )
    assert not {"train/cat/0.jpg", "train/dog/0.jpg"} & set(dropped.train.names)
    assert len(dropped.test.names) == 8


def test_a_test_image_with_another_label_than_its_copy_stays(opened):
    dropped = opened({(0, 12)}, "drop")
    assert dropped.composition.left_out == (
        "1 image has a copy with another label (identical): train/cat/0.jpg = test/dog/0.jpg",
    )
    assert (len(dropped.train.names), len(dropped.test.names)) == (7, 8)


def test_the_first_of_copies_in_training_stays(opened):
    kept, dropped = (opened({(2, 1), (3, 1)}, policy) for policy in ("keep", "drop"))
    line = (
        "2 training images are copies of other training images (identical): train/cat/2.jpg = "
        "train/cat/3.jpg = train/cat/1.jpg"
    )
    assert kept.composition.warnings[0].startswith(line)
    assert dropped.composition.left_out == (line,)
    assert dropped.train.names[:2] == ("train/cat/0.jpg", "train/cat/1.jpg")


def test_validation_images_go_before_test_images_and_after_training_images(opened):
    names = [n.replace("train", s) for s in ("train", "val") for n in NAMES[:8]] + NAMES[8:]
    assert (names[9], names[17]) == ("val/cat/1.jpg", "test/cat/1.jpg")
    copied = {(0, 8), (9, 17)}  # of validation; and validation of test
    kept, dropped = (opened(copied, policy, names) for policy in ("keep", "drop"))
    lines = (
        "1 validation image is a copy of a test image (identical): val/cat/1.jpg = test/cat/1.jpg",
        "1 training image is a copy of a validation image (identical): train/cat/0.jpg = "
        "val/cat/0.jpg",
    )
    assert dropped.composition.left_out == lines
    assert kept.composition.warnings[0] == lines[0]
    assert kept.composition.warnings[1].startswith(lines[1])
    counts = [len(s.labels) for s in (dropped.train, dropped.validation, dropped.test)]
    assert counts == [7, 7, 8]


def test_near_copies_are_counted_beside_identical_ones(pack, photographs, encoded):
    images = [Image.fromarray(pixels) for pixels in photographs(16)]
    files = {name: encoded(image) for name, image in zip(NAMES, images, strict=True)}
    files["train/cat/0.jpg"] = encoded(images[8], "JPEG", quality=70)
    files["train/cat/1.jpg"] = files["test/cat/1.jpg"]
    (line,) = open_images(str(pack(files)), 32, say=str).composition.warnings
    assert line.startswith(
        "2 training images are copies of test images (1 identical, 1 nearly): train/cat/1.jpg = "
        "test/cat/1.jpg, train/cat/0.jpg = test/cat/0.jpg; "
    )


def test_a_class_that_loses_its_last_image_is_an_error(opened, refusal):
    all_cats = {(n, 8 + n) for n in range(4)}
    refusal(lambda: opened(all_cats, "drop"), "train: 4 dog, 0 cat")


def test_drawn_images_have_no_duplicates(monkeypatch):
    monkeypatch.setattr(resolve, "synthetic", lambda size: synthetic(size, train=200, test=50))
    images = open_images("synthetic", 32, duplicates="stop", say=str)
    assert images.composition.warnings == ()


def test_too_many_images_to_compare_is_told(opened, monkeypatch):
    monkeypatch.setattr(copies, "MAX_NEAR", 10)
    monkeypatch.setattr(duplicates, "MAX_NEAR", 10)
    (line,) = opened().composition.warnings
    assert line.startswith("only identical images were looked for")


def test_a_few_groups_are_named_and_the_others_counted(opened):
    kept = opened({(0, 8), (1, 9), (2, 10), (3, 11), (4, 12), (5, 12), (6, 12), (7, 12)})
    (line,) = kept.composition.warnings
    assert line.startswith("8 training images are copies of test images (identical): ")
    assert line.partition("): ")[2].startswith(
        "train/cat/0.jpg = test/cat/0.jpg, train/cat/1.jpg = test/cat/1.jpg, "
        "train/cat/2.jpg = test/cat/2.jpg and 5 more; "
    )
    (line,) = opened({(n, 12) for n in range(4, 8)}).composition.warnings
    names = " = ".join(f"train/dog/{n}.jpg" for n in range(3))
    assert f": {names} = test/dog/0.jpg and 1 more; " in line
