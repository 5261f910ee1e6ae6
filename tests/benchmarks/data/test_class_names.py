"""Names of classes: --classes, breeds, what is no photograph."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossbench.benchmarks.data import open_images
from lossbench.benchmarks.data.class_names import class_labels, find_label, parse_classes
from lossbench.benchmarks.data.folder import path_source
from lossbench.benchmarks.data.pets import oxford_pets
from lossbench.benchmarks.data.sources import CATS_AND_DOGS
from lossbench.benchmarks.errors import UserError


def counts(source):
    found = [(image.split, source.classes[image.label]) for image in source.images()]
    return {key: found.count(key) for key in sorted(set(found))}


@pytest.mark.parametrize(
    ("flags", "classes", "labels"),
    [
        (["cat=kitten,gatos", "dog=perros, Puppy"], ("dog", "cat"), {"puppy": 0, "gatos": 1}),
        (["dog=dog", "cat=cat"], ("dog", "cat"), {"dogs": 0, "cat": 1}),
        (["cat", "dog"], ("dog", "cat"), {"dog": 0, "cats": 1}),
        (["apple=Pink Lady", "pear"], ("apple", "pear"), {"pink lady": 0, "pear": 1}),
        (["cat=0", "dog=1", "owl=2"], ("dog", "owl", "cat"), {"1": 0, "2": 1, "0": 2}),
        (["a=cats", "b=cat"], ("a", "b"), {"cats": 0, "cat": 1, "catss": 0}),
    ],
)
def test_classes_are_named(flags, classes, labels):
    found = parse_classes(flags)
    assert found[0] == classes
    assert labels.items() <= found[1].items()


@pytest.mark.parametrize(
    "flags",
    [
        *(["cat="], ["cat=a,,b", "dog"], ["=a", "dog"], ["cat=a/b", "dog"], ["cat"], ["", "dog"]),
        *(["cat=x", "dog=X"], ["cat", "cat=b"], ["cat=a\n", "dog=\x1b", "a\x1b=b"]),
        [str(n) for n in range(256)],
    ],
)
def test_other_values_are_refused(flags, refusal):
    refusal(lambda: parse_classes(flags), "--classes ")


@given(st.lists(st.text("cat=dog,s /A\x1b"), max_size=4))
def test_any_value_is_parsed_or_refused(flags):
    try:
        classes, labels = parse_classes(flags)
    except UserError:
        return
    assert set(labels.values()) == set(range(len(classes)))


def test_only_what_is_named_is_a_class(pack, pets):
    names = ("cat", "tabby", "dog", "wolves", "kitten")
    path = pack(pets(*(f"{name}/{{}}.jpg" for name in names)), "zip")
    source = path_source(path, class_names=["cat=tabby,kitten", "dog=wolf,wolves"])
    assert counts(source) == {
        ("test", "cat"): 2,
        ("test", "dog"): 1,
        ("train", "cat"): 8,
        ("train", "dog"): 4,
    }
    assert source.composition.left_out == ("10 files of no class: cat/ (5), dog/ (5)",)
    plain = path_source(path, class_names=["dog", "cat"])
    assert plain.fingerprint != source.fingerprint


def test_names_of_classes_begin_names_of_files(pack, pets):
    source = path_source(
        pack(pets("gato_{}.jpg", "Big Dog ({}).jpg", "cat.{}.jpg")),
        class_names=["cat=gato", "dog=big dog"],
    )
    assert sum(counts(source).values()) == 10


def test_folders_of_no_class_are_told_how_to_be_named(pack, pets, refusal):
    path = pack(pets("gatti/{}.jpg", "cani/{}.jpg"))
    message = refusal(lambda: path_source(path), "folders: cani, gatti")
    assert "--classes dog=FOLDER cat=FOLDER" in message
    path_source(path, class_names=["dog=cani", "cat=gatti"])
    refusal(lambda: path_source(path, class_names=["dog=cani", "cat=gati"]), "found 5 dog, 0 cat")


def test_sources_with_a_name_have_classes_of_their_own(refusal):
    refusal(lambda: open_images("cifar10", 32, classes=["a", "b"], say=str), "--classes a b")


def test_the_breeds_of_the_pets_are_known_by_their_file_names(real_data, monkeypatch):
    monkeypatch.setenv("LOSSBENCH_DATA", str(real_data))
    labels = class_labels(CATS_AND_DOGS)
    images = oxford_pets(str).images()
    found = {find_label(("images", f"{i.name}.jpg"), labels) == i.label for i in images}
    assert found == {True}
    assert len(images) > 600


def test_archives_inside_are_told(pack, pets):
    files = pets("cat/{}.jpg", "dog/{}.jpg")
    more = dict.fromkeys(("more.zip", "cat/old.tar.gz", "dog/x.7Z", "b.rar"), b"PK")
    source = path_source(pack(files | more))
    assert source.composition.left_out == (
        "4 archives inside, not unpacked: b.rar, cat/old.tar.gz, dog/x.7Z, more.zip",
    )
    assert len(source.images()) == 10
    assert source.fingerprint == path_source(pack(files, name="clean")).fingerprint
