"""A small CIFAR-10, found in a directory or downloaded, and never unpickled."""

import hashlib
import pickle

import numpy as np
import pytest
from torchvision.datasets import CIFAR10

from lossbench.benchmarks.data import cifar
from lossbench.benchmarks.data.cache import open_cached
from lossbench.benchmarks.data.cifar import CLASSES, FOLDER, cifar10, cifar10_ten, parse_batch
from lossbench.benchmarks.data.sources import UnavailableError


def batch(seed, count=20):
    """Pickle a batch; image i has class i % 10."""
    data = np.random.default_rng(seed).integers(0, 256, (count, 3072), np.uint8)
    return pickle.dumps({"data": data, "labels": [i % 10 for i in range(count)]})


def expected_pixels(content, index):
    return pickle.loads(content)["data"][index].reshape(3, 32, 32).transpose(1, 2, 0)


@pytest.fixture
def tiny_cifar(monkeypatch):
    """Make the files of a small CIFAR-10, and expect their checksums."""
    files = {name: batch(seed) for seed, (name, _) in enumerate([*cifar.TRAIN, *cifar.TEST])}
    for split in ("TRAIN", "TEST"):
        lines = [
            [name, hashlib.md5(files[name], usedforsecurity=False).hexdigest()]
            for name, _ in getattr(cifar, split)
        ]
        monkeypatch.setattr(cifar, split, lines)
    return files


@pytest.fixture
def given(pack, monkeypatch):
    """Write batch files to LOSSBENCH_DATA and return its path."""

    def write(files):
        path = pack({f"{FOLDER}/{name}": c for name, c in files.items()}, name="given")
        monkeypatch.setenv("LOSSBENCH_DATA", str(path))
        return path

    return write


def downloads(home):
    return sorted(p.name for p in (home / "downloads").iterdir() if p.name != ".lock")


def test_files_and_address_are_those_of_torchvision():
    assert CIFAR10.train_list == cifar.TRAIN
    assert CIFAR10.test_list == cifar.TEST
    assert cifar.ARCHIVE.url == CIFAR10.url
    assert CIFAR10.base_folder == FOLDER


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_batch_is_read_as_pickle_reads_it(protocol):
    pixels = np.random.default_rng(1).integers(0, 256, (30, 3072), np.uint8)
    content = {"labels": [7 * i % 10 for i in range(30)], "data": pixels}
    if protocol < 3:  # CIFAR-10's own files have strings
        content["data"] = pixels.tobytes().decode("latin-1")
    images, labels = parse_batch(pickle.dumps(content, protocol))
    assert labels == [7 * i % 10 for i in range(30)]
    np.testing.assert_array_equal(images, pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))


def test_a_batch_is_read_as_python_2_wrote_it():
    """CIFAR-10's own files have these opcodes; their pixels are a string."""
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
    unpickled = pickle.loads(content, encoding="bytes")
    assert unpickled[b"labels"] == labels
    assert unpickled[b"data"].tobytes() == pixels


def test_a_batch_runs_no_code(tmp_path):
    mark = tmp_path / "written"

    class Malicious:
        def __reduce__(self):
            return (type(mark).write_text, (mark, "by a pickle"))

    content = pickle.dumps({"labels": [0], "data": Malicious()})
    with pytest.raises(ValueError, match="do not make 1 images"):
        parse_batch(content)
    assert not mark.exists()
    pickle.loads(content)
    assert mark.exists()


def test_a_download_is_checked_and_reused(tiny_cifar, server, packed, monkeypatch, home):
    archive = server.publish("cifar.tar.gz", packed(tiny_cifar, FOLDER))
    monkeypatch.setattr(cifar, "ARCHIVE", archive)
    content = server.files.pop("/cifar.tar.gz")
    with pytest.raises(UnavailableError, match="404"):
        cifar10(str)
    assert downloads(home) == []
    server.files["/cifar.tar.gz"] = content
    messages = []
    source = cifar10(messages.append)
    assert messages == [f"downloading CIFAR-10 (170 MB) into {home / 'downloads'}"]
    assert downloads(home) == [FOLDER]
    images = open_cached(source, 32, say=str)
    assert (len(images.train.labels), len(images.test.labels)) == (20, 4)
    for name, split in (("data_batch_1", images.train), ("test_batch", images.test)):
        position = [n.endswith("/cat/00003") for n in split.names].index(True)
        np.testing.assert_array_equal(split.images[position], expected_pixels(tiny_cifar[name], 3))
        assert split.labels.tolist() == ["/cat/" in n for n in split.names]
    server.files.clear()
    assert cifar10(pytest.fail).fingerprint == source.fingerprint


def test_other_batches_have_another_fingerprint(tiny_cifar, given, monkeypatch):
    given(tiny_cifar)
    first = cifar10(pytest.fail).fingerprint
    content = batch(99)
    given({**tiny_cifar, "test_batch": content})
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    monkeypatch.setattr(cifar, "TEST", [["test_batch", md5]])
    assert cifar10(pytest.fail).fingerprint != first


def test_the_order_of_the_search(tiny_cifar, given, pack, pets, tmp_path, home):
    names = [f"{s}/{c}/{{}}.jpg" for s in ("train", "test") for c in ("cat", "dog", "ship")]
    directory = given(tiny_cifar)
    pack(pets(*names, count=3), "zip", "given/cifar10")
    pack(pets(*names, count=2), "zip", "given/cifar10-catdog")
    for name, count in (("cifar10-catdog.zip", 8), ("cifar10.zip", 12), (FOLDER, 24)):
        source = cifar10(pytest.fail)
        assert len(source.images()) == count
        assert (source.name, source.image_size, source.synthetic) == ("cifar10", 32, False)
        (directory / name).rename(tmp_path / f"used-{name}")
    (home / "downloads").mkdir(parents=True)
    (tmp_path / f"used-{FOLDER}").rename(home / "downloads" / FOLDER)
    assert len(cifar10(pytest.fail).images()) == 24


def test_ten_classes_of_the_batches(tiny_cifar, given):
    given(tiny_cifar)
    source = cifar10_ten(pytest.fail)
    assert (source.name, source.image_size, source.classes) == ("cifar10-ten", 32, CLASSES)
    images = open_cached(source, 32, say=str)
    assert np.bincount(images.train.labels).tolist() == [10] * 10
    assert np.bincount(images.test.labels).tolist() == [2] * 10
    test = images.test
    for pixels, label, name in zip(test.images, test.labels, test.names, strict=True):
        _, class_name, index = name.split("/")
        assert class_name == CLASSES[label]
        expected = expected_pixels(tiny_cifar["test_batch"], int(index))
        np.testing.assert_array_equal(pixels, expected)


@pytest.mark.parametrize("kind", ["zip", "batches"])
def test_some_of_the_ten_classes(kind, tiny_cifar, given, pack, pets, monkeypatch, tmp_path):
    if kind == "batches":
        given(tiny_cifar)
    else:
        files = [f"cifar10/{s}/{c}/{{}}.jpg" for s in ("train", "test") for c in CLASSES]
        pack(pets(*files, count=2), "zip", "cifar10")
        monkeypatch.setenv("LOSSBENCH_DATA", str(tmp_path))
    source = cifar10_ten(pytest.fail, ("deer", "vehicle=ship,truck"))
    assert source.classes == ("deer", "vehicle")
    assert source.description.startswith("deer, vehicle=ship,truck of CIFAR-10")
    named = {(image.name.split("/")[1], image.label) for image in source.images()}
    assert named == {("deer", 0), ("ship", 1), ("truck", 1)}
    other = cifar10_ten(pytest.fail, ("ship", "truck"))
    assert len({each.fingerprint for each in (source, other, cifar10_ten(pytest.fail))}) == 3


@pytest.mark.parametrize("kind", ["zip", "batches"])
def test_a_class_that_is_none_of_the_ten(
    kind, tiny_cifar, given, pack, pets, monkeypatch, tmp_path, refusal
):
    if kind == "batches":
        given(tiny_cifar)
    else:
        files = [f"cifar10/{s}/{c}/{{}}.jpg" for s in ("train", "test") for c in CLASSES]
        pack(pets(*files, count=2), "zip", "cifar10")
        monkeypatch.setenv("LOSSBENCH_DATA", str(tmp_path))
    refusal(lambda: cifar10_ten(pytest.fail, ("ship", "submarine")), "submarine")


def test_ten_classes_need_the_zip_of_all_classes(pack, pets, monkeypatch, tmp_path):
    files = [f"cifar10/{s}/{c}/{{}}.jpg" for s in ("train", "test") for c in CLASSES]
    pack(pets(*files, count=2), "zip", "cifar10")
    pack(pets(*(f for f in files if "/cat/" in f or "/dog/" in f)), "zip", "cifar10-catdog")
    monkeypatch.setenv("LOSSBENCH_DATA", str(tmp_path))
    source = cifar10_ten(pytest.fail)
    assert source.classes == CLASSES
    assert source.description == "ten classes of CIFAR-10 (JPEG copies in cifar10.zip)"
    assert len(source.images()) == 40
    assert all(CLASSES[i.label] == i.name.split("/")[1] for i in source.images())


def test_damaged_batches_are_an_error_and_not_downloaded(tiny_cifar, given, refusal):
    given({**tiny_cifar, "data_batch_3": tiny_cifar["data_batch_3"] + b"!"})
    refusal(lambda: cifar10(pytest.fail), "damaged or incomplete", "data_batch_3")


def test_real_images(real_data, monkeypatch):
    monkeypatch.setenv("LOSSBENCH_DATA", str(real_data))
    images = cifar10(pytest.fail).images()
    assert [sum(i.split == s for i in images) for s in ("train", "test")] == [10000, 2000]
    assert sum(i.label for i in images) == 6000
