"""CIFAR-10 in small: found in each place, or fetched from a server, and never unpickled."""

import hashlib
import pickle

import numpy as np
import pytest
from torchvision.datasets import CIFAR10

from lossbench.benchmarks.data import cifar
from lossbench.benchmarks.data.cache import open_cached
from lossbench.benchmarks.data.cifar import CLASSES, FOLDER, cifar10, cifar10_ten, parse_batch
from lossbench.benchmarks.data.sources import UnavailableError
from lossbench.benchmarks.errors import UserError


def batch(seed, rows=20):
    """One pickled batch; image i has class i % 10."""
    data = np.random.default_rng(seed).integers(0, 256, (rows, 3072), np.uint8)
    return pickle.dumps({"data": data, "labels": [i % 10 for i in range(rows)]})


def md5(content):
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


@pytest.fixture
def tiny_cifar(monkeypatch):
    """The files of a small CIFAR-10, whose checksums are expected now."""
    files = {name: batch(seed) for seed, (name, _) in enumerate([*cifar.TRAIN, *cifar.TEST])}
    for which in ("TRAIN", "TEST"):
        lines = [[name, md5(files[name])] for name, _ in getattr(cifar, which)]
        monkeypatch.setattr(cifar, which, lines)
    return files


@pytest.fixture
def served_cifar(tiny_cifar, server, packed, monkeypatch):
    archive = server.publish("cifar.tar.gz", packed(tiny_cifar, FOLDER))
    monkeypatch.setattr(cifar, "ARCHIVE", archive)
    return server


def downloads(home):
    return sorted(p.name for p in (home / "downloads").iterdir() if p.name != ".lock")


def test_what_is_known_of_the_files_is_what_torchvision_knows():
    assert CIFAR10.train_list == cifar.TRAIN
    assert CIFAR10.test_list == cifar.TEST
    assert cifar.ARCHIVE.url == CIFAR10.url
    assert CIFAR10.base_folder == FOLDER


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_batch_is_read_as_pickle_reads_it(protocol):
    pixels = np.random.default_rng(1).integers(0, 256, (30, 3072), np.uint8)
    content = {"labels": [7 * i % 10 for i in range(30)], "data": pixels}
    if protocol < 3:  # those who wrote CIFAR-10 had strings of bytes
        content["data"] = pixels.tobytes().decode("latin-1")
    images, labels = parse_batch(pickle.dumps(content, protocol))
    assert labels == [7 * i % 10 for i in range(30)]
    np.testing.assert_array_equal(images, pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))


def test_a_batch_is_read_as_python_2_wrote_it():
    """The instructions of CIFAR-10's own files, whose bytes are strings."""
    pixels = np.random.default_rng(2).integers(0, 256, (3, 3072), np.uint8).tobytes()
    content = (
        b"\x80\x02}q\x01(U\x0bbatch_labelq\x02U\x15training batch 1 of 5q\x03"
        b"U\x06labelsq\x04]q\x05(K\x06K\x09K\x01eU\x04dataq\x06cnumpy.core.multiarray\n"
        b"_reconstruct\nq\x07cnumpy\nndarray\nq\x08K\x00\x85U\x01b\x87Rq\x09(K\x01K\x03M\x00\x0c\x86"
        b"cnumpy\ndtype\nq\x0aU\x02u1K\x00K\x01\x87Rq\x0b(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xff"
        b"K\x00tb\x89T" + len(pixels).to_bytes(4, "little") + pixels + b"tb"
        b"U\tfilenamesq\x0c]q\x0d(U\x05a.pngU\x05b.pngU\x05c.pngeu."
    )
    images, labels = parse_batch(content)
    assert labels == [6, 9, 1]
    assert images.transpose(0, 3, 1, 2).tobytes() == pixels
    theirs = pickle.loads(content, encoding="bytes")
    assert theirs[b"labels"] == labels
    assert theirs[b"data"].tobytes() == pixels


def test_nothing_in_a_batch_is_run(tmp_path):
    mark = tmp_path / "written"

    class Wicked:
        def __reduce__(self):
            return (type(mark).write_text, (mark, "by a pickle"))

    content = pickle.dumps({"labels": [0], "data": Wicked()})
    with pytest.raises(ValueError, match="do not make 1 images"):
        parse_batch(content)
    assert not mark.exists()
    pickle.loads(content)
    assert mark.exists()


def test_a_download_is_checked_kept_and_used_again(served_cifar, home, capfd):
    said = []
    source = cifar10(said.append)
    assert said == [f"downloading CIFAR-10 (170 MB) into {home / 'downloads'}"]
    assert downloads(home) == [FOLDER]
    assert capfd.readouterr().out == ""
    images = open_cached(source, 32, say=str)
    assert len(images.train.labels) == 20
    assert len(images.test.labels) == 4
    for seed, split in ((0, images.train), (5, images.test)):
        rows = pickle.loads(batch(seed))["data"]
        name = f"{'train' if seed == 0 else 'test'}/cat/00003"
        at = split.names.index(name)
        expected = rows[3].reshape(3, 32, 32).transpose(1, 2, 0)
        np.testing.assert_array_equal(split.images[at], expected)
        assert split.labels.tolist() == ["/cat/" in n for n in split.names]
    served_cifar.files.clear()
    assert cifar10(said.append).fingerprint == source.fingerprint
    assert len(said) == 1


def test_other_batches_have_another_fingerprint(tiny_cifar, pack, monkeypatch):
    monkeypatch.setenv("LOSSBENCH_DATA", str(pack({}, name="given")))
    prints = set()
    for content in (tiny_cifar["test_batch"], batch(99)):
        files = {**tiny_cifar, "test_batch": content}
        pack({f"{FOLDER}/{name}": c for name, c in files.items()}, name="given")
        monkeypatch.setattr(cifar, "TEST", [["test_batch", md5(content)]])
        prints.add(cifar10(str).fingerprint)
    assert len(prints) == 2


def test_a_server_without_the_file(served_cifar, home):
    served_cifar.files.clear()
    with pytest.raises(UnavailableError, match="404"):
        cifar10(str)
    assert downloads(home) == []


def test_the_order_of_the_search(tiny_cifar, pack, pets, tmp_path, monkeypatch, home):
    files = [f"{s}/{c}/{{}}.jpg" for s in ("train", "test") for c in ("cat", "dog", "ship")]
    given = pack({f"{FOLDER}/{name}": c for name, c in tiny_cifar.items()}, name="given")
    pack(pets(*files, count=3), "zip", "given/cifar10")
    pack(pets(*files, count=2), "zip", "given/cifar10-catdog")
    monkeypatch.setenv("LOSSBENCH_DATA", str(given))
    for name, count in (("cifar10-catdog.zip", 8), ("cifar10.zip", 12), (FOLDER, 24)):
        source = cifar10(str)
        assert len(source.images()) == count
        assert (source.name, source.image_size, source.synthetic) == ("cifar10", 32, False)
        (given / name).rename(tmp_path / f"used-{name}")
    (home / "downloads").mkdir(parents=True)
    (tmp_path / f"used-{FOLDER}").rename(home / "downloads" / FOLDER)
    assert len(cifar10(str).images()) == 24


def test_ten_classes_of_the_batches(tiny_cifar, pack, monkeypatch):
    given = pack({f"{FOLDER}/{name}": c for name, c in tiny_cifar.items()}, name="given")
    monkeypatch.setenv("LOSSBENCH_DATA", str(given))
    source = cifar10_ten(pytest.fail)
    assert source.classes == CLASSES
    assert (source.name, source.image_size) == ("cifar10-ten", 32)
    images = open_cached(source, 32, say=str)
    assert np.bincount(images.train.labels).tolist() == [10] * 10
    assert np.bincount(images.test.labels).tolist() == [2] * 10
    rows = pickle.loads(tiny_cifar["test_batch"])["data"]
    for image, label, name in zip(*vars(images.test).values(), strict=True):
        _, kind, index = name.split("/")
        assert kind == CLASSES[label]
        expected = rows[int(index)].reshape(3, 32, 32).transpose(1, 2, 0)
        np.testing.assert_array_equal(image, expected)


def test_ten_classes_of_a_zip_but_not_of_one_of_cats_and_dogs(pack, pets, monkeypatch, tmp_path):
    files = [f"cifar10/{s}/{c}/{{}}.jpg" for s in ("train", "test") for c in CLASSES]
    pack(pets(*files, count=2), "zip", "cifar10")
    pack(pets(*(f for f in files if "/cat/" in f or "/dog/" in f)), "zip", "cifar10-catdog")
    monkeypatch.setenv("LOSSBENCH_DATA", str(tmp_path))
    source = cifar10_ten(pytest.fail)
    assert source.classes == CLASSES
    assert source.description == "ten classes of CIFAR-10 (JPEG copies in cifar10.zip)"
    assert len(source.images()) == 40
    assert all(CLASSES[p.label] == p.name.split("/")[1] for p in source.images())
    assert source.fingerprint != cifar10(pytest.fail).fingerprint


def test_damaged_batches_are_an_error_not_a_download(tiny_cifar, pack, monkeypatch):
    files = {f"{FOLDER}/{name}": content for name, content in tiny_cifar.items()}
    files[f"{FOLDER}/data_batch_3"] += b"!"
    monkeypatch.setenv("LOSSBENCH_DATA", str(pack(files)))
    with pytest.raises(UserError, match="damaged or incomplete"):
        cifar10(str)


def test_real_images(real_data, monkeypatch):
    monkeypatch.setenv("LOSSBENCH_DATA", str(real_data))
    source = cifar10(pytest.fail)
    assert [sum(p.split == s for p in source.images()) for s in ("train", "test")] == [10000, 2000]
    assert sum(p.label for p in source.images()) == 6000
