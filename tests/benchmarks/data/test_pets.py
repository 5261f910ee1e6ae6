"""Oxford-IIIT Pet in small: found in each place, or fetched from a server."""

import numpy as np
import pytest
from torchvision.datasets import OxfordIIITPet

from lossbench.benchmarks.data import pets
from lossbench.benchmarks.data.cache import open_cached
from lossbench.benchmarks.data.pets import oxford_breeds, oxford_pets
from lossbench.benchmarks.data.sources import UnavailableError
from lossbench.benchmarks.errors import UserError


def test_where_they_are_is_where_torchvision_finds_them():
    assert [a.url for a in pets.ARCHIVES] == [url for url, _ in OxfordIIITPet._RESOURCES]


@pytest.fixture
def tiny_pets(jpeg):
    """Six photographs a split, of two breeds; one that is listed is missing, one is broken."""
    lines = {"trainval": [], "test": []}
    files = {}
    for number in range(12):
        breed, species = (("Birman", 1), ("boxer", 2))[number % 2]
        split = "trainval" if number < 6 else "test"
        lines[split].append(f"{breed}_{number} {1 + number % 2} {species} 1\n")
        files[f"images/{breed}_{number}.jpg"] = jpeg(number, (120, 90))
    del files["images/Birman_2.jpg"]
    files["images/boxer_9.jpg"] = b"no photograph"
    return {**files, **{f"annotations/{s}.txt": "".join(x).encode() for s, x in lines.items()}}


def assert_pets(source):
    images = open_cached(source, 64, say=str)
    assert images.skipped == ("Birman_2 (missing)", "boxer_9 (not an image)")
    assert images.train.names == ("Birman_0", "Birman_4", "boxer_1", "boxer_3", "boxer_5")
    assert images.train.labels.tolist() == [1, 1, 0, 0, 0]
    assert images.test.labels.tolist() == [1, 1, 1, 0, 0]
    assert (source.name, source.image_size) == ("oxford-pets", 64)


def test_pets_are_found_and_missing_ones_skipped(tiny_pets, pack, monkeypatch, jpeg):
    given = pack({f"oxford-iiit-pet/{name}": content for name, content in tiny_pets.items()})
    monkeypatch.setenv("LOSSBENCH_DATA", str(given))
    source = oxford_pets(str)
    assert_pets(source)
    (given / "oxford-iiit-pet/images/Birman_2.jpg").write_bytes(jpeg(2))
    assert oxford_pets(str).fingerprint != source.fingerprint


def test_pets_are_downloaded(tiny_pets, server, packed, monkeypatch, home):
    published = []
    for part in ("images", "annotations"):
        start = f"{part}/"
        files = {n.removeprefix(start): c for n, c in tiny_pets.items() if n.startswith(start)}
        published.append(server.publish(f"{part}.tar.gz", packed(files, part)))
    monkeypatch.setattr(pets, "ARCHIVES", published)
    hidden = server.files.pop("/annotations.tar.gz")
    with pytest.raises(UnavailableError, match="404"):
        oxford_pets(str)
    assert not (home / "downloads" / pets.FOLDER).exists()
    server.files["/annotations.tar.gz"] = hidden
    assert_pets(oxford_pets(str))
    # The photographs, which were there, are not asked for again.
    assert len(server.asked) == 3
    kept = [p.name for p in (home / "downloads").iterdir() if p.name != ".lock"]
    assert kept == [pets.FOLDER]


@pytest.mark.parametrize("line", ["two words", "../../x 1 1 1", "a/b 1 1 1", "Birman_1 1 3 1"])
def test_broken_annotations_are_an_error(tiny_pets, pack, monkeypatch, line):
    files = {f"oxford-iiit-pet/{name}": content for name, content in tiny_pets.items()}
    files["oxford-iiit-pet/annotations/test.txt"] = f"{line}\n".encode()
    monkeypatch.setenv("LOSSBENCH_DATA", str(pack(files)))
    with pytest.raises(UserError, match="damaged or incomplete"):
        oxford_pets(str)


def breeds(jpeg, counts):
    """Photographs by breed: how many to train on and to test, and how many of the first of them
    are missing."""
    lines = {"trainval": [], "test": []}
    files = {}
    for number, (breed, (train, test, missing)) in enumerate(counts.items(), start=1):
        for n in range(train + test):
            split = "trainval" if n < train else "test"
            lines[split].append(f"{breed}_{n} {number} {1 + number % 2} 1\n")
            if n >= missing:
                files[f"oxford-iiit-pet/images/{breed}_{n}.jpg"] = jpeg(n)
    annotations = {
        f"oxford-iiit-pet/annotations/{s}.txt": "".join(x).encode() for s, x in lines.items()
    }
    return {**files, **annotations}


def test_breeds_with_enough_photographs_are_the_classes(jpeg, pack, monkeypatch):
    counts = {
        "Bengal": (20, 2, 0),
        "american_bulldog": (22, 3, 2),
        "Sphynx": (19, 4, 0),  # one too few
        "beagle": (25, 4, 6),  # too few that are there
        "boxer": (30, 0, 0),  # none to test
    }
    monkeypatch.setenv("LOSSBENCH_DATA", str(pack(breeds(jpeg, counts))))
    source = oxford_breeds(pytest.fail)
    assert source.classes == ("American Bulldog", "Bengal")
    assert (source.name, source.image_size) == ("oxford-breeds", 64)
    assert source.description == (
        "photographs of 2 breeds of cats and dogs, Oxford-IIIT Pet; left out: 3 breeds with fewer "
        "than 20 to train on or none to test"
    )
    images = open_cached(source, 32, say=str)
    for split, expected in ((images.train, [20, 20]), (images.test, [3, 2])):
        assert np.bincount(split.labels).tolist() == expected
        assert split.labels.tolist() == [name.startswith("Bengal") for name in split.names]
    assert images.skipped == tuple(f"american_bulldog_{n} (missing)" for n in range(2))


def test_a_single_breed_is_no_classification(jpeg, pack, monkeypatch, refusal):
    files = breeds(jpeg, {"Bengal": (20, 2, 0), "Sphynx": (3, 4, 0)})
    monkeypatch.setenv("LOSSBENCH_DATA", str(pack(files)))
    refusal(lambda: oxford_breeds(str), "1 breed", "20 or more", "replace it")


def test_real_pets(real_data, monkeypatch):
    if not (real_data / "oxford-iiit-pet").is_dir():
        pytest.skip("oxford-iiit-pet is not there")
    monkeypatch.setenv("LOSSBENCH_DATA", str(real_data))
    assert not open_cached(oxford_pets(pytest.fail), 64, say=str).skipped


def test_real_breeds(real_data, monkeypatch):
    if not (real_data / "oxford-iiit-pet").is_dir():
        pytest.skip("oxford-iiit-pet is not there")
    monkeypatch.setenv("LOSSBENCH_DATA", str(real_data))
    images = open_cached(oxford_breeds(pytest.fail), 32, say=str)
    assert np.bincount(images.train.labels).min() >= 20
    for split in (images.train, images.test):
        found = {images.classes[i]: [] for i in range(len(images.classes))}
        for label, name in zip(split.labels, split.names, strict=True):
            found[images.classes[label]].append(name.rpartition("_")[0].replace("_", " ").lower())
        assert all(set(breeds) == {kind.lower()} for kind, breeds in found.items())
