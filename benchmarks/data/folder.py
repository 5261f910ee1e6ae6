"""Images with classes by folder or file name, in a directory or an archive."""

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from lossbench.benchmarks.errors import UserError
from lossbench.benchmarks.format import plural

from .archive import Reader, open_reader
from .class_names import Labels, class_labels, find_label, label_of_file_name, parse_classes
from .directory import DirectoryReader, FileInfo
from .label_tables import describe_columns, place_by_tables
from .listing_cache import Listing, cached_listing
from .other_files import (
    TAR_SUFFIXES,
    derived_folder,
    explain_other_formats,
    is_accompanying_file,
    is_archive,
    is_system_file,
)
from .parquet import ParquetReader
from .sources import (
    CATS_AND_DOGS,
    SPLITS,
    Composition,
    Folders,
    ImageInfo,
    ImageSource,
    SplitName,
    check_every_class,
    fingerprint_of,
    printable,
    shorten,
    sort_images,
)
from .split_names import Origin, count_shared, find_origins, parse_splits

TEST_FRACTION = 0.2


def path_source(
    path: Path,
    *,
    name: str | None = None,
    description: str | None = None,
    image_size: int = 64,
    classes: tuple[str, ...] = CATS_AND_DOGS,
    splits: Sequence[str] = (),
    class_names: Sequence[str] = (),
) -> ImageSource:
    """Create a source from a directory, an archive or a parquet table.

    If names say no classes, the rows of parquet tables or of a CSV file beside the images do; they
    are read as if they were folders (`parquet`, `label_tables`).
    The class of an image is the innermost folder named like a class, such as cat or cats in any
    case; else the start of a file name like `cat.123.jpg` or `Bengal_7.jpg`. Its split is that of
    the innermost folder whose name says one (`split_of_name`). Folders that divide the images are
    understood all, or `splits` says what they are. Without a test split the validation folders are
    the test split. Without either, a fixed 20 % of each class is the test split, selected by file
    names alone.

    Args:
        path: a directory, .zip, .tar, .tar.gz, .tgz or .parquet.
        name: name of the source; None: the last part of the path, without archive suffix.
        description: one line; None: made from the path.
        image_size: natural image size in pixels.
        classes: lower-case class names by label; images of other classes are left out.
        splits: what folders are, such as 'test=Test Data', by their paths in `path`.
        class_names: what classes are called in `path`, such as 'cat=kitten,gatos'; they replace
            `classes`.

    Raises:
        UserError: nothing exists at the path, the archive is unknown or damaged, a class or split
            is missing, or the split of a folder is not known.
    """
    given, labels = parse_splits(splits), class_labels(classes)
    if class_names:
        classes, labels = parse_classes(class_names)
    listed = _ListedImages(path, classes, labels, given, strict=not class_names)
    choice = (classes, sorted(labels.items()), sorted(given.items()))
    listing = cached_listing(path, choice, listed.reader.files, listed.listing)
    what = "cats and dogs" if classes == CATS_AND_DOGS else f"{len(classes)} classes"
    return ImageSource(
        name=name or default_name(path),
        description=f"{what} of {path}" if description is None else description,
        synthetic=False,
        image_size=image_size,
        classes=classes,
        fingerprint=listing.fingerprint,
        images=lambda: listed.images[0],
        load=lambda images: listed.files[0].load([image.key for image in images]),
        composition=listing.composition,
    )


class _ListedImages:
    """The images at a path, listed when they are asked for.

    Args:
        path: a directory, an archive or a parquet table.
        classes: class names by label.
        labels: labels by name.
        given: splits by folder.
        strict: whether a label in a table that is no class is an error.

    Raises:
        UserError: nothing exists at the path, or the archive is unknown or damaged.
    """

    def __init__(
        self,
        path: Path,
        classes: tuple[str, ...],
        labels: Labels,
        given: Mapping[Folders, SplitName],
        *,
        strict: bool,
    ) -> None:
        self.path, self.classes, self.labels, self.given = path, classes, labels, given
        self.strict = strict
        self.reader = open_reader(path)

    def listing(self) -> Listing:
        """Return fingerprint and composition. Raises UserError."""
        images, composition = self.images
        return Listing(fingerprint_of(images), composition)

    @cached_property
    def files(self) -> tuple[Reader, list[FileInfo]]:
        """The files, and the reader that loads the images among them.

        Raises:
            UserError: no class is found, or a table is wrong.
        """
        reader, labels = self.reader, self.labels

        def wanted(parts: tuple[str, ...]) -> bool:
            return find_label(parts, labels) is not None

        files = [file for file in reader.infolist(wanted) if not is_system_file(file.parts)]
        if {find_label(file.parts, labels) for file in files} >= set(range(len(self.classes))):
            return reader, files
        tables = [file.parts for file in files if file.parts[-1].lower().endswith(".parquet")]
        if tables and isinstance(reader, DirectoryReader):
            reader = ParquetReader(reader.path, tables)
            files = [file for file in reader.infolist(wanted) if not is_system_file(file.parts)]
        elif placed := place_by_tables(reader, files, labels, strict=self.strict):
            files = [
                replace(file, parts=placed.get(file.parts, file.parts))
                for file in reader.infolist(lambda parts: parts in placed)
                if not is_system_file(file.parts)
            ]
        _check_found(reader, files, labels, self.classes)
        return reader, files

    @cached_property
    def images(self) -> tuple[tuple[ImageInfo, ...], Composition]:
        """The images among the files, and what they were made from. Raises UserError."""
        labelled = [(file, find_label(file.parts, self.labels)) for file in self.files[1]]
        found = [(file, label) for file, label in labelled if label is not None]
        others = [file for file, label in labelled if label is None]
        parts, where = [file.parts for file, _ in found], str(self.path)
        origins = find_origins(parts, self.labels, self.given, where)
        images, folders = _assign_test_split(_make_images(found, origins), origins)
        remedy = (
            "add images to the folder that is short of them, or say with --split what folders are"
        )
        check_every_class(images, self.classes, where, remedy)
        return sort_images(images), Composition(
            folders, _describe_left_out(others), _describe_contradictions(found, self.labels)
        )


def _make_images(
    found: Sequence[tuple[FileInfo, int]], origins: Sequence[Origin]
) -> list[ImageInfo]:
    """Return the images of files with a label."""
    # Names leave out the folders that all images share, so neither the split nor the fingerprint
    # depends on the name of the folder around them.
    shared = count_shared([file.parts[:-1] for file, _ in found])
    return [
        ImageInfo(
            name=printable("/".join(file.parts[shared:])),
            split=origin.split or "train",
            label=label,
            key=file.key,
            digest=file.digest,
        )
        for (file, label), origin in zip(found, origins, strict=True)
    ]


def _check_found(
    reader: Reader, files: Sequence[FileInfo], labels: Labels, classes: tuple[str, ...]
) -> None:
    """Raise UserError unless every class has an image; the message lists what was found."""
    found_labels = (find_label(file.parts, labels) for file in files)
    counts = Counter(label for label in found_labels if label is not None)
    if len(counts) == len(classes):
        return
    found = ", ".join(f"{counts[label]:,} {name}" for label, name in enumerate(classes))
    folders = sorted({printable(e.parts[-2]) for e in files if len(e.parts) > 1})
    seen = f"folders: {shorten(folders)}" if folders else "no folders"
    hint = explain_other_formats(printable(file.parts[-1]) for file in files)
    hint = hint or ("" if counts else describe_columns(reader, files))
    flags = " ".join(f"{name}=FOLDER" for name in classes[:2])
    raise UserError(
        f"{reader.path}: images of every class are needed, but found {found} among "
        f"{plural(len(files), 'file')} ({seen}); put them into folders named {', '.join(classes)}, "
        f"or name the files like {classes[0]}.1.jpg, or name the folders with --classes {flags}"
        f"{f'; {hint}' if hint else ''}"
    )


def _assign_test_split(
    images: list[ImageInfo], origins: Sequence[Origin]
) -> tuple[list[ImageInfo], dict[SplitName, str]]:
    """Make a test split if there is none; return the images and the folders of each split."""
    folders: dict[SplitName, str] = {
        split: "from " + shorten([f"{name}/" for name in names])
        for split in SPLITS
        if (names := sorted({str(origin) for origin in origins if origin.split == split}))
    }
    if "test" in folders:
        return images, folders
    if "validation" in folders:
        chosen = {image for image in images if image.split == "validation"}
        folders["test"] = f"{folders.pop('validation')}, as there is no test folder"
    else:
        chosen = _select_test(images)
        folders["test"] = f"a fixed {TEST_FRACTION:.0%} of each class"
        if not any(origin.folders for origin in origins):
            del folders["train"]  # "./" would say nothing
    return [replace(i, split="test") if i in chosen else i for i in images], folders


def _select_test(images: Sequence[ImageInfo]) -> set[ImageInfo]:
    # Ranked by a hash of the name: as random as a seeded shuffle, and the same in any file order.
    chosen: set[ImageInfo] = set()
    for label in {image.label for image in images}:
        members = [image for image in images if image.label == label]
        members.sort(key=lambda image: hashlib.sha256(f"lossbench:{image.name}".encode()).digest())
        chosen.update(members[: max(1, round(TEST_FRACTION * len(members)))])
    return chosen


def _describe_left_out(others: Sequence[FileInfo]) -> tuple[str, ...]:
    """Return a line for each reason why files without a label are left out, with their folders."""
    folders: dict[str, Counter[str]] = defaultdict(Counter)
    for file in others:
        if not is_accompanying_file(file.parts) and not is_archive(file.parts[-1]):
            derived = derived_folder(file.parts)
            reason = "of no class" if derived is None else "that are no photographs"
            around = file.parts[-2] if len(file.parts) > 1 else "."
            folders[reason][printable(derived or around)] += 1
    archives = sorted(printable("/".join(f.parts)) for f in others if is_archive(f.parts[-1]))
    inner = (f"{plural(len(archives), 'archive')} inside, not unpacked: {shorten(archives)}",)
    return (inner if archives else ()) + tuple(
        f"{plural(counts.total(), 'file')} {reason}: "
        + shorten([f"{folder}/ ({count:,})" for folder, count in sorted(counts.items())])
        for reason, counts in sorted(folders.items())
    )


def _describe_contradictions(
    found: Sequence[tuple[FileInfo, int]], labels: Labels
) -> tuple[str, ...]:
    """Return a line if files have the name of one class and lie in the folder of another."""
    wrong = [
        printable("/".join(file.parts))
        for file, label in found
        if (named := label_of_file_name(file.parts[-1], labels)) is not None and named != label
    ]
    if not wrong:
        return ()
    files = plural(len(wrong), "file name contradicts its", "file names contradict their")
    more = f" and {len(wrong) - 3:,} more" if len(wrong) > 3 else ""
    return (f"{files} folder, which is taken as the class: {', '.join(wrong[:3])}{more}",)


def default_name(path: Path) -> str:
    """Return the name of a source from the last part of its path, without archive suffix."""
    name = path.resolve().name
    for suffix in (*TAR_SUFFIXES, ".zip"):
        name = name[: -len(suffix)] if name.lower().endswith(suffix) else name
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip(".-") or "images"
