"""A CSV file of labels beside images."""

import pytest

from lossbench.benchmarks.data import open_images
from lossbench.benchmarks.data.folder import path_source

IMAGES = tuple(f"images/{n}.jpg" for n in range(10))


def rows(pairs, heading="filename,label"):
    return "\n".join([heading, *(",".join(pair) for pair in pairs)]).encode()


def labelled(names=IMAGES, kinds=("cat", "dog")):
    return [(name, kinds[n % len(kinds)]) for n, name in enumerate(names)]


def counts(source):
    found = [(image.split, source.classes[image.label]) for image in source.images()]
    return {key: found.count(key) for key in sorted(set(found))}


@pytest.fixture
def numbered(jpeg):
    """Make ten images and a table beside them."""

    def make(table, name="labels.csv", images=IMAGES):
        return {image: jpeg(n) for n, image in enumerate(images)} | {name: table}

    return make


@pytest.mark.parametrize("kind", ["directory", "zip", "tar.gz"])
@pytest.mark.parametrize(
    "table",
    [
        rows(labelled()),
        rows([(f.rpartition("/")[2], kind.upper()) for f, kind in labelled()], "Image Name,Class"),
        rows([(f.rpartition("/")[2][:-4], f"{kind}s") for f, kind in labelled()], "id,category"),
        rows([(kind, f"C:\\me\\{f}") for f, kind in labelled()], "target,File_Path"),
        rows(labelled()).replace(b",", b";").replace(b"\n", b"\r\n") + b"\r\n\r\n",
        b"\xef\xbb\xbf" + rows([(f'"{f}"', kind) for f, kind in labelled()], "image,species"),
        rows(labelled()).replace(b",", b"\t"),
    ],
    ids=["paths", "names", "stems", "windows", "semicolons", "quotes", "tabs"],
)
def test_spellings(pack, numbered, kind, table):
    source = path_source(pack(numbered(table), kind))
    assert [image.label for image in sorted(source.images(), key=lambda i: i.name[-5])] == [
        1,
        0,
    ] * 5
    assert sum(counts(source).values()) == 10
    assert source.composition.left_out == ()
    content = dict(source.load(source.images()))
    assert len(content) == 10


def test_a_column_says_the_split(pack, numbered):
    splits = ["train"] * 6 + ["valid"] * 2 + ["TEST"] * 2
    table = [(*row, split) for row, split in zip(labelled(), splits, strict=True)]
    source = path_source(pack(numbered(rows(table, "file,label,split"))))
    assert counts(source) == {
        (split, kind): count
        for split, count in (("train", 3), ("validation", 1), ("test", 1))
        for kind in ("cat", "dog")
    }


def test_an_unknown_split_ends_the_command(pack, numbered, refusal):
    table = [
        (*row, "AB"[n % 2]) for n, row in enumerate(labelled(kinds=("cat", "cat", "dog", "dog")))
    ]
    path = pack(numbered(rows(table, "file,label,set")))
    refusal(lambda: path_source(path), "it is not clear which of them are for training")
    source = path_source(path, splits=["train=images/A", "test=images/B"])
    assert len(counts(source)) == 4


def test_tables_of_splits(pack, jpeg):
    files = {f"{split}/{n}.jpg": jpeg(n) for split in ("train", "test") for n in range(8)}
    for split in ("train", "test"):
        names = [f"{n}.jpg" for n in range(8)]
        files[f"{split}/metadata.csv"] = rows(labelled(names), "file_name,label")
    assert set(counts(path_source(pack(files, "zip"))).values()) == {4}
    files = {f"pictures/{n}.jpg": jpeg(n) for n in range(16)}
    for split, first in (("train", 0), ("test", 8)):
        names = [f"{n}.jpg" for n in range(first, first + 8)]
        files[f"{split}.csv"] = rows(labelled(names))
    files["sample_submission.csv"] = rows([("0.jpg", "cat")])
    source = path_source(pack(files, "tar"))
    assert set(counts(source).values()) == {4}
    assert len(counts(source)) == 4


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (rows([*labelled(), ("images/77.jpg", "cat")]), ["1 row names no file", "images/77.jpg"]),
        (rows([*labelled(), ("images/3.jpg", "cat")]), ["rows 5 and 12 both name images/3.jpg"]),
        (rows([*labelled()[:-2], ("images/8.jpg", "owl")]), ["1 label is no class: 'owl' (1)"]),
        (rows([*labelled()[:-1], (IMAGES[-1], "")]), ["label is no class: '' (1)"]),
        (rows([(f, "01"[n % 2]) for n, f in enumerate(IMAGES)]), ["'0' (5), '1' (5)", "cat=0"]),
        (rows(labelled(), "x,y"), ["columns x, y", "such as filename and label"]),
        (rows(labelled()[:1] * 3 + [("../../etc/passwd", "dog")]), ["1 row names no file"]),
    ],
)
@pytest.mark.parametrize("kind", ["directory", "zip"])
def test_wrong_tables_are_one_line(pack, numbered, refusal, table, words, kind):
    path = pack(numbered(table), kind)
    name = "labels.csv: " if "columns" not in words[0] else "labels.csv has the "
    refusal(lambda: path_source(path), name, *words)


def test_two_tables_may_not_name_the_same_image(pack, numbered, refusal):
    files = numbered(rows(labelled())) | {"old.csv": rows(labelled()[:1])}
    refusal(lambda: path_source(pack(files)), "has a row in labels.csv as well")


def test_a_name_of_several_files_is_not_guessed(pack, jpeg, refusal):
    files = {f"{folder}/{n}.jpg": jpeg(n) for folder in "ab" for n in range(3)}
    files["labels.csv"] = rows([("1.jpg", "cat"), ("2.jpg", "dog")])
    refusal(lambda: path_source(pack(files)), "2 rows name no file, or several: 1.jpg, 2.jpg")


def test_other_labels_are_left_out_if_the_classes_are_named(pack, numbered):
    table = rows(labelled(kinds=("0", "1", "2", "0", "1")))
    source = path_source(pack(numbered(table)), class_names=["cat=0", "dog=2"])
    assert counts(source) == {
        ("test", "cat"): 1,
        ("test", "dog"): 1,
        ("train", "cat"): 3,
        ("train", "dog"): 1,
    }
    assert source.composition.left_out == ("4 files of no class: 1/ (4)",)


def test_a_changed_table_is_noticed(pack, numbered):
    one = path_source(pack(numbered(rows(labelled())), name="one"))
    other = path_source(pack(numbered(rows(labelled(kinds=("dog", "cat")))), name="two"))
    assert one.fingerprint != other.fingerprint


def test_class_folders_come_before_tables(pack, pets):
    files = pets("cat/{}.jpg", "dog/{}.jpg") | {"labels.csv": rows([("cat/0.jpg", "dog")])}
    images = open_images(str(pack(files)), 32, say=str)
    assert sorted(images.train.labels.tolist() + images.test.labels.tolist()) == [0] * 5 + [1] * 5
