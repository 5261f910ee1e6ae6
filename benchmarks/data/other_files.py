"""Files beside photographs: those of systems and annotations, and data sets in other formats."""

import os
import re
from collections.abc import Iterable
from functools import cache

from .sources import shorten

TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")

ARCHIVE_SUFFIXES = (*TAR_SUFFIXES, ".zip", ".7z", ".rar", ".gz", ".bz2", ".xz")
"""Suffixes of archives, which are not unpacked where they lie among images."""

SYSTEM_FOLDERS = frozenset(("__macosx", "$recycle.bin", "@eadir", "system volume information"))
SYSTEM_FILES = frozenset(("thumbs.db", "desktop.ini", "_ds_store"))
ACCOMPANYING_SUFFIXES = frozenset(
    f".{suffix}"
    for suffix in (
        *("csv", "db", "html", "ini", "json", "log", "mat", "md", "npy", "pdf", "py", "tsv"),
        *("txt", "xml", "yaml", "yml"),
    )
)
"""Suffixes of files that accompany images; they are left out without a message."""

DERIVED_FOLDERS = frozenset(
    (
        *("annotation", "annotations", "trimap", "trimaps", "mask", "masks", "segmentation"),
        *("segmentations", "featuremap", "featuremaps", "heatmap", "heatmaps", "saliencymaps"),
        *("thumb", "thumbs", "thumbnail", "thumbnails"),
    )
)
"""Folders of pictures that are no photographs, lower-case."""

_SAVE = "image.save('cat/1.jpg')"
OTHER_FORMATS = {
    r"\.arrow": "a data set saved by Hugging Face's `datasets`; load it with "
    f"datasets.load_from_disk(...) and write each row's image into its class folder with {_SAVE}",
    r"\.parquet": "parquet tables in an archive; unpack it, and give the folder as --data",
    r"\.tfrecords?(-\d+-of-\d+)?|-\d{5}-of-\d{5}": "TFRecord files; read them with "
    "tf.data.TFRecordDataset, and write each image's bytes into a file of its class folder, such "
    "as cat/1.jpg",
    r"\.np[yz]": "arrays of NumPy; write each image into its class folder with "
    "PIL.Image.fromarray(pixels).save('cat/1.png')",
    r"\.cls|-\d{5,}\.tar": "WebDataset shards, whose classes are numbers in .cls files; "
    "write each image into its class folder, such as cat/1.jpg",
    r"\.h5|\.hdf5": "HDF5 files; write each image into its class folder with "
    "PIL.Image.fromarray(pixels).save('cat/1.png')",
    r"\.hei[cf]": "HEIC photographs; convert them to JPEG",
}
"""What files of a format that is not read are, and what to do, by the end of their names."""


def is_system_file(parts: tuple[str, ...]) -> bool:
    """Return whether a path is a system's own or hidden."""
    # macOS writes __MACOSX/cat/._1.jpg beside every cat/1.jpg; Windows writes Thumbs.db.
    hidden = any(part.startswith(".") for part in parts)
    system = any(part.lower() in SYSTEM_FOLDERS for part in parts[:-1])
    return hidden or system or parts[-1].lower() in SYSTEM_FILES


def is_derived_file(parts: tuple[str, ...]) -> bool:
    """Return whether a path lies in a folder of masks, thumbnails or feature maps."""
    return derived_folder(parts) is not None


def derived_folder(parts: tuple[str, ...]) -> str | None:
    """Return the innermost folder of masks, thumbnails or feature maps that a path lies in."""
    return next(filter(_is_derived_folder, reversed(parts[:-1])), None)


@cache
def _is_derived_folder(name: str) -> bool:
    return re.sub("[^a-z]", "", name.lower()) in DERIVED_FOLDERS


def is_accompanying_file(parts: tuple[str, ...]) -> bool:
    """Return whether a path is a text or a table that accompanies images."""
    return os.path.splitext(parts[-1])[1].lower() in ACCOMPANYING_SUFFIXES


def is_archive(name: str) -> bool:
    """Return whether a file name is that of an archive."""
    return name.lower().endswith(ARCHIVE_SUFFIXES)


def explain_other_formats(names: Iterable[str]) -> str:
    """Return what to do with a folder of files in another format or packed once more; '' if none.

    Args:
        names: file names.
    """
    found = sorted({name.rpartition("/")[2] for name in names})
    for ending, advice in OTHER_FORMATS.items():
        pattern = re.compile(f".*(?:{ending})", re.IGNORECASE | re.DOTALL)
        if files := [name for name in found if pattern.fullmatch(name)]:
            return f"{shorten(files[:3])}: {advice}"
    archives = list(filter(is_archive, found))
    return f"unpack the archives inside it first: {shorten(archives)}" if archives else ""
