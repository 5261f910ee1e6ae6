"""A small Oxford-IIIT Pet, found in a directory or downloaded from a server."""

import numpy as np
import pytest
from torchvision.datasets import OxfordIIITPet

from lossbench.benchmarks.data import pets
from lossbench.benchmarks.data.cache import open_cached
from lossbench.benchmarks.data.pets import FOLDER, oxford_breeds, oxford_pets
from lossbench.benchmarks.data.sources import UnavailableError


def test_the_addresses_are_those_of_torchvision():
    assert [a.url for a in pets.ARCHIVES] == [url for url, _ in OxfordIIITPet._RESOURCES]


def made(jpeg, photos):
    """Make the files of photographs (breed, number, species, split); broken ones are left out."""
    files = {f"images/{breed}_{n}.jpg": jpeg(n, (60, 45)) for breed, n, _, _ in photos}
    for name in ("trainval", "test"):
        lines = [f"{b}_{n} 1 {species} 1\n" for b, n, species, split in photos if split == name]
        files[f"annotations/{name}.txt"] = "".join(lines).encode()
    return files


@pytest.fixture
def given(pack, monkeypatch):
    """Write files of Oxford-IIIT Pet to LOSSBENCH_DATA and return its folder."""

    def write(files):
        path = pack({f"{FOLDER}/{name}": content for name, content in files.items()})
        monkeypatch.setenv("LOSSBENCH_DATA", str(path))
        return path / FOLDER

    return write


@pytest.fixture
def files(jpeg):
    """Make six photographs per split of two breeds; one is missing, one is not an image."""
    breeds = (("Birman", 1), ("boxer", 2))
    photos = [
        (breeds[n % 2][0], n, breeds[n % 2][1], "trainval" if n < 6 else "test") for n in range(12)
    ]
    files = made(jpeg, photos)
    del files["images/Birman_2.jpg"]
    return files | {"images/boxer_9.jpg": b"no photograph"}


def assert_pets(source):
    images = open_cached(source, 64, say=str)
    assert images.skipped == ("Birman_2 (missing)", "boxer_9 (not an image)")
    assert images.train.names == ("Birman_0", "Birman_4", "boxer_1", "boxer_3", "boxer_5")
    assert images.train.labels.tolist() == [1, 1, 0, 0, 0]
    assert images.test.labels.tolist() == [1, 1, 1, 0, 0]
    assert (source.name, source.image_size) == ("oxford-pets", 64)


def test_pets_are_found_and_missing_ones_skipped(files, given, jpeg):
    folder = given(files)
    source = oxford_pets(pytest.fail)
    assert_pets(source)
    (folder / "images/Birman_2.jpg").write_bytes(jpeg(2))
    assert oxford_pets(pytest.fail).fingerprint != source.fingerprint


def test_pets_are_downloaded(files, server, packed, monkeypatch, home):
    archives = []
    for part in ("images", "annotations"):
        start = f"{part}/"
        members = {n.removeprefix(start): c for n, c in files.items() if n.startswith(start)}
        archives.append(server.publish(f"{part}.tar.gz", packed(members, part)))
    monkeypatch.setattr(pets, "ARCHIVES", archives)
    hidden = server.files.pop("/annotations.tar.gz")
    with pytest.raises(UnavailableError, match="404"):
        oxford_pets(str)
    assert not (home / "downloads" / FOLDER).exists()
    server.files["/annotations.tar.gz"] = hidden
    assert_pets(oxford_pets(str))
    # The photographs are not downloaded again.
    assert len(server.asked) == 3
    assert [p.name for p in (home / "downloads").iterdir() if p.name != ".lock"] == [FOLDER]


@pytest.mark.parametrize("line", ["two words", "../../x 1 1 1", "a/b 1 1 1", "Birman_1 1 3 1"])
def test_damaged_annotations_are_an_error(files, given, refusal, line):
    given({**files, "annotations/test.txt": f"{line}\n".encode()})
    refusal(lambda: oxford_pets(pytest.fail), "damaged or incomplete")


def breeds(jpeg, counts):
    """Make photographs by breed: how many to train on, to test, and how many are missing."""
    photos = [
        (breed, n, 1, "trainval" if n < train else "test")
        for breed, (train, test, _) in counts.items()
        for n in range(train + test)
    ]
    files = made(jpeg, photos)
    for breed, (_, _, missing) in counts.items():
        for n in range(missing):
            del files[f"images/{breed}_{n}.jpg"]
    return files


def test_breeds_with_enough_photographs_are_the_classes(jpeg, given):
    given(
        breeds(
            jpeg,
            {
                "Bengal": (20, 2, 0),
                "american_bulldog": (22, 3, 2),
                "Sphynx": (19, 4, 0),  # one too few
                "beagle": (25, 4, 6),  # one too few that exist
                "boxer": (30, 0, 0),  # none to test
            },
        )
    )
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


def test_one_breed_is_not_enough(jpeg, given, refusal):
    given(breeds(jpeg, {"Bengal": (20, 2, 0), "Sphynx": (3, 4, 0)}))
    refusal(lambda: oxford_breeds(pytest.fail), "1 breed", "20 or more", "replace it")


def test_real_images(real_data, monkeypatch):
    if not (real_data / FOLDER).is_dir():
        pytest.skip(f"{FOLDER} is not there")
    monkeypatch.setenv("LOSSBENCH_DATA", str(real_data))
    assert not open_cached(oxford_pets(pytest.fail), 32, say=str).skipped
    images = open_cached(oxford_breeds(pytest.fail), 32, say=str)
    assert np.bincount(images.train.labels).min() >= 20
    for split in (images.train, images.test):
        for label, name in zip(split.labels, split.names, strict=True):
            breed = name.rpartition("_")[0].replace("_", " ")
            assert breed.lower() == images.classes[label].lower()
