"""Resolve the value of `--data` to images ready for training."""

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from lossbench.benchmarks.config import DuplicatePolicy
from lossbench.benchmarks.errors import UserError, one_line, unknown_name

from .cache import open_cached
from .cifar import cifar10, cifar10_ten
from .duplicates import handle_duplicates
from .folder import path_source
from .image_set import ImageSet
from .other_files import TAR_SUFFIXES
from .pets import oxford_breeds, oxford_folder, oxford_pets
from .sources import (
    SOURCES,
    ImageSource,
    ProgressCallback,
    Say,
    UnavailableError,
    cache_home,
    data_directory,
)
from .synthetic import synthetic

MIN_SIZE, MAX_SIZE = 32, 224


def open_images(
    data: str | None,
    image_size: int | None,
    split: Sequence[str] = (),
    classes: Sequence[str] = (),
    duplicates: DuplicatePolicy = "keep",
    *,
    say: Say,
    progress: ProgressCallback | None = None,
) -> ImageSet:
    """Find or download images and open them from the cache.

    Args:
        data: 'cifar10', 'oxford-pets', 'synthetic', or the path of a directory, .zip, .tar, .tar.gz
            or .tgz for cats and dogs; 'cifar10-ten' or 'oxford-breeds' for more classes. None:
            cifar10, or synthetic if that is unavailable.
        image_size: height and width in pixels, 32 to 224. None: the source's own size (32 for
            CIFAR-10 and synthetic, 64 for photographs).
        split: what folders of a path are, such as 'test=Test Data'; as in `path_source`.
        classes: what classes of a path are called, such as 'cat=kitten'; as in `path_source`. Of
            cifar10-ten: those to take.
        duplicates: what to do with copies of an image; as in `handle_duplicates`.
        say: takes lines for the user: downloads, decoding, skipped images.
        progress: takes (done, total) while images are decoded or drawn.

    Raises:
        UserError: the size is out of range, the name is unknown, the path has no usable images,
            the named images are unavailable, or there are duplicates and `duplicates` is 'stop'.
    """
    if image_size is not None and not MIN_SIZE <= image_size <= MAX_SIZE:
        raise UserError(
            f"image size {image_size} is out of range: choose from {MIN_SIZE} to {MAX_SIZE} pixels"
        )
    source = _find_source(data, image_size, split, classes, say)
    size = image_size or source.image_size

    def reopen(source: ImageSource) -> ImageSet:
        return open_cached(source, size, say=say, progress=progress)

    return handle_duplicates(reopen(source), duplicates, reopen)


def _find_source(
    data: str | None,
    image_size: int | None,
    split: Sequence[str],
    classes: Sequence[str],
    say: Say,
) -> ImageSource:
    """Return the source that `data` names, or the synthetic one if CIFAR-10 is unavailable."""
    finders: dict[str, Callable[[Say], ImageSource]] = {
        "cifar10": cifar10,
        "cifar10-ten": partial(cifar10_ten, class_names=classes) if classes else cifar10_ten,
        "oxford-pets": oxford_pets,
        "oxford-breeds": oxford_breeds,
    }
    for flag, given in (("split", split), ("classes", classes)):
        if flag == "classes" and data == "cifar10-ten":
            continue
        if given and (data is None or data in SOURCES):
            own = "splits" if flag == "split" else flag
            raise UserError(
                f"--{flag} {' '.join(given)}: {data or 'cifar10'} has {own} of its own; give "
                f"--{flag} with the path of a folder or archive as --data"
            )
    if data == "synthetic":
        return synthetic(image_size or 32)
    if data is not None and data not in finders:
        return _find_path(data, split, classes)
    try:
        return finders[data or "cifar10"](say)
    except UnavailableError as reason:
        if data is not None:
            raise UserError(
                f"{data} is unavailable ({_attempts(reason)}); {_remedies()}"
            ) from reason
        say(
            f"CIFAR-10's cats and dogs are unavailable: {_attempts(reason)}. Using synthetic "
            "images instead, faces drawn by code; the numbers say nothing about real images and "
            f"everything is marked SYNTHETIC. For real images, {_remedies()}."
        )
        return synthetic(image_size or 32)


def _find_path(data: str, split: Sequence[str], classes: Sequence[str]) -> ImageSource:
    try:
        path = Path(data).expanduser()
        exists = bool(data) and path.exists()
    # An unknown user (~name), a name that is too long, a directory without permission.
    except (OSError, RuntimeError) as error:
        raise UserError(f"can't access {data!r}: {one_line(error)}; use another path") from error
    if exists and not split and not classes and (source := oxford_folder(path)):
        return source
    if exists:
        return path_source(path, splits=split, class_names=classes)
    if os.sep in data or data.lower().endswith((".zip", *TAR_SUFFIXES)):
        raise UserError(
            f"no such file or directory: {data!r}; --data takes {', '.join(SOURCES)}, or the "
            "path of a directory, .zip, .tar or .tar.gz with cats and dogs"
        )
    raise unknown_name("data source (and there is no such path)", data, SOURCES)


def _attempts(reason: UnavailableError) -> str:
    """Describe the places that were searched without success."""
    given, downloads = data_directory(), cache_home() / "downloads"
    if given:
        return f"it is neither in {given} (LOSSBENCH_DATA) nor in {downloads}, and {reason}"
    return f"LOSSBENCH_DATA is not set, it is not in {downloads}, and {reason}"


def _remedies() -> str:
    """Describe what the user can do to get real images."""
    return (
        "(1) connect this machine to the network and start again; or (2) put or link the images "
        "(cifar10.zip, cifar-10-batches-py or oxford-iiit-pet; for cifar10 also "
        "cifar10-catdog.zip) in a directory and set LOSSBENCH_DATA to it; or (3) give your own "
        "cats and dogs with --data PATH (a directory, .zip or .tar.gz of folders cat and dog)"
    )
