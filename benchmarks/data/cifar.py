"""CIFAR-10, from a directory or downloaded."""

import hashlib
import pickletools
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lossbench.benchmarks.errors import UserError

from .class_names import Labels, class_labels, parse_classes
from .download import Archive, download
from .folder import path_source
from .sources import (
    CATS_AND_DOGS,
    ImageInfo,
    ImageSource,
    Say,
    SplitName,
    cache_home,
    check_every_class,
    data_directory,
    listed_source,
)

FOLDER = "cifar-10-batches-py"
CLASSES = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)
"""Class names of CIFAR-10 in its own order."""
IMAGE_SIZE = 32
ARCHIVE = Archive(
    "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
    170_498_071,
    "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
)
MEMBERS = re.compile(rf"{FOLDER}/(?P<path>data_batch_[1-5]|test_batch)")
TRAIN = [
    ["data_batch_1", "c99cafc152244af753f735de768cd75f"],
    ["data_batch_2", "d4bba439e000b95fd0a9bffe97cbabec"],
    ["data_batch_3", "54ebc095f3ab1f0389bbae665268c751"],
    ["data_batch_4", "634d18415352ddfa80567beed471001a"],
    ["data_batch_5", "482c414d41f54cd18b22e5b47cb7c3cb"],
]
TEST = [["test_batch", "40351d587109b95175f43aff81a1287e"]]
"""Files of each split, with an MD5 that detects a damaged copy."""


def cifar10(say: Say) -> ImageSource:
    """Find the cats and dogs of CIFAR-10: 10,000 training and 2,000 test images, 32x32.

    LOSSBENCH_DATA is searched first, then earlier downloads. Each may hold `cifar10-catdog.zip`,
    `cifar10.zip` (both with train/cat/0001.jpg and so on) or `cifar-10-batches-py` (torchvision's
    folder). Otherwise the images are downloaded.

    Args:
        say: takes a message when a download begins.

    Raises:
        UserError: the files found are damaged, or LOSSBENCH_DATA is not a directory.
        UnavailableError: the images are neither found nor downloaded.
    """
    zips = ("cifar10-catdog.zip", "cifar10.zip")
    return _find("cifar10", "cats and dogs of CIFAR-10", CATS_AND_DOGS, zips, say)


def cifar10_ten(say: Say, class_names: Sequence[str] = ()) -> ImageSource:
    """Find the ten classes of CIFAR-10: each has 5,000 training and 1,000 test images, 32x32.

    LOSSBENCH_DATA is searched first, then earlier downloads. Each may hold `cifar10.zip` or
    `cifar-10-batches-py`. Otherwise the images are downloaded.

    Args:
        say: takes a message when a download begins.
        class_names: the classes, such as 'ship' or 'vehicle=ship,truck'; others are left out. None
            given: all ten.

    Raises:
        UserError: the files found are damaged, there is no such class, or LOSSBENCH_DATA is not a
            directory.
        UnavailableError: the images are neither found nor downloaded.
    """
    about = f"{', '.join(class_names) or 'ten classes'} of CIFAR-10"
    return _find("cifar10-ten", about, CLASSES, ("cifar10.zip",), say, class_names)


def _find(
    name: str,
    about: str,
    classes: tuple[str, ...],
    zips: tuple[str, ...],
    say: Say,
    class_names: Sequence[str] = (),
) -> ImageSource:
    """Find the given classes of CIFAR-10, or download them."""
    names, labels = parse_classes(class_names) if class_names else (classes, class_labels(classes))
    for directory in (data_directory(), cache_home() / "downloads"):
        if directory is None:
            continue
        for file in zips:
            if (directory / file).is_file():
                return path_source(
                    directory / file,
                    name=name,
                    description=f"{about} (JPEG copies in {file})",
                    image_size=IMAGE_SIZE,
                    classes=classes,
                    class_names=class_names,
                )
        if (directory / FOLDER).is_dir():
            return _batches_source(directory, name, about, names, labels)
    downloads = download("CIFAR-10 (170 MB)", FOLDER, [ARCHIVE], MEMBERS, say)
    return _batches_source(downloads, name, about, names, labels)


def _batches_source(
    root: Path, name: str, about: str, classes: tuple[str, ...], named: Labels
) -> ImageSource:
    """Create the source of the classes of the batch files, whose labels are given by name. Raises
    UserError."""
    # The files are compared with these checksums, so the checksums stand for the content.
    sums = hashlib.sha256(repr([*TRAIN, *TEST]).encode()).hexdigest()
    labels = {target: named[each] for target, each in enumerate(CLASSES) if each in named}
    files: dict[SplitName, list[list[str]]] = {"train": TRAIN, "test": TEST}
    pixels: dict[SplitName, np.ndarray] = {}
    images = []
    for split, names in files.items():
        pixels[split], targets = _read_batches(root / FOLDER, names)
        images += [
            ImageInfo(
                name=f"{split}/{CLASSES[target]}/{index:05d}",
                split=split,
                label=labels[target],
                key=(split, index),
                digest=f"{sums}:{index}",
            )
            for index, target in enumerate(targets)
            if target in labels
        ]
    check_every_class(images, classes, str(root / FOLDER), "replace it with a complete copy")

    def read(key: tuple[SplitName, int]) -> np.ndarray:
        split, index = key
        image: np.ndarray = pixels[split][index]
        return image

    return listed_source(name, about, classes, images, read, image_size=IMAGE_SIZE)


def _read_batches(folder: Path, files: Sequence[Sequence[str]]) -> tuple[np.ndarray, list[int]]:
    """Read images, uint8 (N, 32, 32, 3), and labels of batch files. Raises UserError."""
    images, labels = [], []
    try:
        for name, md5 in files:
            content = (folder / name).read_bytes()
            if hashlib.md5(content, usedforsecurity=False).hexdigest() != md5:
                raise ValueError(f"{name} has another checksum")
            pixels, targets = parse_batch(content)
            images.append(pixels)
            labels += targets
    except (OSError, ValueError) as error:
        raise UserError(
            f"{str(folder)!r} is damaged or incomplete ({error}); "
            "remove it or replace it, and start again"
        ) from error
    return np.concatenate(images), labels


def parse_batch(content: bytes) -> tuple[np.ndarray, list[int]]:
    """Parse a CIFAR-10 batch file into images, uint8 (N, 32, 32, 3), and labels.

    A batch is a pickle, and unpickling runs code. The pickle is therefore not loaded: its opcodes
    are listed, and the integers after the string `labels` and the longest byte string are taken.

    Raises:
        ValueError: the content is not a batch.
    """
    pixels: str | bytes | bytearray = b""
    labels: list[int] = []
    reading = False
    for instruction, value, _ in pickletools.genops(content):
        if isinstance(value, str | bytes | bytearray):
            reading = value in ("labels", b"labels")
            pixels = max(pixels, value, key=len)
        elif reading and instruction.name in ("BININT1", "BININT2", "BININT", "INT"):
            labels.append(int(value or 0))
    found = np.frombuffer(pixels.encode("latin-1") if isinstance(pixels, str) else pixels, np.uint8)
    if not labels or found.size != len(labels) * 3 * IMAGE_SIZE**2:
        raise ValueError(f"{found.size:,} bytes of pixels do not make {len(labels):,} images")
    return found.reshape(-1, 3, IMAGE_SIZE, IMAGE_SIZE).transpose(0, 2, 3, 1), labels
