"""Which pictures a layout of folders and names means, and how they are split."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossbench.benchmarks.data.folder import class_labels, find_label, find_split, path_source
from lossbench.benchmarks.data.sources import CATS_AND_DOGS
from lossbench.benchmarks.errors import UserError

LABELS = class_labels(CATS_AND_DOGS)
KINDS = ("directory", "zip", "tar.gz")


def counts(source):
    """(train cats, train dogs, test cats, test dogs)"""
    splits = ("train", "test")
    pairs = [(p.split, p.label) for p in source.images()]
    return tuple(pairs.count((split, label)) for split in splits for label in (1, 0))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (("cat/{}.jpg", "dog/{}.jpg"), (4, 4, 1, 1)),
        (("a/b/c/Cats/{}.jpg", "a/b/c/DOGS/{}.png"), (4, 4, 1, 1)),
        (("cat.{}.jpg", "dog.{}.jpg"), (4, 4, 1, 1)),
        (("train/cat_{}.png", "train/dog-{}.PNG", "test1/{}.jpg"), (4, 4, 1, 1)),
        (
            tuple(f"x/{s}/{c}/{{}}.jpg" for s in ("train", "test") for c in ("cat", "dog")),
            (5, 5, 5, 5),
        ),
        (
            tuple(f"{s}/{c}/{{}}.jpg" for s in ("Training_Set", "valid") for c in ("cat", "dog")),
            (5, 5, 5, 5),
        ),
        (
            tuple(f"{s}/{c}/{{}}.jpg" for s in ("train", "val", "testing") for c in ("cat", "dog")),
            (5, 5, 5, 5),
        ),
        (("cat/persian/{}.jpg", "dog/husky/{}.jpg", "horse/{}.jpg"), (4, 4, 1, 1)),
    ],
)
def test_layouts(pack, pets, kind, patterns, expected):
    assert counts(path_source(pack(pets(*patterns), kind))) == expected


@pytest.mark.parametrize("split", ["test", "Testing", "validation", "VALID", "val", "test_set"])
def test_every_name_of_a_held_out_split(pack, pets, split):
    names = [f"{s}/{c}/{{}}.jpg" for s in ("training", split) for c in ("cats", "dogs")]
    source = path_source(pack(pets(*names, count=2)))
    assert {p.name for p in source.images() if p.split == "test"} == {
        f"{split}/{c}/{n}.jpg" for c in ("cats", "dogs") for n in range(2)
    }


def test_labels_and_splits_of_single_paths():
    assert find_label(("dogs", "cat", "1.jpg"), LABELS) == 1  # the innermost folder
    assert find_label(("cat", "dog.7.jpg"), LABELS) == 1  # a folder before a file's name
    assert find_label(("train", "dog.7.jpg"), LABELS) == 0
    assert find_label(("cat", "no-suffix"), LABELS) == 1
    for parts in (("1.jpg",), ("catalogue.1.jpg",), ("cat.jpg",), ("cats_and_dogs", "1.jpg")):
        assert find_label(parts, LABELS) is None
    for name in ("Thumbs.db", "desktop.ini", ".DS_Store", "._1.jpg", "readme.txt"):
        assert find_label(("cat", name), LABELS) is None
    assert find_label(("__MACOSX", "cat", "1.jpg"), LABELS) is None
    assert find_split(("test", "train", "cat", "1.jpg")) == "train"
    assert find_split(("test1", "cat", "1.jpg")) is None


def test_the_description_says_what_was_done(pack, pets):
    files = pets("cat/{}.jpg", "dog/{}.jpg", "horse/{}.jpg", "ship/{}.jpg", count=3)
    about = path_source(pack(files)).description
    assert "left out: 6 files of other folders (horse, ship)" in about
    assert "a fixed 20% of each class" in about
    names = [f"{s}/{c}/{{}}.jpg" for s in ("train", "val", "test") for c in ("cat", "dog")]
    assert (
        "validation split: the validation folder (10 images)"
        in path_source(pack(pets(*names), "zip")).description
    )
    assert (
        "test split: the validation folder"
        in path_source(pack(pets(*names[:4]), "tar")).description
    )


def test_the_made_split_depends_on_names_alone(pack, pets, jpeg):
    files = pets("cat/{}.jpg", "dog/{}.jpg", count=40)

    def held_out(files, kind, name):
        source = path_source(pack(files, kind, name))
        return {p.name for p in source.images() if p.split == "test"}

    first = held_out(files, "zip", "first")
    backwards = dict(reversed(files.items()))
    assert held_out(backwards, "zip", "backwards") == first
    wrapped = {f"some/where/{name}": content for name, content in files.items()}
    assert held_out(wrapped, "tar.gz", "wrapped") == first
    assert held_out({name: jpeg(0) for name in files}, "directory", "other") == first
    assert sum(name.startswith("cat") for name in first) == 8
    # A shuffle, not the first names of each class.
    assert first != {f"{c}/{n}.jpg" for c in ("cat", "dog") for n in range(8)}


def test_the_fingerprint_knows_content_and_labels_but_not_order(pack, pets):
    files = pets("cat/{}.jpg", "dog/{}.jpg")

    def fingerprint(files, name, kind="zip"):
        return path_source(pack(files, kind, name)).fingerprint

    first = fingerprint(files, "a")
    assert len(first) == 64
    assert fingerprint(dict(reversed(files.items())), "b") == first
    assert fingerprint({**files, "cat/0.jpg": files["cat/1.jpg"]}, "c") != first
    assert fingerprint({**files, "cat/9.jpg": files["cat/1.jpg"]}, "d") != first
    swapped = {n.translate(str.maketrans("catdog", "dogcat")): c for n, c in files.items()}
    assert fingerprint(swapped, "e") != first
    assert fingerprint(files, "f", "directory") == fingerprint(files, "g", "tar.gz")


@pytest.mark.parametrize("kind", KINDS)
def test_one_class_is_an_error_that_says_what_was_found(pack, pets, kind):
    files = pets("cat/{}.jpg", "horse/{}.jpg")
    with pytest.raises(UserError) as caught:
        path_source(pack(files, kind))
    assert "found 0 dog, 5 cat among 10 files (folders: cat, horse)" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_class_is_an_error_that_names_inner_archives(pack, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="found 0 dog, 0 cat among 0 files"):
        path_source(tmp_path / "empty")
    with pytest.raises(UserError, match=r"unpack .*: test1\.zip, train\.zip"):
        path_source(pack({"train.zip": b"PK", "test1.zip": b"PK"}, "zip"))


def test_a_split_without_one_of_the_classes_is_an_error(pack, pets):
    files = pets("train/cat/{}.jpg", "train/dog/{}.jpg", "test/dog/{}.jpg")
    with pytest.raises(UserError, match="test: 5 dog, 0 cat"):
        path_source(pack(files))
    with pytest.raises(UserError, match="train: 0 dog, 0 cat"):
        path_source(pack(pets("test/cat/{}.jpg", "test/dog/{}.jpg"), "zip"))
    with pytest.raises(UserError, match="train: 0 dog, 0 cat"):
        path_source(pack(pets("cat/{}.jpg", "dog/{}.jpg", count=1), "tar"))


def test_names_are_fit_to_print(pack, jpeg):
    files = {f"{c}/{n}\x1b[31m.jpg": jpeg(n) for c in ("cat", "dog") for n in range(3)}
    path = pack(files)
    (path / "cat" / "0\x1b[31m.jpg").rename(str(path / "cat" / "0") + "\udcff.jpg")
    source = path_source(path)
    assert all(p.name.isprintable() for p in source.images())
    assert len(source.fingerprint) == 64


def test_the_source_is_called_after_its_path(pack, pets):
    files = pets("cat/{}.jpg", "dog/{}.jpg", count=2)
    assert path_source(pack(files, "tar.gz", "My Pets (2)")).name == "My-Pets-2"
    assert path_source(pack(files, "directory", "v1.2")).name == "v1.2"


@given(st.lists(st.text(st.characters(codec="utf-8"), min_size=1), min_size=1, max_size=5))
def test_no_path_breaks_the_rules(parts):
    assert find_label(tuple(parts), LABELS) in (0, 1, None)
    assert find_split(tuple(parts)) in ("train", "validation", "test", None)
    plain = Path(parts[-1]).name.lower()
    if "cat" not in "".join(parts).lower() and "dog" not in "".join(parts).lower():
        assert find_label(tuple(parts), LABELS) is None, plain


def test_a_validation_folder_beside_a_test_folder_is_the_validation_split(pack, pets):
    names = [f"{s}/{c}/{{}}.jpg" for s in ("train", "val", "test") for c in ("cat", "dog")]
    source = path_source(pack(pets(*names, count=3)))
    for picture in source.images():
        folder = picture.name.partition("/")[0]
        assert picture.split == {"val": "validation"}.get(folder, folder)
    splits = [p.split for p in source.images()]
    assert splits == ["train"] * 6 + ["validation"] * 6 + ["test"] * 6


def test_a_validation_folder_without_one_of_the_classes_is_an_error(pack, pets, refusal):
    names = [f"{s}/{c}/{{}}.jpg" for s in ("train", "test") for c in ("cat", "dog")]
    path = pack(pets(*names, "valid/cat/{}.jpg"))
    refusal(lambda: path_source(path), "validation: 0 dog, 5 cat", "add images to the folder")


def test_other_classes_than_cats_and_dogs(pack, pets):
    three = ("ant", "bee", "cow")
    files = pets("Ants/{}.jpg", "bee/{}.jpg", "cow.{}.jpg", "cat/{}.jpg", count=10)
    source = path_source(pack(files, "zip"), classes=three)
    assert source.classes == three
    expected = {"A": 0, "b": 1, "c": 2}
    assert all(p.label == expected[p.name[0]] for p in source.images())
    for label in range(3):
        mine = [p.split for p in source.images() if p.label == label]
        assert (mine.count("train"), mine.count("test")) == (8, 2)
    assert source.description.startswith("3 classes of ")
    assert source.description.endswith("left out: 10 files of other folders (cat)")


def test_a_class_of_several_that_is_missing_is_an_error(pack, pets, refusal):
    path = pack(pets("ant/{}.jpg", "bee/{}.jpg"))
    words = ("found 5 ant, 5 bee, 0 cow among 10 files", "folders named ant, bee, cow")
    refusal(lambda: path_source(path, classes=("ant", "bee", "cow")), *words)
