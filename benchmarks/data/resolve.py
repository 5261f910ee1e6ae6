"""Resolve the value of `--data` to images ready for training."""

import os
from collections.abc import Callable
from pathlib import Path

from lossbench.benchmarks.errors import UserError, one_line, unknown_name

from .archive import TAR_SUFFIXES
from .cache import open_cached
from .cifar import cifar10, cifar10_ten
from .folder import path_source
from .image_set import ImageSet
from .pets import oxford_breeds, oxford_pets
from .sources import SOURCES, Say, Source, UnavailableError, cache_home, data_directory
from .synthetic import synthetic

MIN_SIZE, MAX_SIZE = 32, 224


def open_images(
    data: str | None,
    image_size: int | None,
    *,
    say: Callable[[str], None],
    progress: Callable[[int, int], None] | None = None,
) -> ImageSet:
    """Find or download images and open them from the cache.

    Args:
        data: 'cifar10', 'oxford-pets', 'synthetic', or the path of a directory, .zip, .tar, .tar.gz
            or .tgz for cats and dogs; 'cifar10-ten' or 'oxford-breeds' for more classes. None:
            cifar10, or synthetic if that is unavailable.
        image_size: height and width in pixels, 32 to 224. None: the source's own size (32 for
            CIFAR-10 and synthetic, 64 for photographs).
        say: takes lines for the user: downloads, decoding, skipped images.
        progress: takes (done, total) while images are decoded or drawn.

    Raises:
        UserError: the size is out of range, the name is unknown, the path has no usable images, or
            the named images are unavailable.
    """
    if image_size is not None and not MIN_SIZE <= image_size <= MAX_SIZE:
        raise UserError(
            f"image size {image_size} is out of range: choose from {MIN_SIZE} to {MAX_SIZE} pixels"
        )
    source = _find_source(data, image_size, say)
    return open_cached(source, image_size or source.image_size, say=say, progress=progress)


def _find_source(data: str | None, image_size: int | None, say: Say) -> Source:
    try:
        return _named_source(data or "cifar10", image_size, say) if data != "" else _path_source("")
    except UnavailableError as reason:
        if data is not None:
            raise UserError(f"{data} can't be had ({_attempts(reason)}); {_remedies()}") from reason
        say(
            f"CIFAR-10's cats and dogs can't be had: {_attempts(reason)}. Carrying on with "
            "synthetic images, faces drawn by code; the numbers say nothing about real images "
            f"and everything is marked SYNTHETIC. For real ones, {_remedies()}."
        )
        return synthetic(image_size or 32)


def _named_source(data: str, image_size: int | None, say: Say) -> Source:
    if data == "synthetic":
        return synthetic(image_size or 32)
    found = {
        "cifar10": cifar10,
        "cifar10-ten": cifar10_ten,
        "oxford-pets": oxford_pets,
        "oxford-breeds": oxford_breeds,
    }
    return found[data](say) if data in found else _path_source(data)


def _path_source(data: str) -> Source:
    try:
        path = Path(data).expanduser()
        there = bool(data) and path.exists()
    # A user that does not exist, a name that is too long, a directory that may not be entered.
    except (OSError, RuntimeError) as error:
        raise UserError(f"can't look for {data!r}: {one_line(error)}; name another path") from error
    if there:
        return path_source(path)
    if os.sep in data or data.lower().endswith((".zip", *TAR_SUFFIXES)):
        raise UserError(
            f"no such file or directory: {data!r}; --data takes {', '.join(SOURCES)}, or the "
            "path of a directory, .zip, .tar or .tar.gz with cats and dogs"
        )
    raise unknown_name("data source (and there is no such path)", data, SOURCES)


def _attempts(reason: UnavailableError) -> str:
    given, downloads = data_directory(), cache_home() / "downloads"
    if given:
        return f"neither {given} (LOSSBENCH_DATA) nor {downloads} holds it, and {reason}"
    return f"LOSSBENCH_DATA is not set, {downloads} does not hold it, and {reason}"


def _remedies() -> str:
    return (
        "(1) connect this machine to the network and start again; or (2) put or link the images "
        "(cifar10.zip, cifar-10-batches-py or oxford-iiit-pet; for cifar10 cifar10-catdog.zip will "
        "do) in a directory "
        "and set LOSSBENCH_DATA to it; or (3) give your own cats and dogs with --data PATH "
        "(a directory, .zip or .tar.gz of folders cat and dog)"
    )
