"""Splits and classes that the user names: --split and --classes."""

import pytest

from lossbench.benchmarks.data import listing_cache
from lossbench.benchmarks.data.folder import path_source
from lossbench.benchmarks.data.split_names import parse_splits
from lossbench.benchmarks.errors import UserError

from .layouts import CLASSES, KINDS, counts_of, files, halves


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("layout", "splits", "counts"),
    [
        (
            halves({"Lernen": (6, 5), "Pr\u00fcfung 1": (4, 3)}),
            ["train=Lernen", "test=Pr\u00fcfung 1/"],
            ((6, 5), (0, 0), (4, 3)),
        ),
        # Names that are understood need not be given.
        (
            halves({"a": (6, 5), "val": (4, 3), "test": (2, 1)}),
            ["train=a"],
            ((6, 5), (4, 3), (2, 1)),
        ),
        # What is said comes before what a name says.
        (
            halves({"train": (6, 5), "test": (4, 3)}),
            ["test=train", "train=./test"],
            ((4, 3), (0, 0), (6, 5)),
        ),
        # All folders are pooled if the user says so, but not those whose names say test.
        (halves({"a": (6, 2), "b": (4, 8)}), ["train=."], ((8, 8), (0, 0), (2, 2))),
        (
            halves({"a": (6, 5), "b": (4, 3), "test": (2, 1)}),
            ["train=."],
            ((10, 8), (0, 0), (2, 1)),
        ),
        # A folder inside the one that is given.
        (
            halves({"a": (6, 5), "a/test": (4, 3), "b/x": (2, 1), "b/train": (2, 2)}),
            ["train=a", "validation=b"],
            ((6, 5), (4, 3), (4, 3)),
        ),
        # Below a class, with and without its name.
        (
            {f"{c}/{s}/{{}}.jpg": n for c in ("cat", "dog") for s, n in (("x", 3), ("y", 2))},
            ["train=x", "test=cat/y", "test=dog/y"],
            ((3, 3), (0, 0), (2, 2)),
        ),
    ],
)
def test_the_user_says_what_folders_are(pack, kind, layout, splits, counts):
    path = pack(files(layout), kind)
    assert counts_of(path_source(path, splits=splits)) == counts


SPLIT_AND_CLASS = {
    "cats_train/{}.jpg": 6,
    "dogs_train/{}.jpg": 5,
    "cats_test/{}.jpg": 4,
    "dogs_test/{}.jpg": 3,
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_name_of_a_class_folder_may_say_its_split_too(pack, kind):
    path = pack(files(SPLIT_AND_CLASS), kind)
    names = ["cat=cats_train,cats_test", "dog=dogs_train,dogs_test"]
    source = path_source(path, class_names=names)
    assert counts_of(source) == ((6, 5), (0, 0), (4, 3))
    assert source.composition.origins == {
        "train": "from cats_train/, dogs_train/",
        "test": "from cats_test/, dogs_test/",
    }
    swapped = [f"{s}={c}s_{o}" for s, o in (("test", "train"), ("train", "test")) for c in CLASSES]
    given = path_source(path, class_names=names, splits=swapped)
    assert counts_of(given) == ((4, 3), (0, 0), (6, 5))
    alone = path_source(path, class_names=["cat=cats_train", "dog=dogs_train"])
    assert counts_of(alone) == ((5, 4), (0, 0), (1, 1))


def test_a_class_that_is_named_like_a_split_is_a_class(pack, refusal):
    path = pack(files({"train/{}.jpg": 10, "bus/{}.jpg": 5}))
    assert counts_of(path_source(path, class_names=["dog=train", "cat=bus"]))[0] == (4, 8)
    longer = pack(files({"steam_train/{}.jpg": 10, "bus/{}.jpg": 5}), name="longer")
    names = ["dog=steam_train", "cat=bus"]
    words = [". (5 images)", "beside train: steam_train (10 images)"]
    refusal(lambda: path_source(longer, class_names=names), *words)
    assert counts_of(path_source(longer, class_names=names, splits=["train=."]))[0] == (4, 8)


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ("test", "write train=DIR"),
        ("test=", "write train=DIR"),
        ("exam=b", "write train=DIR"),
        ("test=/b", "below --data"),
        ("test=../b", "below --data"),
        ("test=c", "lies in 'c'"),
        ("test=A", "lies in 'A'"),
    ],
)
def test_a_split_that_names_nothing_is_an_error(pack, refusal, split, message):
    path = pack(files(halves({"a": (3, 3), "b": (3, 3)})))
    refusal(lambda: path_source(path, splits=["train=a", split]), message)
    refusal(lambda: path_source(path, splits=["train=a", "test=a"]), "a has two splits")


def test_splits_have_listings_of_their_own(pack, monkeypatch):
    monkeypatch.setattr(listing_cache, "SETTLED_SECONDS", -3600.0)
    path = pack(files(halves({"a": (3, 2), "b": (3, 2)})))
    one, other = (path_source(path, splits=s) for s in (["train=a", "test=b"], ["train=."]))
    assert one.fingerprint != other.fingerprint
    again = path_source(path, splits=["test=b", "train=a"])
    assert (again.fingerprint, again.composition) == (one.fingerprint, one.composition)
    with pytest.raises(UserError, match="not clear"):
        path_source(path)


def test_flags_are_parsed():
    assert parse_splits(["train=a/b/", "VAL=./c", "test=."]) == {
        ("a", "b"): "train",
        ("c",): "validation",
        (): "test",
    }
