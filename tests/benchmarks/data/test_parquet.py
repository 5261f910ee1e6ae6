"""Parquet tables of images, as Hugging Face's `datasets` writes them."""

import json
import sys

import pytest

from lossbench.benchmarks.data import open_images
from lossbench.benchmarks.data.folder import path_source
from lossbench.benchmarks.data.parquet import _labels

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


@pytest.fixture
def table(jpeg):
    """Make a table of images with these labels; return its bytes."""
    made = iter(range(10_000))

    def make(labels, names=None, columns=("image", "label"), kind="struct", **settings):
        images = [jpeg(next(made)) for _ in labels]
        if kind == "struct":
            images = [{"bytes": content, "path": f"{n}.jpg"} for n, content in enumerate(images)]
        built = pa.table({columns[0]: images, columns[1]: labels, "other": [0] * len(labels)})
        if names:
            features = {
                columns[0]: {"_type": "Image"},
                columns[1]: {"names": names, "_type": "ClassLabel"},
                "other": {"dtype": "int64", "_type": "Value"},
            }
            about = json.dumps({"info": {"features": features}})
            built = built.replace_schema_metadata({"huggingface": about})
        sink = pa.BufferOutputStream()
        pq.write_table(built, sink, **settings)
        return sink.getvalue().to_pybytes()

    return make


def counts(source):
    found = [(image.split, source.classes[image.label]) for image in source.images()]
    return {key: found.count(key) for key in sorted(set(found))}


def test_names_of_classes_and_splits_are_in_the_table(pack, table):
    files = {
        "data/train-00000-of-00002.parquet": table([0, 1, 1, 0, 1], ["cat", "dog"]),
        "data/train-00001-of-00002.parquet": table([0, 0], ["cat", "dog"]),
        "data/test-00000-of-00001.parquet": table([1, 0, -1], ["cat", "dog"]),
        "README.md": b"# pets",
        ".cache/huggingface/x.parquet": b"?",
    }
    source = path_source(pack(files))
    assert counts(source) == {
        ("test", "cat"): 1,
        ("test", "dog"): 1,
        ("train", "cat"): 4,
        ("train", "dog"): 3,
    }
    assert source.composition.origins == {"train": "from data/train/", "test": "from data/test/"}
    assert source.composition.left_out == ("1 file of no class: -1/ (1)",)
    assert len({image.name for image in source.images()}) == 9
    images = open_images(str(pack(files)), 32, say=str)
    assert (len(images.train.labels), len(images.test.labels), images.skipped) == (7, 2, ())


@pytest.mark.parametrize("kind", ["struct", "bytes"])
@pytest.mark.parametrize("columns", [("image", "label"), ("img", "labels"), ("Picture", "class")])
def test_labels_may_be_text_and_columns_have_other_names(pack, table, columns, kind):
    labels = ["Cat", "dogs", "cat", "bird", "Dog", "cat", "cat"]
    path = pack({"0000.parquet": table(labels, None, columns, kind)})
    source = path_source(path)
    assert sum(counts(source).values()) == 6
    assert source.composition.left_out == ("1 file of no class: bird/ (1)",)
    alone = path_source(path / "0000.parquet")
    assert counts(alone) == counts(source)


@pytest.mark.parametrize(
    "labels",
    [
        pa.array([0, 1, 1, None, 0]),
        pa.array([0, 1, 1, None, 0]).dictionary_encode(),
        pa.array(["cat", "dog", "dog", None, "cat"]),
    ],
    ids=["numbers", "numbers in a dictionary", "texts"],
)
def test_labels_have_the_same_names_in_any_column(pack, jpeg, labels) -> None:
    columns = {"image": pa.array([jpeg(number) for number in range(5)]), "label": labels}
    names = {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}
    about = json.dumps({"info": {"features": names}})
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns).replace_schema_metadata({"huggingface": about}), sink)
    path = pack({"train.parquet": sink.getvalue().to_pybytes()}) / "train.parquet"
    assert list(_labels(path)) == ["cat", "dog", "dog", "None", "cat"]


def test_each_row_has_its_own_image(pack, table, jpeg):
    labels = ["cat", "dog"] * 40
    path = pack({"a.parquet": table(labels, row_group_size=7, data_page_size=1000)})
    source = path_source(path)
    listed = source.images()
    loaded = dict(source.load(listed))
    assert len(loaded) == 80
    for position, image in enumerate(listed):
        assert loaded[position] == jpeg(image.key[1])
        assert source.classes[image.label] == labels[image.key[1]]


def test_classes_that_are_numbers_are_named(pack, table, refusal):
    path = pack({"train.parquet": table([0, 1] * 4), "test.parquet": table([1, 0])})
    refusal(lambda: path_source(path), "(folders: 0, 1)", "--classes dog=FOLDER cat=FOLDER")
    source = path_source(path, class_names=["dog=1", "cat=0"])
    assert set(counts(source).values()) == {1, 4}


def test_a_row_without_an_image_is_skipped(jpeg, tmp_path):
    images = [{"bytes": jpeg(n), "path": None} for n in range(10)]
    images[3] = {"bytes": None, "path": "/etc/passwd"}
    images[4] = None
    pq.write_table(pa.table({"image": images, "label": ["cat", "dog"] * 5}), tmp_path / "a.parquet")
    images = open_images(str(tmp_path / "a.parquet"), 32, say=str)
    assert len(images.skipped) == 2
    assert all("the table does not hold its bytes" in text for text in images.skipped)


def test_other_tables_are_refused_with_what_to_do(pack, table, refusal):
    def refused(content, *words):
        refusal(
            lambda: path_source(pack({"a/train-0.parquet": content})), "train-0.parquet", *words
        )

    refused(table(["cat", "dog"], None, ("image", "species")), "'label'", "image, species, other")
    refused(b"PAR1" + bytes(40) + b"PAR1", "damaged or cut short")
    refused(table(["cat", "dog"])[:-20], "damaged or cut short")
    path = pack({"data/train.parquet": table(["cat", "dog"])}, "zip")
    refusal(lambda: path_source(path), "parquet tables in an archive; unpack it")


def test_a_table_without_image_column_is_refused(pack, table, refusal):
    path = pack({"a.parquet": table(["cat", "dog"] * 3, None, ("jpeg", "label"))})
    source = path_source(path)
    refusal(lambda: list(source.load(source.images())), "'image'", "jpeg, label, other")


def test_without_pyarrow_the_extra_is_named(pack, refusal, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    path = pack({"data/train.parquet": b"PAR1"})
    refusal(lambda: path_source(path), "pip install 'lossbench[parquet]'")


def test_class_folders_come_before_tables(pack, pets):
    files = pets("cat/{}.jpg", "dog/{}.jpg") | {"metadata.parquet": b"no table"}
    assert sum(counts(path_source(pack(files))).values()) == 10
