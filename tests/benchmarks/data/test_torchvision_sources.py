"""CIFAR-10 and Oxford-IIIT Pet in small: found in each place, or fetched from a real server."""

import hashlib
import io
import pickle
import socket
import tarfile
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import torchvision

from benchmarks.data import torchvision_sources
from benchmarks.data.cache import cached
from benchmarks.data.sources import UnavailableError
from benchmarks.data.torchvision_sources import (
    CIFAR_FOLDER,
    cifar10,
    cifar10_ten,
    oxford_breeds,
    oxford_pets,
)
from benchmarks.errors import UserError

NAMES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
TRAIN = [f"data_batch_{n}" for n in range(1, 6)]


def batch(seed, rows=20):
    """One pickled batch; image i has class i % 10."""
    data = np.random.default_rng(seed).integers(0, 256, (rows, 3072), np.uint8)
    return pickle.dumps({"data": data, "labels": [i % 10 for i in range(rows)]})


def packed(files, folder):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return file.getvalue()


def md5(content):
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


@pytest.fixture
def tiny_cifar(monkeypatch):
    """The files of a small CIFAR-10, whose checksums torchvision now expects."""
    files = {name: batch(seed) for seed, name in enumerate([*TRAIN, "test_batch"])}
    files["batches.meta"] = pickle.dumps({"label_names": NAMES})
    dataset = torchvision.datasets.CIFAR10
    monkeypatch.setattr(dataset, "train_list", [[name, md5(files[name])] for name in TRAIN])
    monkeypatch.setattr(dataset, "test_list", [["test_batch", md5(files["test_batch"])]])
    meta = {"filename": "batches.meta", "key": "label_names", "md5": md5(files["batches.meta"])}
    monkeypatch.setattr(dataset, "meta", meta)
    return files


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A web server on this machine: its directory and address."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    folder = tmp_path / "served"
    folder.mkdir()

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(folder))

        def log_message(self, *args):
            pass

    web = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=web.serve_forever, args=(0.02,))
    thread.start()
    yield folder, f"http://127.0.0.1:{web.server_port}"
    web.shutdown()
    thread.join()
    web.server_close()


@pytest.fixture
def served_cifar(tiny_cifar, server, monkeypatch):
    folder, address = server
    content = packed(tiny_cifar, CIFAR_FOLDER)
    (folder / "cifar.tar.gz").write_bytes(content)
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "url", f"{address}/cifar.tar.gz")
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "tgz_md5", md5(content))
    return folder / "cifar.tar.gz"


def downloads(home):
    return sorted(path.name for path in (home / "downloads").iterdir())


def test_a_download_is_checked_kept_and_used_again(served_cifar, home, capfd):
    said = []
    source = cifar10(said.append)
    assert said == [f"downloading CIFAR-10 (170 MB) into {home / 'downloads'}"]
    assert downloads(home) == [CIFAR_FOLDER]
    assert capfd.readouterr().out == ""
    images = cached(source, 32, say=str)
    assert len(images.train.labels) == 20
    assert len(images.test.labels) == 4
    for seed, split in ((0, images.train), (5, images.test)):
        rows = pickle.loads(batch(seed))["data"]
        name = f"{'train' if seed == 0 else 'test'}/cat/00003"
        at = split.names.index(name)
        expected = rows[3].reshape(3, 32, 32).transpose(1, 2, 0)
        np.testing.assert_array_equal(split.images[at], expected)
        assert split.labels.tolist() == ["/cat/" in n for n in split.names]
    served_cifar.unlink()
    assert cifar10(said.append).fingerprint == source.fingerprint
    assert len(said) == 1


@pytest.mark.usefixtures("served_cifar")
def test_what_torchvision_prints_stays_off_stdout(monkeypatch, capsys):
    download = torchvision.datasets.CIFAR10.download

    def chatty(self):
        print("Extracting")
        download(self)

    monkeypatch.setattr(torchvision.datasets.CIFAR10, "download", chatty)
    cifar10(str)
    assert capsys.readouterr().out == ""


def test_other_batches_have_another_fingerprint(tiny_cifar, pack, monkeypatch):
    monkeypatch.setenv("LOSSBENCH_DATA", str(pack({}, name="given")))
    prints = set()
    for content in (tiny_cifar["test_batch"], batch(99)):
        files = {**tiny_cifar, "test_batch": content}
        pack({f"{CIFAR_FOLDER}/{name}": c for name, c in files.items()}, name="given")
        sums = [["test_batch", md5(content)]]
        monkeypatch.setattr(torchvision.datasets.CIFAR10, "test_list", sums)
        prints.add(cifar10(str).fingerprint)
    assert len(prints) == 2


def test_a_server_without_the_file(served_cifar, home):
    served_cifar.unlink()
    with pytest.raises(UnavailableError, match="404"):
        cifar10(str)
    assert downloads(home) == []


def test_a_corrupted_download(served_cifar, home):
    content = served_cifar.read_bytes()
    served_cifar.write_bytes(content[: len(content) // 2])
    with pytest.raises(UnavailableError, match="corrupted"):
        cifar10(str)
    assert downloads(home) == []
    served_cifar.write_bytes(content)
    assert len(cifar10(str).pictures) == 24


@pytest.mark.usefixtures("tiny_cifar")
def test_a_silent_server_is_given_up(monkeypatch, home):
    monkeypatch.setattr(torchvision_sources, "NETWORK_TIMEOUT", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/cifar.tar.gz"
        monkeypatch.setattr(torchvision.datasets.CIFAR10, "url", address)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        with pytest.raises(UnavailableError, match="timed out"):
            cifar10(str)
    assert downloads(home) == []
    assert socket.getdefaulttimeout() is None


def test_an_interrupted_download_leaves_nothing_behind(monkeypatch, home):
    def stop(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(torchvision.datasets.CIFAR10, "download", stop)
    with pytest.raises(KeyboardInterrupt):
        cifar10(str)
    assert downloads(home) == []


def test_downloads_need_a_place(home):
    home.parent.mkdir(parents=True)
    home.write_text("a file where a directory should be")
    with pytest.raises(UserError, match="XDG_CACHE_HOME"):
        cifar10(str)


def test_the_order_of_the_search(tiny_cifar, pack, pets, tmp_path, monkeypatch, home):
    files = [f"{s}/{c}/{{}}.jpg" for s in ("train", "test") for c in ("cat", "dog", "ship")]
    given = pack({f"{CIFAR_FOLDER}/{name}": c for name, c in tiny_cifar.items()}, name="given")
    pack(pets(*files, count=3), "zip", "given/cifar10")
    pack(pets(*files, count=2), "zip", "given/cifar10-catdog")
    monkeypatch.setenv("LOSSBENCH_DATA", str(given))
    for name, count in (("cifar10-catdog.zip", 8), ("cifar10.zip", 12), (CIFAR_FOLDER, 24)):
        source = cifar10(str)
        assert len(source.pictures) == count
        assert (source.name, source.image_size, source.synthetic) == ("cifar10", 32, False)
        (given / name).rename(tmp_path / f"used-{name}")
    (home / "downloads").mkdir(parents=True)
    (tmp_path / f"used-{CIFAR_FOLDER}").rename(home / "downloads" / CIFAR_FOLDER)
    assert len(cifar10(str).pictures) == 24


def test_ten_classes_of_the_batches(tiny_cifar, pack, monkeypatch):
    given = pack({f"{CIFAR_FOLDER}/{name}": c for name, c in tiny_cifar.items()}, name="given")
    monkeypatch.setenv("LOSSBENCH_DATA", str(given))
    source = cifar10_ten(pytest.fail)
    assert source.classes == tuple(NAMES)
    assert (source.name, source.image_size) == ("cifar10-ten", 32)
    images = cached(source, 32, say=str)
    assert np.bincount(images.train.labels).tolist() == [10] * 10
    assert np.bincount(images.test.labels).tolist() == [2] * 10
    rows = pickle.loads(tiny_cifar["test_batch"])["data"]
    for image, label, name in zip(*vars(images.test).values(), strict=True):
        _, kind, index = name.split("/")
        assert kind == NAMES[label]
        expected = rows[int(index)].reshape(3, 32, 32).transpose(1, 2, 0)
        np.testing.assert_array_equal(image, expected)


def test_ten_classes_of_a_zip_but_not_of_one_of_cats_and_dogs(pack, pets, monkeypatch, tmp_path):
    files = [f"cifar10/{s}/{c}/{{}}.jpg" for s in ("train", "test") for c in NAMES]
    pack(pets(*files, count=2), "zip", "cifar10")
    pack(pets(*(f for f in files if "/cat/" in f or "/dog/" in f)), "zip", "cifar10-catdog")
    monkeypatch.setenv("LOSSBENCH_DATA", str(tmp_path))
    source = cifar10_ten(pytest.fail)
    assert source.classes == tuple(NAMES)
    assert source.description == "ten classes of CIFAR-10 (JPEG copies in cifar10.zip)"
    assert len(source.pictures) == 40
    assert all(NAMES[p.label] == p.name.split("/")[1] for p in source.pictures)
    assert source.fingerprint != cifar10(pytest.fail).fingerprint


def test_damaged_batches_are_an_error_not_a_download(tiny_cifar, pack, monkeypatch):
    files = {f"{CIFAR_FOLDER}/{name}": content for name, content in tiny_cifar.items()}
    files[f"{CIFAR_FOLDER}/data_batch_3"] += b"!"
    monkeypatch.setenv("LOSSBENCH_DATA", str(pack(files)))
    with pytest.raises(UserError, match="damaged or incomplete"):
        cifar10(str)


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
    images = cached(source, 64, say=str)
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


def test_pets_are_downloaded(tiny_pets, server, monkeypatch, home):
    folder, address = server
    resources = []
    for part in ("images", "annotations"):
        start = f"{part}/"
        files = {n.removeprefix(start): c for n, c in tiny_pets.items() if n.startswith(start)}
        content = packed(files, part)
        (folder / f"{part}.tar.gz").write_bytes(content)
        resources.append((f"{address}/{part}.tar.gz", md5(content)))
    monkeypatch.setattr(torchvision.datasets.OxfordIIITPet, "_RESOURCES", resources)
    (folder / "annotations.tar.gz").rename(folder / "hidden")
    with pytest.raises(UnavailableError, match="404"):
        oxford_pets(str)
    assert downloads(home) == []
    (folder / "hidden").rename(folder / "annotations.tar.gz")
    assert_pets(oxford_pets(str))
    assert downloads(home) == ["oxford-iiit-pet"]


def test_broken_annotations_are_an_error(tiny_pets, pack, monkeypatch):
    files = {f"oxford-iiit-pet/{name}": content for name, content in tiny_pets.items()}
    files["oxford-iiit-pet/annotations/test.txt"] = b"two words\n"
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
    images = cached(source, 32, say=str)
    for split, expected in ((images.train, [20, 20]), (images.test, [3, 2])):
        assert np.bincount(split.labels).tolist() == expected
        assert split.labels.tolist() == [name.startswith("Bengal") for name in split.names]
    assert images.skipped == tuple(f"american_bulldog_{n} (missing)" for n in range(2))


def test_a_single_breed_is_no_classification(jpeg, pack, monkeypatch, refusal):
    files = breeds(jpeg, {"Bengal": (20, 2, 0), "Sphynx": (3, 4, 0)})
    monkeypatch.setenv("LOSSBENCH_DATA", str(pack(files)))
    refusal(lambda: oxford_breeds(str), "1 breed", "20 or more", "replace it")


def test_real_images(real_data, monkeypatch):
    monkeypatch.setenv("LOSSBENCH_DATA", str(real_data))
    source = cifar10(pytest.fail)
    assert [sum(p.split == s for p in source.pictures) for s in ("train", "test")] == [10000, 2000]
    assert sum(p.label for p in source.pictures) == 6000
    if (real_data / "oxford-iiit-pet").is_dir():
        assert not cached(oxford_pets(pytest.fail), 64, say=str).skipped


def test_real_breeds(real_data, monkeypatch):
    if not (real_data / "oxford-iiit-pet").is_dir():
        pytest.skip("oxford-iiit-pet is not there")
    monkeypatch.setenv("LOSSBENCH_DATA", str(real_data))
    images = cached(oxford_breeds(pytest.fail), 32, say=str)
    assert np.bincount(images.train.labels).min() >= 20
    for split in (images.train, images.test):
        found = {images.classes[i]: [] for i in range(len(images.classes))}
        for label, name in zip(split.labels, split.names, strict=True):
            found[images.classes[label]].append(name.rpartition("_")[0].replace("_", " ").lower())
        assert all(set(breeds) == {kind.lower()} for kind, breeds in found.items())
