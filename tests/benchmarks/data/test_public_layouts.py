"""Layouts that cats and dogs are published in: every image in its split and class."""

import io
import json

import numpy as np
import pytest

from lossbench.benchmarks.data import open_images

ANNOTATIONS = {
    "trainval": ("Abyssinian_{} 1 1 1", "beagle_{} 2 2 1"),
    "test": ("Bengal_{} 3 1 2", "pug_{} 4 2 3"),
}


def files(jpeg, patterns):
    """Make images from patterns and their numbers of images; `{}` is the number."""
    names = [pattern.format(n) for pattern, count in patterns.items() for n in range(count)]
    return {name: jpeg(number) for number, name in enumerate(names)}


def both(pattern, cats, dogs, names=("cat", "dog")):
    """Patterns of one folder for each class; `{}` in the pattern is the class, `#` the number."""
    return {
        pattern.replace("{}", name).replace("#", "{}"): count
        for name, count in zip(names, (cats, dogs), strict=True)
    }


def kaggle_competition(jpeg):
    images = both("dogs-vs-cats/train/{}.#.jpg", 10, 15) | {"dogs-vs-cats/test1/{}.jpg": 6}
    table = b"id,label\n1,0.5\n2,0.5\n"
    return files(jpeg, images) | {"dogs-vs-cats/sampleSubmission.csv": table}


def petimages(jpeg):
    images = files(jpeg, both("PetImages/{}/#.jpg", 10, 15, ("Cat", "Dog")))
    return images | {
        "PetImages/Cat/Thumbs.db": b"?",
        "PetImages/Dog/Thumbs.db": b"?",
        "PetImages/Cat/666.jpg": b"",
        "PetImages/Dog/11702.jpg": b"JFIF",
        "readme[1].txt": b"Asirra",
        "MSR-LA - 3467.docx": b"PK",
    }


def training_set_twice(jpeg):
    train = both("training_set/training_set/{}s/{}.#.jpg", 8, 9)
    test = both("test_set/test_set/{}s/{}.400#.jpg", 3, 4)
    noise = {f"{s}_set/{s}_set/cats/_DS_Store": b"Bud1" for s in ("training", "test")}
    return files(jpeg, train | test) | noise


def cats_and_dogs_filtered(jpeg):
    train = both("cats_and_dogs_filtered/train/{}s/{}.#.jpg", 8, 8)
    validation = both("cats_and_dogs_filtered/validation/{}s/{}.200#.jpg", 4, 4)
    return files(jpeg, train | validation) | {"cats_and_dogs_filtered/vectorize.py": b"import os"}


def animals10(jpeg):
    images = both("raw-img/{}/OIP-#.jpeg", 10, 20, ("gatto", "cane"))
    images |= {"raw-img/cavallo/{}.jpeg": 7, "raw-img/ragno/{}.jpg": 5}
    return files(jpeg, images) | {"translate.py": b"translate = {}"}


def oxford_with_lists(jpeg):
    names, made = {}, files(jpeg, dict.fromkeys(("Abyssinian_{}", "beagle_{}", "Bengal_{}"), 6))
    made |= files(jpeg, {"pug_{}": 4})
    for name, content in made.items():
        names[f"images/{name}.jpg"] = content
        names[f"annotations/trimaps/{name}.png"] = content
        names[f"annotations/xmls/{name}.xml"] = b"<annotation/>"
    for split, lines in ANNOTATIONS.items():
        text = [line.format(n) for line in lines for n in range(6) if line[:3] != "pug" or n < 4]
        names[f"annotations/{split}.txt"] = "\n".join(text).encode()
    return names


def oxford_flat(jpeg):
    images = {"images/Abyssinian_{}.jpg": 5, "images/Maine_Coon_{}.jpg": 5}
    images |= {"images/american_bulldog_{}.jpg": 8, "images/shiba_inu_{}.jpg": 7}
    return files(jpeg, images) | {"images/Abyssinian_34.mat": b"?"}


def seg_folders(jpeg):
    images = both("seg_train/seg_train/{}/#.jpg", 8, 9) | both("seg_test/seg_test/{}/#.jpg", 3, 4)
    return files(jpeg, images | {"seg_pred/seg_pred/{}.jpg": 5})


def roboflow(jpeg):
    images: dict = {}
    for split, cats, dogs in (("train", 8, 9), ("valid", 2, 3), ("test", 3, 4)):
        images |= both(f"{split}/{{}}/{{}}-#_jpg.rf.0a1b2c.jpg", cats, dogs)
    return files(jpeg, images) | {"README.roboflow.txt": b"v1", "README.dataset.txt": b"pets"}


def labels_in_a_csv(jpeg):
    images = files(jpeg, {"images/{}.jpg": 25})
    rows = [f"{n}.jpg,{'cat' if n < 10 else 'dog'}" for n in range(25)]
    return images | {"labels.csv": "\n".join(["image_name,label", *rows]).encode()}


def hugging_face(jpeg):
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    features = {"image": {"_type": "Image"}}
    features["labels"] = {"names": ["cat", "dog"], "_type": "ClassLabel"}
    about = {"huggingface": json.dumps({"info": {"features": features}})}
    tables, made = {"README.md": b"---\n"}, iter(range(99))
    for split, number, shards, labels in (
        ("train", 0, 2, [0] * 8 + [1] * 4),
        ("train", 1, 2, [1] * 5),
        ("test", 0, 1, [0] * 3 + [1] * 4),
    ):
        images = [{"bytes": jpeg(next(made)), "path": None} for _ in labels]
        table = pa.table({"image": images, "labels": labels}).replace_schema_metadata(about)
        file = io.BytesIO()
        pq.write_table(table, file)
        tables[f"data/{split}-{number:05d}-of-{shards:05d}.parquet"] = file.getvalue()
    return tables


# Images of cats and dogs in train, validation (() where it is held out later) and test.
LAYOUTS = {
    "Kaggle, Dogs vs. Cats": (kaggle_competition, [(8, 12), (), (2, 3)], "test1/ (6)"),
    "Kaggle, PetImages": (petimages, [(9, 12), (), (1, 3)], "./ (1)"),
    "training_set twice": (training_set_twice, [(8, 9), (), (3, 4)], None),
    "Google, cats_and_dogs_filtered": (cats_and_dogs_filtered, [(8, 8), (), (4, 4)], None),
    "animals10": (animals10, [(8, 16), (), (2, 4)], "cavallo/ (7), ragno/ (5)"),
    "Oxford pets with lists": (oxford_with_lists, [(6, 6), (), (6, 4)], None),
    "Oxford pets, flat": (oxford_flat, [(8, 12), (), (2, 3)], None),
    "seg_train": (seg_folders, [(8, 9), (), (3, 4)], "seg_pred/ (5)"),
    "Roboflow": (roboflow, [(8, 9), (2, 3), (3, 4)], None),
    "CSV of labels": (labels_in_a_csv, [(8, 12), (), (2, 3)], None),
    "Hugging Face": (hugging_face, [(8, 9), (), (3, 4)], None),
}
CLASSES = {"animals10": ("cat=gatto", "dog=cane")}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_counts_by_split_and_class(pack, jpeg, layout):
    make, expected, left_out = LAYOUTS[layout]
    path = pack(make(jpeg))
    images = open_images(str(path), 32, classes=CLASSES.get(layout, ()), say=str)
    assert images.classes == ("dog", "cat")
    for split, counts in zip((images.train, images.validation, images.test), expected, strict=True):
        found = () if split is None else tuple(np.bincount(split.labels, minlength=2)[::-1])
        assert found == counts
    told = images.composition.left_out
    assert [line.partition(": ")[2] for line in told] == ([left_out] if left_out else [])
    assert len(images.skipped) == (2 if layout == "Kaggle, PetImages" else 0)


@pytest.mark.parametrize("layout", ["training_set twice", "seg_train", "Roboflow"])
def test_no_test_image_is_trained_on(pack, jpeg, layout):
    images = open_images(str(pack(LAYOUTS[layout][0](jpeg), "zip")), 32, say=str)
    assert all("test" in name for name in images.test.names)
    assert not any("test" in name for name in images.train.names)


def test_the_lists_of_a_folder_of_pets_are_its_splits(pack, jpeg):
    path = pack(oxford_with_lists(jpeg))
    images = open_images(str(path), 32, say=str)
    assert {name.partition("_")[0] for name in images.test.names} == {"Bengal", "pug"}
    assert images.composition.origins["test"] == "from annotations/test.txt"
    assert images.name == "pets"
    given = open_images(str(path), 32, classes=["cat=bengal", "dog=pug"], say=str)
    assert len(given.train.labels) + len(given.test.labels) == 10
