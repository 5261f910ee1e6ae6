"""Labels, splits and descriptions of layouts of folders and file names."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossbench.benchmarks.data.cache import open_cached
from lossbench.benchmarks.data.class_names import class_labels, find_label
from lossbench.benchmarks.data.folder import path_source
from lossbench.benchmarks.data.sources import CATS_AND_DOGS

LABELS = class_labels(CATS_AND_DOGS)
THREE = ("ant", "bee", "cow")


def names_of(source, split):
    return {image.name for image in source.images() if image.split == split}


def layout(splits, classes=("cat", "dog"), root=""):
    return tuple(f"{root}{s}/{c}/{{}}.jpg" for s in splits for c in classes)


@pytest.mark.parametrize("kind", ["directory", "zip", "tar.gz"])
@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (("cat/{}.jpg", "dog/{}.jpg"), (4, 4, 1, 1)),
        (("a/b/c/Cats/{}.jpg", "a/b/c/DOGS/{}.png"), (4, 4, 1, 1)),
        (("cat.{}.jpg", "dog.{}.jpg"), (4, 4, 1, 1)),
        (("train/cat_{}.png", "train/dog-{}.PNG", "test1/{}.jpg"), (4, 4, 1, 1)),
        (layout(("train", "test"), root="x/"), (5, 5, 5, 5)),
        (layout(("Training_Set", "valid")), (5, 5, 5, 5)),
        (layout(("train", "val", "testing")), (5, 5, 5, 5)),
        (("cat/persian/{}.jpg", "dog/husky/{}.jpg", "horse/{}.jpg"), (4, 4, 1, 1)),
    ],
)
def test_layouts(pack, pets, kind, patterns, expected):
    found = [(i.split, i.label) for i in path_source(pack(pets(*patterns), kind)).images()]
    assert tuple(found.count((s, label)) for s in ("train", "test") for label in (1, 0)) == expected


@pytest.mark.parametrize("split", ["test", "Testing", "validation", "VALID", "val", "test_set"])
def test_names_of_a_test_split(pack, pets, split):
    source = path_source(pack(pets(*layout(("training", split), ("cats", "dogs")), count=2)))
    expected = {f"{split}/{c}/{n}.jpg" for c in ("cats", "dogs") for n in range(2)}
    assert names_of(source, "test") == expected


@pytest.mark.parametrize(
    ("parts", "label"),
    [
        (("dogs", "cat", "1.jpg"), 1),  # the innermost folder
        (("cat", "dog.7.jpg"), 1),  # a folder before a file name
        (("train", "dog.7.jpg"), 0),
        (("train", "Cat (7).jpg"), 1),
        (("cat", "no-suffix"), 1),
        *((parts, None) for parts in (("1.jpg",), ("catalog.1.jpg",), ("cat.jpg",))),
        (("cats_and_dogs", "1.jpg"), None),
        (("__MACOSX", "cat", "1.jpg"), None),
        *(
            (("cat", name), None)
            for name in ("Thumbs.db", "desktop.ini", ".DS_Store", "._1.jpg", "readme.txt")
        ),
    ],
)
def test_labels_of_paths(parts, label):
    assert find_label(parts, LABELS) == label


@given(st.lists(st.text("catdogsTrainvle._-1 (é\u0130\n😺", min_size=1), min_size=1, max_size=5))
def test_any_path_has_a_valid_label(parts):
    label = find_label(tuple(parts), LABELS)
    assert label in (0, 1, None)
    text = "".join(parts).lower()
    assert label is None or "cat" in text or "dog" in text


def composed(pack, files, kind="zip"):
    path = pack(files, kind)
    source = path_source(path)
    assert source.description == f"cats and dogs of {path}"
    return source.composition


def test_the_folders_of_each_split_are_told(pack, pets):
    three = pets(*layout(("train a", "train b", "val", "test")), count=1)
    assert composed(pack, three).origins == {
        "train": "from train a/, train b/",
        "validation": "from val/",
        "test": "from test/",
    }
    two = pets(*layout(("train", "val")), count=1)
    expected = {"train": "from train/", "test": "from val/, as there is no test folder"}
    assert composed(pack, two, "tar").origins == expected
    one = pets("Cat/{}.jpg", "Dog/{}.jpg", count=2)
    assert composed(pack, one).origins == {"test": "a fixed 20% of each class"}


def test_what_is_left_out_is_told_with_the_reason(pack, pets):
    files = pets("cat/{}.jpg", "dog/{}.jpg", "horse/{}.jpg", "ship/{}.jpg", count=3)
    assert composed(pack, files).left_out == ("6 files of no class: horse/ (3), ship/ (3)",)
    files = pets("cat/{}.jpg", "dog/{}.jpg", "test/{}.jpg", "dog/Feature Maps/{}.png", count=2)
    files |= pets(
        "cat/masks/cat.{}.png",
        "train/trimaps/cat/{}.png",
        ".cache/cat/{}.jpg",
        "notes{}.txt",
        "cover{}.jpg",
        count=1,
    )
    assert composed(pack, files, "tar").left_out == (
        "3 files of no class: ./ (1), test/ (2)",
        "4 files that are no photographs: Feature Maps/ (2), masks/ (1), trimaps/ (1)",
    )
    assert len(path_source(pack(files, "tar")).images()) == 4
    files = pets("cat/{}.jpg", "dog/{}.jpg", *(f"x{n}/{{}}.jpg" for n in range(9)), count=2)
    (line,) = composed(pack, files).left_out
    assert line.startswith("18 files of no class: x0/ (2), ")
    assert line.endswith(", x7/ (2) and 1 more")
    assert composed(pack, pets("cat/{}.jpg", "dog/{}.jpg")).left_out == ()


@pytest.mark.parametrize("kind", ["directory", "zip", "tar.gz"])
@pytest.mark.parametrize(
    "folder",
    [
        "$RECYCLE.BIN",
        "@eaDir",
        "thumbnails",
        "Thumbs",
        "masks",
        ".cache",
        "__MACOSX",
        "Feature_Maps",
    ],
)
def test_folders_of_no_photographs(pack, pets, kind, folder):
    files = pets("cat/{}.jpg", "dog/{}.jpg", count=4)
    clean = path_source(pack(files, kind, "clean"))
    more = pets(f"{folder}/cat/{{}}.jpg", f"cat/{folder}/{{}}.jpg", f"test/{folder}/dog/{{}}.jpg")
    assert path_source(pack(files | more, kind)).fingerprint == clean.fingerprint


def test_file_names_that_contradict_their_folder_are_told(pack, pets):
    files = pets("cat/cat.{}.jpg", "dog/{}.jpg", "dog/dogs.{}.jpg", count=3)
    assert composed(pack, files).warnings == ()
    (line,) = composed(pack, files | pets("cat/dog.{}.jpg", count=1), "tar").warnings
    assert line == (
        "1 file name contradicts its folder, which is taken as the class: cat/dog.0.jpg"
    )
    (line,) = composed(pack, files | pets("dog/Cat_{}.jpg"), "tar.gz").warnings
    assert line.startswith("5 file names contradict their folder, ")
    assert line.endswith(": dog/Cat_0.jpg, dog/Cat_1.jpg, dog/Cat_2.jpg and 2 more")


def test_the_made_test_split_depends_on_names_alone(pack, pets, jpeg):
    files = pets("cat/{}.jpg", "dog/{}.jpg", count=40)

    def chosen(files, kind, name):
        return names_of(path_source(pack(files, kind, name)), "test")

    first = chosen(files, "zip", "first")
    assert chosen(dict(reversed(files.items())), "zip", "backwards") == first
    wrapped = {f"some/where/{name}": content for name, content in files.items()}
    assert chosen(wrapped, "tar.gz", "wrapped") == first
    assert chosen({name: jpeg(0) for name in files}, "directory", "other") == first
    assert sum(name.startswith("cat") for name in first) == 8
    # A shuffle, not the first names of each class.
    assert first != {f"{c}/{n}.jpg" for c in ("cat", "dog") for n in range(8)}


def test_the_fingerprint_depends_on_content_and_labels_but_not_on_order(pack, pets):
    files = pets("cat/{}.jpg", "dog/{}.jpg")

    def fingerprint(files, name, kind="zip"):
        return path_source(pack(files, kind, name)).fingerprint

    first = fingerprint(files, "a")
    assert len(first) == 64
    assert fingerprint(dict(reversed(files.items())), "b") == first
    swapped = {n.translate(str.maketrans("catdog", "dogcat")): c for n, c in files.items()}
    copy = {"cat/0.jpg": files["cat/1.jpg"]}
    for name, other in {"c": files | copy, "d": files | {"cat/9.jpg": b"9"}, "e": swapped}.items():
        assert fingerprint(other, name) != first
    assert fingerprint(files, "f", "directory") == fingerprint(files, "g", "tar.gz")


@pytest.mark.parametrize("kind", ["directory", "zip", "tar.gz"])
def test_one_class_is_an_error_that_lists_what_was_found(pack, pets, kind, refusal):
    path = pack(pets("cat/{}.jpg", "horse/{}.jpg"), kind)
    found = "found 0 dog, 5 cat among 10 files (folders: cat, horse)"
    refusal(lambda: path_source(path), found, "folders named dog, cat", "dog.1.jpg")


def test_no_class_is_an_error_that_names_inner_archives(pack, tmp_path, refusal):
    (tmp_path / "empty").mkdir()
    refusal(lambda: path_source(tmp_path / "empty"), "found 0 dog, 0 cat among 0 files")
    path = pack({"train.zip": b"PK", "test1.zip": b"PK"}, "zip")
    refusal(lambda: path_source(path), "unpack", ": test1.zip, train.zip")


OTHER_FORMATS = {
    "arrow": (["train/data-00000-of-00001.arrow", "train/state.json"], "load_from_disk"),
    "tfrecord": (["cats.tfrecord", "dogs.tfrecord"], "TFRecordDataset"),
    "tensorflow datasets": (["1.0/x-train.tfrecord-00000-of-00008"], "TFRecordDataset"),
    "webdataset": (["000001.jpg", "000001.cls", "000002.jpg", "000002.cls"], "WebDataset"),
    "shards": (["train-000000.tar", "train-000001.tar"], "WebDataset"),
    "npz": (["train.npz"], "PIL.Image.fromarray"),
    "npy": (["x_train.npy", "y_train.npy"], "PIL.Image.fromarray"),
    "hdf5": (["catvnoncat.h5"], "PIL.Image.fromarray"),
    "heic": (["IMG_1.HEIC", "IMG_2.heic"], "IMG_1.HEIC, IMG_2.heic: HEIC photographs; convert"),
}


@pytest.mark.parametrize("kind", ["directory", "zip", "tar.gz"])
@pytest.mark.parametrize("form", OTHER_FORMATS)
def test_other_formats_are_refused_with_what_to_do(pack, kind, form, refusal):
    names, advice = OTHER_FORMATS[form]
    path = pack(dict.fromkeys(names, b"?"), kind)
    refusal(lambda: path_source(path), "found 0 dog, 0 cat", advice)


@pytest.mark.parametrize(
    ("name", "advice"),
    [("a.tfrecord", "tf.data"), ("b.txt", ""), ("c.CSV", "the folder of the table")],
)
def test_a_file_of_another_format_is_refused_with_what_to_do(tmp_path, name, advice, refusal):
    (tmp_path / name).write_bytes(b"PAR1")
    refusal(lambda: path_source(tmp_path / name), "neither a directory nor an archive", advice)


def test_an_array_of_numpy_is_refused_with_what_to_do(tmp_path, refusal):
    np.savez(tmp_path / "pets.npz", images=np.zeros(3), labels=np.zeros(3))
    refusal(lambda: path_source(tmp_path / "pets.npz"), "images.npy, labels.npy: arrays of NumPy")


def test_photographs_in_heic_end_the_command_with_what_to_do(pack, refusal):
    heic = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(99)
    path = pack({f"{c}/{n}.heic": heic + bytes([n]) for c in ("cat", "dog") for n in range(3)})
    refusal(lambda: open_cached(path_source(path), 32, say=str), "cat/0.heic (HEIC; convert to")


@pytest.mark.parametrize(
    ("patterns", "count", "message"),
    [
        (("train/cat/{}.jpg", "train/dog/{}.jpg", "test/dog/{}.jpg"), 5, "test: 5 dog, 0 cat"),
        (layout(("test",)), 5, "train: 0 dog, 0 cat"),
        (("cat/{}.jpg", "dog/{}.jpg"), 1, "train: 0 dog, 0 cat"),
        ((*layout(("train", "test")), "valid/cat/{}.jpg"), 5, "validation: 0 dog, 5 cat"),
    ],
)
def test_a_split_without_a_class_is_an_error(pack, pets, refusal, patterns, count, message):
    path = pack(pets(*patterns, count=count), "zip")
    refusal(lambda: path_source(path), message, "add images to the folder")


def test_names_are_printable(pack, jpeg):
    files = {f"{c}/{n}\x1b[31m.jpg": jpeg(n) for c in ("cat", "dog") for n in range(3)}
    path = pack(files)
    (path / "cat" / "0\x1b[31m.jpg").rename(str(path / "cat" / "0") + "\udcff.jpg")
    images = path_source(path).images()
    assert len(images) == 6
    assert all(image.name.isprintable() for image in images)


def test_the_name_of_a_source_comes_from_its_path(pack, pets):
    files = pets("cat/{}.jpg", "dog/{}.jpg", count=2)
    assert path_source(pack(files, "tar.gz", "My Pets (2)")).name == "My-Pets-2"
    assert path_source(pack(files, "directory", "v1.2")).name == "v1.2"


def test_a_validation_folder_beside_a_test_folder_is_the_validation_split(pack, pets):
    source = path_source(pack(pets(*layout(("train", "val", "test")), count=3)))
    folders = [image.name.partition("/")[0] for image in source.images()]
    assert folders == ["train"] * 6 + ["val"] * 6 + ["test"] * 6
    splits = [image.split for image in source.images()]
    assert splits == ["train"] * 6 + ["validation"] * 6 + ["test"] * 6


def test_classes_other_than_cats_and_dogs(pack, pets, refusal):
    files = pets("Ants/{}.jpg", "bee/{}.jpg", "cow.{}.jpg", "cat/{}.jpg", count=10)
    source = path_source(pack(files, "zip"), classes=THREE)
    assert source.classes == THREE
    assert all(i.label == {"A": 0, "b": 1, "c": 2}[i.name[0]] for i in source.images())
    for label in range(3):
        splits = [image.split for image in source.images() if image.label == label]
        assert (splits.count("train"), splits.count("test")) == (8, 2)
    assert source.description.startswith("3 classes of ")
    assert source.composition.left_out == ("10 files of no class: cat/ (10)",)
    path = pack(pets("ant/{}.jpg", "bee/{}.jpg"))
    words = ("found 5 ant, 5 bee, 0 cow among 10 files", "folders named ant, bee, cow")
    refusal(lambda: path_source(path, classes=THREE), *words)
