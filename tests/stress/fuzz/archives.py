"""Fuzz archives and folders of images, CIFAR-10 batches and cached listings."""

import contextlib
import io
import json
import os
import pickle
import re
import shutil
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from lossbench.benchmarks.data import listing_cache
from lossbench.benchmarks.data.cifar import parse_batch
from lossbench.benchmarks.data.class_names import parse_classes
from lossbench.benchmarks.data.directory import read_file
from lossbench.benchmarks.data.folder import path_source
from lossbench.benchmarks.data.sources import SPLITS, UnusableError
from lossbench.benchmarks.data.split_names import parse_splits
from lossbench.benchmarks.errors import UserError

from .target import Target

FILES = {
    f"{split}{kind}/{number}.png": f"picture {number} of a {kind}".encode()
    for split in ("train/", "test/")
    for kind in ("cat", "dog")
    for number in range(2)
}


def _zips() -> Iterator[bytes]:
    stored, deflated = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED
    for method in (stored, stored, deflated, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", method) as archive:
            archive.comment = b"a comment"
            for name, content in FILES.items():
                archive.writestr(name, content)
            with archive.open("train/cat.9.jpg", "w", force_zip64=True) as member:
                member.write(b"picture")
        yield file.getvalue()


def _tars() -> Iterator[bytes]:
    kinds = (("w", tarfile.PAX_FORMAT), ("w", tarfile.GNU_FORMAT), ("w", tarfile.USTAR_FORMAT))
    for mode, form in (
        *kinds,
        *kinds,
        *((f"w:{c}", tarfile.PAX_FORMAT) for c in ("gz", "bz2", "xz")),
    ):
        file = io.BytesIO()
        longest = 20 if form == tarfile.USTAR_FORMAT else 160
        with tarfile.open(fileobj=file, mode=mode, format=form) as archive:  # type: ignore[call-overload]
            for name, content in FILES.items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                if form == tarfile.PAX_FORMAT:
                    member.pax_headers = {"comment": "é", "mtime": "1.5"}
                archive.addfile(member, io.BytesIO(content))
            for kind, name in ((tarfile.SYMTYPE, "test/cat/link"), (tarfile.DIRTYPE, "dog/x")):
                member = tarfile.TarInfo(f"{name}/{'x' * longest}")
                member.type, member.linkname = kind, "." * longest
                archive.addfile(member)
        # Without most of the padding to ten kilobytes.
        content = file.getvalue()
        yield content if ":" in mode else content.rstrip(b"\0") + bytes(1536)


def _reader(suffixes: Sequence[str]) -> Callable[[bytes, Path], None]:
    def read(data: bytes, scratch: Path) -> None:
        path = scratch / f"archive{suffixes[len(data) % len(suffixes)]}"
        path.write_bytes(data)
        _use(path)

    return read


def _use(path: Path) -> None:
    """List the images at a path and read each."""
    source = path_source(path)
    images = source.images()
    for image in images:
        assert image.name.isprintable()
        assert image.label in (0, 1)
    about = source.composition
    told = (source.description, *about.origins.values(), *about.left_out, *about.warnings)
    assert all(text.isprintable() for text in told)
    seen = []
    for position, content in source.load(images):
        seen.append(position)
        content = read_file(content) if isinstance(content, Path) else content
        assert isinstance(content, bytes | UnusableError)
    assert len(set(seen)) == len(seen)
    assert set(seen) <= set(range(len(images)))


def _tables() -> Iterator[bytes]:
    """Make parquet tables; none without pyarrow."""
    with contextlib.suppress(ImportError):
        import pyarrow as pa
        import pyarrow.parquet as pq

        features = {"image": {"_type": "Image"}, "label": {"_type": "ClassLabel"}}
        features["label"]["names"] = ["cat", "dog"]
        about = {"huggingface": json.dumps({"info": {"features": features}})}
        for labels, compression in (([0, 1] * 4, "snappy"), (["cat", "dog"] * 4, "none")):
            images = [{"bytes": b"picture", "path": f"{n}.jpg"} for n in range(8)]
            table = pa.table({"image": images, "label": labels}).replace_schema_metadata(about)
            sink = pa.BufferOutputStream()
            pq.write_table(table, sink, compression=compression)
            yield sink.getvalue().to_pybytes()


def _read_label_table(data: bytes, scratch: Path) -> None:
    """Read pictures that a table gives labels to."""
    folder = scratch / "labelled"
    folder.mkdir(exist_ok=True)
    for name in LABELLED:
        (folder / name).write_bytes(b"picture")
    (folder / "train.csv").write_bytes(data)
    _use(folder)


def _read_names(data: bytes, scratch: Path) -> None:
    """Make a folder of files with these names, one per line, and read it."""
    folder = scratch / "folder"
    try:
        for name in data.split(b"\n")[:12]:
            parts = [
                p[:99] for p in name.replace(b"\0", b"").split(b"/") if p not in (b"", b".", b"..")
            ]
            path = os.path.join(os.fsencode(folder), *parts[:5])
            if parts and not os.path.lexists(path):
                try:
                    os.makedirs(os.path.dirname(path), exist_ok=True)
                except (FileExistsError, NotADirectoryError):
                    continue
                with open(path, "wb") as file:
                    file.write(b"picture")
        _use(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _batches() -> Iterator[bytes]:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 3072), np.uint8)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        data = pixels if protocol > 2 else pixels.tobytes().decode("latin-1")
        yield pickle.dumps({"labels": [3, 300], "data": data}, protocol)


def _read_batch(data: bytes, _: Path) -> None:
    images, labels = parse_batch(data)
    assert images.shape == (len(labels), 32, 32, 3)


LAYOUTS = (
    "\n".join(FILES),
    "cat.1.jpg\ncat.2.jpg\ndog.1.jpg\ndog.2.jpg\nhorse/1.jpg",
    "x/Cats/é/1.jpg\nx/Cats/2.jpg\nx/DOGS/1.png\nx/DOGS/2\nx/readme.txt\n__MACOSX/cat/._1.jpg",
    "Training Data/cat/1.jpg\nTraining Data/dog/1.jpg\nx_Test/cat/1.jpg\nx_Test/dog/1.jpg",
    "cat/hold-out/1.jpg\ncat/train/1.jpg\ndog/hold-out/1.jpg\ndog/train/1.jpg",
    "".join(
        f"{s}/{c}s/{n}.jpg\n" for s in ("training_set", "val") for c in ("cat", "dog") for n in "12"
    ),
)
WORDS = (
    *(b"cat", b"dogs", b"test", b"valid", b"/", b"\n"),
    *(b".jpg", b"train/", b"\x1b[31m", b"cat.1."),
)
ARCHIVE_ERRORS = (UserError,)


LABELLED = tuple(f"{number}.jpg" for number in range(8))


class NoListingError(Exception):
    """Raised for a listing that is not trusted and would be made again."""


def _listings() -> list[bytes]:
    about = {
        "fingerprint": "0123456789abcdef" * 4,
        "composition": {
            "origins": {"train": "from a/", "test": "a fixed 20% of each class"},
            "left_out": ["3 files of no class: b/ (3)"],
            "warnings": [],
        },
    }
    return [json.dumps({"format": listing_cache.FORMAT, "stamp": "s", **about}).encode()]


def _read_listing(data: bytes, scratch: Path) -> None:
    file = scratch / "listing.json"
    file.write_bytes(data)
    listing = listing_cache._read(file, "s")
    if listing is None:
        raise NoListingError
    assert re.fullmatch("[0-9a-f]{64}", listing.fingerprint)
    about = listing.composition
    assert all(isinstance(each, str) for each in (*about.origins.values(), *about.warnings))
    assert set(about.origins) <= set(SPLITS)


def _read_splits(data: bytes, _: Path) -> None:
    """Parse the values of --split, one per line."""
    given = parse_splits(data.decode(errors="surrogateescape").split("\n"))
    assert set(given.values()) <= set(SPLITS)
    assert all(part not in ("", ".", "..") and "/" not in part for f in given for part in f)


def _read_classes(data: bytes, _: Path) -> None:
    """Parse the values of --classes, one per line."""
    classes, labels = parse_classes(data.decode(errors="surrogateescape").split("\n"))
    assert set(labels.values()) == set(range(len(classes)))
    assert all(name.isprintable() for name in classes)


CLASS_FLAGS = Target(
    lambda: [b"cat=kitten,gatos\ndog=perros", b"dog\ncat", b"a=0\nb=1\nc=2,3"],
    _read_classes,
    ARCHIVE_ERRORS,
    (b"cat=", b"dog=", b"=", b",", b"/", b"\n"),
)
SPLIT_FLAGS = Target(
    lambda: [b"train=a/b\ntest=Test Data", b"VALID=.\ntest=c/"],
    _read_splits,
    ARCHIVE_ERRORS,
    (b"train=", b"test=", b"=", b"/", b"..", b"\n"),
)
ZIP = Target(
    lambda: list(_zips()),
    _reader((".zip", ".zip", "")),
    ARCHIVE_ERRORS,
    (b"PK\1\2", b"PK\3\4", b"PK\5\6", b"PK\6\6", b"PK\6\7", b"cat/1.png", b"../cat/1"),
)
TAR = Target(
    lambda: list(_tars()),
    _reader((".tar", ".tgz", "")),
    ARCHIVE_ERRORS,
    (b"ustar\x0000", b"ustar  \0", b"17 GNU.sparse.", b"x" * 99, b"\x80\0\0\0", b"cat/1.png"),
)
LABEL_TABLE = Target(
    lambda: [
        "\n".join(
            [f"image{sign}label{sign}split"]
            + [
                f"{n}.jpg{sign}{('cat', 'dog')[n % 2]}{sign}{('train', 'test')[n % 4 // 2]}"
                for n in range(8)
            ]
        ).encode()
        for sign in ",;\t"
    ],
    _read_label_table,
    ARCHIVE_ERRORS,
    (*(b"filename", b"label", b"split", b"cat", b"dogs", b"7.jpg", b"../"), b",", b'"', b"\n"),
)
PARQUET = Target(
    lambda: list(_tables()),
    _reader((".parquet",)),
    ARCHIVE_ERRORS,
    (b"PAR1", b"image", b"label", b"bytes", b"ClassLabel", b"\xff\xff\xff\x7f", b"\0\0\0\0"),
)
NAMES = Target(lambda: [each.encode() for each in LAYOUTS], _read_names, ARCHIVE_ERRORS, WORDS)
CIFAR = Target(lambda: list(_batches()), _read_batch, (ValueError,), (b"labels", b"K\3", b"U\6"))
LISTING = Target(
    _listings,
    _read_listing,
    (NoListingError,),
    (
        *(b'"fingerprint": ', b'"description": ', b'"stamp": "s", '),
        *(b"null", b"[" * 5000, b"1e999", b"\\ud800"),
    ),
)
