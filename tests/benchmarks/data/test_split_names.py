"""Splits by folder name: layouts of public data sets, and folders that end the command."""

import shlex
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossbench.benchmarks.data.folder import path_source
from lossbench.benchmarks.data.split_names import SPLIT_WORDS, split_of_name
from lossbench.benchmarks.errors import UserError

from .layouts import KINDS, counts_of, files, halves

SEPARATED = ("{}", "{}_set", "{} Data", "seg_{}", "{}1", "2024-{}-v2", "my.{}.images", "{}_{}")
JOINED = ("{}set", "{}images", "{}Data")
CAMEL = ("cat{}", "Cats{}2", "{}Animals", "my{}Set")


@pytest.mark.parametrize("word", SPLIT_WORDS)
def test_a_split_is_understood_in_any_name(word):
    names = [p.format(w, w) for p in SEPARATED for w in (word, word.upper(), word.title())]
    names += [p.format(w) for p in JOINED for w in (word, word.title())]
    names += [p.format(word.title()) for p in CAMEL]
    assert {name: split_of_name(name) for name in names} == dict.fromkeys(names, SPLIT_WORDS[word])


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("Training Data", "train"),
        ("TestData", "test"),
        ("trainingSet", "train"),
        ("XTest", "test"),
        ("hold-out", "test"),
        ("Held Out", "test"),
        ("HoldOut", "test"),
        ("T\u00e9st", "test"),
        ("\u6d4b\u8bd5test", "test"),
        *((name, None) for name in ("train_test_split", "latest", "contest", "trainer", "")),
        *(
            (name, None)
            for name in ("d\u00e9test", "Devon Rex", "cats", "Pr\u00fcfung", "\u6d4b\u8bd5")
        ),
    ],
)
def test_a_name_is_read_word_by_word(name, split):
    assert split_of_name(name) == split


PUBLIC = {
    "Kaggle, Dogs vs. Cats": (
        {"train/cat.{}.jpg": 10, "train/dog.{}.jpg": 15, "test1/{}.jpg": 7, "sub{}.csv": 1},
        ((8, 12), (0, 0), (2, 3)),
    ),
    "Microsoft, Kaggle Cats and Dogs": (
        {"PetImages/Cat/{}.jpg": 20, "PetImages/Dog/{}.jpg": 10, "readme[{}].txt": 1},
        ((16, 8), (0, 0), (4, 2)),
    ),
    "Google, cats_and_dogs_filtered": (
        {
            "cats_and_dogs_filtered/train/cats/cat.{}.jpg": 6,
            "cats_and_dogs_filtered/train/dogs/dog.{}.jpg": 5,
            "cats_and_dogs_filtered/validation/cats/cat.200{}.jpg": 4,
            "cats_and_dogs_filtered/validation/dogs/dog.200{}.jpg": 3,
            "cats_and_dogs_filtered/vectorize{}.py": 1,
        },
        ((6, 5), (0, 0), (4, 3)),
    ),
    "a doubled inner folder": (
        halves(
            {"training_set/training_set": (6, 5), "test_set/test_set": (4, 3)}, ("cats", "dogs")
        ),
        ((6, 5), (0, 0), (4, 3)),
    ),
    "AFHQ": (
        halves({"afhq/train": (6, 5, 4), "afhq/val": (3, 2, 1)}, ("cat", "dog", "wild")),
        ((6, 5), (0, 0), (3, 2)),
    ),
    "seg_train beside seg_test": (
        halves({"seg_train/seg_train": (6, 5), "seg_test/seg_test": (4, 3)})
        | {"seg_pred/seg_pred/{}.jpg": 9},
        ((6, 5), (0, 0), (4, 3)),
    ),
    "Training Data beside Test Data": (
        halves({"Cats & Dogs/Training Data": (6, 5), "Cats & Dogs/Test Data": (4, 3)}),
        ((6, 5), (0, 0), (4, 3)),
    ),
    "train_data beside test_data": (
        halves({"train_data": (6, 5), "test_data": (4, 3)}),
        ((6, 5), (0, 0), (4, 3)),
    ),
    "Roboflow": (
        halves({"train": (6, 5, 9), "valid": (4, 3, 9), "test": (2, 1, 9)}, ("cat", "dog", "bird"))
        | {"README.roboflow{}.txt": 1},
        ((6, 5), (4, 3), (2, 1)),
    ),
    "the same images twice": (
        halves(
            {"train": (6, 5), "test": (4, 3)}
            | {"dogs_vs_cats/train": (6, 5), "dogs_vs_cats/test": (4, 3)},
            ("cats", "dogs"),
        ),
        ((12, 10), (0, 0), (8, 6)),
    ),
    "camel case": (
        halves({"TrainImages": (6, 5), "ValImages": (4, 3), "TestImages": (2, 1)}),
        ((6, 5), (4, 3), (2, 1)),
    ),
    "splits below the classes": (
        {"Cats/train_1/{}.jpg": 6, "Dogs/train_1/{}.jpg": 5}
        | {"Cats/holdout/{}.jpg": 4, "Dogs/holdout/{}.jpg": 3},
        ((6, 5), (0, 0), (4, 3)),
    ),
    "a class folder twice": (
        {"archive/Cat/Cat/{}.jpg": 10, "archive/Dog/Dog/{}.jpg": 5},
        ((8, 4), (0, 0), (2, 1)),
    ),
    "development and evaluation sets": (
        halves({"dev set": (6, 5), "Train": (8, 7), "final-Test-set": (4, 3)}),
        ((8, 7), (6, 5), (4, 3)),
    ),
    "a test folder beside class folders": (
        {"cat/{}.jpg": 6, "dog/{}.jpg": 5, "Test/cat/{}.jpg": 4, "Test/dog/{}.jpg": 3},
        ((6, 5), (0, 0), (4, 3)),
    ),
    "breeds": (
        {"cats/persian/{}.jpg": 4, "cats/siamese/{}.jpg": 6, "dogs/husky/{}.jpg": 5},
        ((8, 4), (0, 0), (2, 1)),
    ),
    "an archive whose name says a split": (
        halves({"my-test-main/train": (6, 5), "my-test-main/val": (4, 3)}),
        ((6, 5), (0, 0), (4, 3)),
    ),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_layout_keeps_its_splits(pack, kind, name):
    layout, counts = PUBLIC[name]
    assert counts_of(path_source(pack(files(layout), kind))) == counts


UNCLEAR = {
    "no name is understood": (
        halves({"Lernen": (2, 1), "Pr\u00fcfen": (2, 1)}),
        [
            "Lernen (3 images)",
            "'Pr\u00fcfen' (3 images)",
            "--split train=Lernen test='Pr\u00fcfen' (",
        ],
    ),
    "one name is not understood": (
        halves({"train": (2, 1), "unseen": (2, 1)}),
        ["unseen (3 images)", "beside train: train (3 images)", "--split test=unseen ("],
    ),
    "a folder beside a test folder": (
        halves({"pets/images": (2, 1), "pets/test": (2, 1)}),
        ["pets/images (3 images)", "test: pets/test (3 images)", "--split train=pets/images ("],
    ),
    "a folder beside class folders": (
        {"cat/{}.jpg": 2, "dog/{}.jpg": 1, "more/cat/{}.jpg": 4},
        [". (3 images)", "more (4 images)"],
    ),
    "class folders beside train": (
        {"cat/{}.jpg": 2, "dog/{}.jpg": 1, "train/cat/{}.jpg": 4},
        [". (3 images)", "train: train (4 images)"],
    ),
    "names without words": (
        halves({"1": (1, 1), "2": (1, 1), "3": (1, 1)}),
        ["1 (2 images), 2 (2 images), 3 (2 images)"],
    ),
    "a name of two splits": (
        halves({"train": (2, 1), "val_test": (2, 1)}),
        ["val_test (3 images)"],
    ),
    "file names": (
        {"a/cat.{}.jpg": 3, "a/dog.{}.jpg": 3, "b/cat.{}.jpg": 2, "b/dog.{}.jpg": 2},
        ["a (6 images), b (4 images)"],
    ),
    "below the classes": (
        {f"{c}/{s}/{{}}.jpg": 2 for c in ("cat", "dog") for s in ("Lern", "Pr\u00fcf")},
        ["Lern (4 images), 'Pr\u00fcf' (4 images)"],
    ),
    "below the classes, one understood": (
        {"cat/test/{}.jpg": 2, "cat/x/{}.jpg": 2, "dog/y/{}.jpg": 2},
        ["x (2 images), y (2 images)", "test: test (2 images)"],
    ),
    "train inside test": (
        halves({"train": (2, 1), "test/train": (2, 1), "test/test": (2, 1)}),
        ["test/train (3 images)"],
    ),
    "inside an archive whose name says a split": (
        halves({"my-train-main/Lern": (2, 1), "my-train-main/Pr\u00fcf": (2, 1)}),
        ["my-train-main/Lern (3 images)", "--split train=my-train-main/Lern"],
    ),
    "many": (
        halves({f"user {n:02}": (1, 1) for n in range(30)}),
        ["'user 00' (2 images)", "and 22 more", "train='user 00' test='user 01'"],
    ),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", UNCLEAR)
def test_folders_that_are_not_understood_end_the_command(pack, kind, name, refusal):
    layout, words = UNCLEAR[name]
    refusal(lambda: path_source(pack(files(layout), kind)), "say what each is", *words)


@pytest.mark.parametrize("name", UNCLEAR)
def test_the_splits_that_are_suggested_end_the_error(pack, name):
    path, given = pack(files(UNCLEAR[name][0]), "zip"), []
    for _ in range(len(UNCLEAR[name][0])):
        try:
            assert path_source(path, splits=given).images()
            return
        except UserError as error:
            text = str(error)
        if "say what each is" not in text:  # a split may lack a class
            return
        suggested = shlex.split(text.partition("--split ")[2].rpartition(" (. is")[0])
        assert set(suggested) > set(given)
        given = suggested
    pytest.fail(f"no end: {given}")


def test_the_largest_folder_is_suggested_for_training(pack, refusal):
    path = pack(files(halves({"a": (1, 1), "b": (2, 2), "c": (4, 4)})))
    refusal(lambda: path_source(path), "--split train=c test=b (")
    refusal(lambda: path_source(path, splits=["test=a"]), "--split test=a train=c train=b (")


@pytest.mark.parametrize("kind", KINDS)
def test_backslashes_are_tried_as_slashes(pack, kind, refusal):
    path = pack(files(halves({"x/a": (6, 5), "x/b": (4, 3)})), kind)
    said = ["train=x\\a", "test=.\\x\\b\\"]
    assert counts_of(path_source(path, splits=said)) == ((6, 5), (0, 0), (4, 3))
    refusal(lambda: path_source(path, splits=["train=x/a", "test=x\\a"]), "x/a has two splits")


def test_a_folder_with_a_backslash_in_its_name_comes_first(pack):
    path = pack(files(halves({"x\\a": (6, 5), "x/a": (4, 3)})))
    source = path_source(path, splits=["train=x\\a", "test=x/a"])
    assert counts_of(source) == ((6, 5), (0, 0), (4, 3))


@pytest.mark.parametrize("split", ["test", "train"])
def test_a_split_of_all_other_folders_where_there_are_none_is_an_error(pack, refusal, split):
    path = pack(files(halves({"train": (3, 3), "test": (2, 2)})))
    refusal(lambda: path_source(path, splits=[f"{split}=."]), f"--split {split}=.", "leave it out")


def test_splits_in_file_names_end_the_command(pack, refusal):
    layout = {f"{c}/{s}_{{}}.jpg": 9 for c in ("cat", "dog") for s in ("train", "test")}
    path = pack(files(layout | {"cat/{}.jpg": 5}))
    refusal(lambda: path_source(path), "file names say test (18), train (18)", "--split train=.")
    assert len(path_source(path, splits=["train=."]).images()) == 41
    # A few such words are no split.
    few = pack(files(layout | {"cat/on a train {}.jpg": 2, "cat/{}.jpg": 40}), name="few")
    assert len(path_source(few).images()) == 78
    one = pack(files({"cat/Test {}.jpg": 9, "dog/Test {}.jpg": 9}), name="one")
    assert len(path_source(one).images()) == 18
    inside = pack(files({f"train/{name}": count for name, count in layout.items()}), name="inside")
    assert len(path_source(inside).images()) == 36


FOLDER = st.sampled_from(("cat", "dog", "x", "y z", "Train", "test_1", "val", "Pr\u00fcf"))


@given(st.lists(st.tuples(st.lists(FOLDER, max_size=4), st.sampled_from(("cat", "dog")))))
def test_no_image_of_a_test_folder_is_trained_on(tmp_path_factory, directories):
    path = tmp_path_factory.mktemp("any") / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for n, (folders, name) in enumerate(directories):
            archive.writestr("/".join([*folders, f"{name}.{n}.jpg"]), str(n))
    try:
        images = path_source(path).images()
    except UserError:
        return
    tested = [i for i in images if any(split_of_name(f) == "test" for f in i.name.split("/")[:-1])]
    assert all(image.split == "test" for image in tested)
    rest = [i.name for i in images if not any(map(split_of_name, i.name.split("/")[:-1]))]
    assert not {"x", "y z"} <= {name.split("/")[0] for name in rest if "/" in name}
