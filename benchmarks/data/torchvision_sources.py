"""CIFAR-10 and Oxford-IIIT Pet: found in a directory, or downloaded by torchvision."""

import contextlib
import hashlib
import io
import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.data.archives import file_digest, read_file
from benchmarks.data.folders import path_source
from benchmarks.data.sources import (
    CLASSES,
    Load,
    Picture,
    Say,
    Source,
    SplitName,
    UnavailableError,
    arranged,
    cache_home,
    check_both_classes,
    data_directory,
)
from benchmarks.errors import UserError

NETWORK_TIMEOUT = 10.0
"""Seconds without a byte after which a download is given up."""

CIFAR_FOLDER = "cifar-10-batches-py"
PETS_FOLDER = "oxford-iiit-pet"


def cifar10(say: Say) -> Source:
    """The cats and dogs of CIFAR-10: 10,000 to train on and 2,000 to test, 32x32.

    Looked for in the directory LOSSBENCH_DATA, then among earlier downloads; in each as
    `cifar10-catdog.zip`, `cifar10.zip` (both with train/cat/0001.jpg and so on inside) and
    `cifar-10-batches-py` (torchvision's folder). Else it is downloaded.

    Args:
        say: is told when a download begins.

    Raises:
        UserError: what was found is damaged, or LOSSBENCH_DATA is no directory.
        UnavailableError: it is nowhere to be found and can't be downloaded.
    """
    given, downloads = data_directory(), cache_home() / "downloads"
    for directory in (given, downloads):
        if directory is None:
            continue
        for name in ("cifar10-catdog.zip", "cifar10.zip"):
            if (directory / name).is_file():
                about = f"cats and dogs of CIFAR-10 (JPEG copies in {name})"
                return path_source(
                    directory / name, name="cifar10", description=about, image_size=32
                )
        if (directory / CIFAR_FOLDER).is_dir():
            return _cifar_batches(directory)
    _download("CIFAR-10 (170 MB)", CIFAR_FOLDER, _cifar_dataset, downloads, say)
    return _cifar_batches(downloads)


def oxford_pets(say: Say) -> Source:
    """The photographs of Oxford-IIIT Pet, species as label: trainval to train on, and test.

    Looked for as `oxford-iiit-pet` in the directory LOSSBENCH_DATA, then among earlier
    downloads, else downloaded. Pictures that the annotations list and that are missing are
    skipped when they are decoded.

    Args:
        say: is told when a download begins.

    Raises:
        UserError: what was found is damaged, or LOSSBENCH_DATA is no directory.
        UnavailableError: it is nowhere to be found and can't be downloaded.
    """
    given, downloads = data_directory(), cache_home() / "downloads"
    for directory in (given, downloads):
        if directory is not None and (directory / PETS_FOLDER).is_dir():
            return _pets(directory)
    _download("Oxford-IIIT Pet (800 MB)", PETS_FOLDER, _pets_dataset, downloads, say)
    return _pets(downloads)


def _cifar_dataset(root: Path, train: bool, download: bool) -> Any:
    from torchvision.datasets import CIFAR10  # slow to import, and rarely needed

    return CIFAR10(str(root), train=train, download=download)


def _pets_dataset(root: Path, train: bool, download: bool) -> Any:
    from torchvision.datasets import OxfordIIITPet

    split = "trainval" if train else "test"
    return OxfordIIITPet(str(root), split=split, target_types="binary-category", download=download)


def _opened(make: Callable[[Path, bool, bool], Any], root: Path, folder: str) -> tuple[Any, Any]:
    """The training and the test split of a dataset that is on disk."""
    try:
        return make(root, True, False), make(root, False, False)
    except (RuntimeError, OSError, ValueError, EOFError) as error:
        raise UserError(
            f"{str(root / folder)!r} is damaged or incomplete ({error}); "
            "remove it or replace it, and start again"
        ) from error


def _cifar_batches(root: Path) -> Source:
    train, test = _opened(_cifar_dataset, root, CIFAR_FOLDER)
    # torchvision has just compared the files with these sums, so they stand for the content.
    sums = hashlib.sha256(repr([*train.train_list, *train.test_list]).encode()).hexdigest()
    label_of = {train.class_to_idx[name]: label for label, name in enumerate(CLASSES)}
    splits: tuple[tuple[SplitName, Any], ...] = (("train", train), ("test", test))
    pictures = []
    for split, dataset in splits:
        for index, target in enumerate(dataset.targets):
            if (label := label_of.get(target)) is not None:
                name = f"{split}/{CLASSES[label]}/{index:05d}"
                key = (split, index)
                pictures.append(Picture(name, split, label, key, f"{sums}:{index}"))
    check_both_classes(pictures, str(root / CIFAR_FOLDER), "replace it with a complete copy")
    pixels = {"train": train.data, "test": test.data}

    def load(wanted: Sequence[Picture]) -> Iterator[tuple[int, Load]]:
        for position, picture in enumerate(wanted):
            part, index = picture.key
            yield position, partial(pixels[part].__getitem__, index)

    about = "cats and dogs of CIFAR-10"
    return Source("cifar10", about, False, 32, arranged(pictures), load)


def _pets(root: Path) -> Source:
    train, test = _opened(_pets_dataset, root, PETS_FOLDER)
    splits: tuple[tuple[SplitName, Any], ...] = (("train", train), ("test", test))
    pictures = []
    for split, dataset in splits:
        # The dataset's public face decodes; paths and labels without that are these two.
        for path, target in zip(dataset._images, dataset._bin_labels, strict=True):
            label = CLASSES.index(dataset.bin_classes[target].lower())
            pictures.append(Picture(path.stem, split, label, path, file_digest(path)))
    check_both_classes(pictures, str(root / PETS_FOLDER), "replace it with a complete copy")

    def load(wanted: Sequence[Picture]) -> Iterator[tuple[int, Load]]:
        for position, picture in enumerate(wanted):
            yield position, partial(read_file, picture.key)

    about = "photographs of cats and dogs, Oxford-IIIT Pet"
    return Source("oxford-pets", about, False, 64, arranged(pictures), load)


def _download(
    what: str, folder: str, make: Callable[[Path, bool, bool], Any], downloads: Path, say: Say
) -> None:
    """Downloads a dataset to `downloads / folder`, which appears complete or not at all."""
    try:
        downloads.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{folder}-", dir=downloads))
    except OSError as error:
        raise UserError(
            f"can't write to {str(downloads)!r} ({error.strerror}); "
            "set XDG_CACHE_HOME to a directory that can be written"
        ) from error
    try:
        say(f"downloading {what} into {downloads}")
        with _impatient_sockets(), contextlib.redirect_stdout(io.StringIO()):
            make(scratch, True, True)
        # Another process may have been faster; its copy is as good.
        with contextlib.suppress(OSError):
            os.rename(scratch / folder, downloads / folder)
    # URLError and a timeout are OSErrors, a wrong checksum is torchvision's RuntimeError.
    except (OSError, RuntimeError, ValueError, EOFError, ImportError) as error:
        raise UnavailableError(f"the download failed: {_one_line(error)}") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@contextlib.contextmanager
def _impatient_sockets() -> Iterator[None]:
    # torchvision passes no timeout on, so without this a silent network means waiting for ever.
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(NETWORK_TIMEOUT)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text.removeprefix("<urlopen error ").removesuffix(">")
