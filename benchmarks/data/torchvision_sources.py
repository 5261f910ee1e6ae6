"""CIFAR-10 and Oxford-IIIT Pet: found in a directory, or downloaded by torchvision."""

import contextlib
import hashlib
import io
import os
import shutil
import socket
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.data.archives import file_digest, read_file
from benchmarks.data.folders import path_source
from benchmarks.data.sources import (
    CATS_AND_DOGS,
    Load,
    Picture,
    Say,
    Source,
    SplitName,
    UnavailableError,
    arranged,
    cache_home,
    check_every_class,
    data_directory,
)
from benchmarks.errors import UserError

NETWORK_TIMEOUT = 10.0
"""Seconds without a byte after which a download is given up."""

CIFAR_FOLDER = "cifar-10-batches-py"
CIFAR_CLASSES = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)
"""CIFAR-10's classes in its own order."""
PETS_FOLDER = "oxford-iiit-pet"
FEWEST_OF_BREED = 20
"""Photographs to train on that a breed needs to be a class."""


Labelled = Mapping[SplitName, Sequence[tuple[Path, int]]]
"""The photographs of each split with their labels."""


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
    zips = ("cifar10-catdog.zip", "cifar10.zip")
    return _cifar("cifar10", "cats and dogs of CIFAR-10", CATS_AND_DOGS, zips, say)


def cifar10_ten(say: Say) -> Source:
    """The ten classes of CIFAR-10: 50,000 to train on and 10,000 to test, 32x32.

    Looked for as `cifar10` is, but for `cifar10-catdog.zip`; arguments and errors are the same.
    """
    return _cifar("cifar10-ten", "ten classes of CIFAR-10", CIFAR_CLASSES, ("cifar10.zip",), say)


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
    root = _pets_root(say)
    train, test = _opened(_pets_dataset, root, PETS_FOLDER)
    both: tuple[tuple[SplitName, Any], ...] = (("train", train), ("test", test))
    # The dataset's public face decodes; paths and labels without that are these two.
    labelled: Labelled = {
        split: [
            (path, CATS_AND_DOGS.index(dataset.bin_classes[target].lower()))
            for path, target in zip(dataset._images, dataset._bin_labels, strict=True)
        ]
        for split, dataset in both
    }
    about = "photographs of cats and dogs, Oxford-IIIT Pet"
    return _photographs("oxford-pets", about, CATS_AND_DOGS, labelled, root)


def oxford_breeds(say: Say) -> Source:
    """The photographs of Oxford-IIIT Pet, breed as label, in alphabetical order: those breeds
    that have at least 20 photographs in trainval, to train on, and one in test.

    Looked for as `oxford_pets` is; arguments and errors are the same, and a UserError if fewer
    than two breeds have so many.
    """
    root = _pets_root(say)
    train, test = _opened(_pets_dataset, root, PETS_FOLDER)
    paths: dict[SplitName, list[Path]] = {"train": list(train._images), "test": list(test._images)}
    there = {
        split: Counter(_breed(path) for path in those if path.is_file())
        for split, those in paths.items()
    }
    breeds = {_breed(path) for those in paths.values() for path in those}
    kept = sorted(b for b in breeds if there["train"][b] >= FEWEST_OF_BREED and there["test"][b])
    if len(kept) < 2:
        raise UserError(
            f"{str(root / PETS_FOLDER)!r} has {len(kept)} breed(s) with {FEWEST_OF_BREED} or more "
            "photographs to train on, and two are needed; replace it with a complete copy"
        )
    labelled: Labelled = {
        split: [(path, kept.index(_breed(path))) for path in those if _breed(path) in kept]
        for split, those in paths.items()
    }
    about = f"photographs of {len(kept)} breeds of cats and dogs, Oxford-IIIT Pet"
    if left_out := len(breeds) - len(kept):
        few = f"fewer than {FEWEST_OF_BREED} to train on or none to test"
        about += f"; left out: {left_out} breeds with {few}"
    return _photographs("oxford-breeds", about, tuple(kept), labelled, root)


def _breed(path: Path) -> str:
    """'American Bulldog' of american_bulldog_12.jpg."""
    return path.stem.rpartition("_")[0].replace("_", " ").title()


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


def _cifar(
    name: str, about: str, classes: tuple[str, ...], zips: tuple[str, ...], say: Say
) -> Source:
    """Some classes of CIFAR-10, from wherever it is."""
    given, downloads = data_directory(), cache_home() / "downloads"
    for directory in (given, downloads):
        if directory is None:
            continue
        for file in zips:
            if (directory / file).is_file():
                copies = f"{about} (JPEG copies in {file})"
                return path_source(
                    directory / file,
                    name=name,
                    description=copies,
                    image_size=32,
                    classes=classes,
                )
        if (directory / CIFAR_FOLDER).is_dir():
            return _cifar_batches(directory, name, about, classes)
    _download("CIFAR-10 (170 MB)", CIFAR_FOLDER, _cifar_dataset, downloads, say)
    return _cifar_batches(downloads, name, about, classes)


def _cifar_batches(root: Path, name: str, about: str, classes: tuple[str, ...]) -> Source:
    train, test = _opened(_cifar_dataset, root, CIFAR_FOLDER)
    # torchvision has just compared the files with these sums, so they stand for the content.
    sums = hashlib.sha256(repr([*train.train_list, *train.test_list]).encode()).hexdigest()
    label_of = {train.class_to_idx[each]: label for label, each in enumerate(classes)}
    splits: tuple[tuple[SplitName, Any], ...] = (("train", train), ("test", test))
    pictures = []
    for split, dataset in splits:
        for index, target in enumerate(dataset.targets):
            if (label := label_of.get(target)) is not None:
                picture = f"{split}/{classes[label]}/{index:05d}"
                key = (split, index)
                pictures.append(Picture(picture, split, label, key, f"{sums}:{index}"))
    remedy = "replace it with a complete copy"
    check_every_class(pictures, classes, str(root / CIFAR_FOLDER), remedy)
    pixels = {"train": train.data, "test": test.data}

    def load(wanted: Sequence[Picture]) -> Iterator[tuple[int, Load]]:
        for position, picture in enumerate(wanted):
            part, index = picture.key
            yield position, partial(pixels[part].__getitem__, index)

    return Source(name, about, False, 32, classes, arranged(pictures), load)


def _pets_root(say: Say) -> Path:
    """The directory that Oxford-IIIT Pet is in, downloaded if need be."""
    given, downloads = data_directory(), cache_home() / "downloads"
    for directory in (given, downloads):
        if directory is not None and (directory / PETS_FOLDER).is_dir():
            return directory
    _download("Oxford-IIIT Pet (800 MB)", PETS_FOLDER, _pets_dataset, downloads, say)
    return downloads


def _photographs(
    name: str,
    about: str,
    classes: tuple[str, ...],
    labelled: Labelled,
    root: Path,
) -> Source:
    """Photographs of Oxford-IIIT Pet with a label each."""
    pictures = [
        Picture(path.stem, split, label, path, file_digest(path))
        for split, those in labelled.items()
        for path, label in those
    ]
    remedy = "replace it with a complete copy"
    check_every_class(pictures, classes, str(root / PETS_FOLDER), remedy)

    def load(wanted: Sequence[Picture]) -> Iterator[tuple[int, Load]]:
        for position, picture in enumerate(wanted):
            yield position, partial(read_file, picture.key)

    return Source(name, about, False, 64, classes, arranged(pictures), load)


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
