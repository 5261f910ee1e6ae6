"""Tables of labels beside images: a CSV file with a column of file names and one of labels.

An image of such a table is read as if it lay in a folder named by its label, and that in a folder
named by its split, if the table says it in a column or in its own name (train.csv).
"""

import csv
import io
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from lossbench.benchmarks.errors import UserError, one_line
from lossbench.benchmarks.format import plural

from .archive import Reader, path_parts
from .class_names import Labels, may_be_image
from .directory import FileInfo, read_file
from .other_files import is_system_file
from .sources import UnusableError, printable, shorten
from .split_names import split_of_name

FILE_COLUMNS = (
    *(
        "filename",
        "filepath",
        "file",
        "path",
        "image",
        "img",
        "imagename",
        "imagefile",
        "imagepath",
    ),
    *("imageid", "imgname", "imgpath", "name", "id"),
)
LABEL_COLUMNS = ("label", "labels", "class", "classname", "category", "target", "species", "animal")
SPLIT_COLUMNS = ("split", "set", "subset", "dataset", "usage", "partition")
"""Headings of columns, lower-case, without spaces and signs, the likeliest first."""
SUFFIXES = (".csv", ".tsv")
SUBMISSION = re.compile("submission", re.IGNORECASE)
"""Part of the name of a table whose labels are only an example."""

Parts = tuple[str, ...]


class _TableRow(NamedTuple):
    """A row of a table: its number, the file it names, its label, its split or ''."""

    number: int
    file: str
    label: str
    split: str


def place_by_tables(
    reader: Reader, files: Sequence[FileInfo], labels: Labels, *, strict: bool
) -> dict[Parts, Parts]:
    """Return where the images that tables of labels name would lie in folders, by their paths.

    Args:
        reader: the reader of the files.
        files: every file.
        labels: labels by lower-case names of classes.
        strict: whether a label that is no class is an error; else its images have no class.

    Returns:
        Paths with a folder of the label, and of the split if it is known; {} without a table.

    Raises:
        UserError: a row names a missing file, an unknown label, or a file that has a row already.
    """
    tables = [
        file
        for file in files
        if file.parts[-1].lower().endswith(SUFFIXES)
        and not is_system_file(file.parts)
        and not SUBMISSION.search(file.parts[-1])
    ]
    images = _index([file.parts for file in files if may_be_image(file.parts)])
    placed: dict[Parts, Parts] = {}
    owners: dict[Parts, str] = {}
    for position, content in reader.load([table.key for table in tables]):
        parts = tables[position].parts
        name = printable("/".join(parts))
        rows = list(_rows(read_file(content) if isinstance(content, Path) else content, name))
        _check_labels(rows, name, labels, strict)
        found = [_find_image(row.file, parts[:-1], images) for row in rows]
        _check_files(rows, found, name)
        stem = parts[-1].rpartition(".")[0]
        for row, image in zip(rows, found, strict=True):
            assert image is not None
            if (other := owners.setdefault(image, name)) != name:
                raise UserError(f"{name}: {row.file} has a row in {other} as well; leave one out")
            split = row.split or (stem if split_of_name(stem) else "")
            placed[image] = (*image[:-1], *filter(None, (split, row.label)), image[-1])
    return placed


def describe_columns(reader: Reader, files: Sequence[FileInfo]) -> str:
    """Return what the columns of the first table are, for a message; '' without a table."""
    tables = [file for file in files if file.parts[-1].lower().endswith(SUFFIXES)]
    for position, content in reader.load([table.key for table in tables[:1]]):
        content = read_file(content) if isinstance(content, Path) else content
        if isinstance(content, bytes):
            name = printable(tables[position].parts[-1])
            columns = shorten([printable(c) for c in next(_cells(content, name), [])])
            return (
                f"{name} has the columns {columns or 'none'}, and labels are read from columns "
                "such as filename and label"
            )
    return ""


def _cells(content: bytes, name: str) -> Iterator[list[str]]:
    """Yield the rows of a table. Raises UserError if it is no table."""
    text = content.decode("utf-8-sig", errors="replace")
    heading = text.partition("\n")[0]
    delimiter = max(",;\t", key=heading.count)
    try:
        yield from csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    except csv.Error as error:
        raise UserError(
            f"{name} is no table of labels ({one_line(error)}); correct it, or remove it"
        ) from error


def _rows(content: bytes | UnusableError, name: str) -> Iterator[_TableRow]:
    """Yield the rows of a table; none if it has no columns of file names and labels."""
    if isinstance(content, UnusableError):
        return
    cells = _cells(content, name)
    heading = [re.sub("[^a-z]", "", cell.lower()) for cell in next(cells, [])]
    columns = [
        next((heading.index(each) for each in usual if each in heading), None)
        for usual in (FILE_COLUMNS, LABEL_COLUMNS, SPLIT_COLUMNS)
    ]
    if None in columns[:2]:
        return
    for number, row in enumerate(cells, start=2):
        values = [row[c].strip() if c is not None and c < len(row) else "" for c in columns]
        if any(values):
            yield _TableRow(number, *values)


def _index(images: Sequence[Parts]) -> dict[str, set[Parts]]:
    """Return images by their path and by their name, each with and without suffix."""
    index: dict[str, set[Parts]] = defaultdict(set)
    for parts in images:
        for text in ("/".join(parts), parts[-1]):
            index[text].add(parts)
            index[text.rpartition(".")[0] or text].add(parts)
    return index


def _find_image(file: str, folder: Parts, images: dict[str, set[Parts]]) -> Parts | None:
    """Return the image that a row means: by its path from the table, from the top, or its name."""
    parts = path_parts(file)
    for candidate in ((*folder, *parts), parts, parts[-1:]):
        found = images.get("/".join(candidate), set())
        if len(found) == 1:
            return next(iter(found))
    return None


def _check_files(rows: Sequence[_TableRow], found: Sequence[Parts | None], name: str) -> None:
    """Raise UserError unless every row has an image of its own."""
    missing = [printable(row.file) for row, image in zip(rows, found, strict=True) if not image]
    if missing:
        raise UserError(
            f"{name}: {plural(len(missing), 'row names', 'rows name')} no file, or several: "
            f"{shorten(missing)}; correct or remove them"
        )
    numbers: dict[Parts | None, int] = {}
    for row, image in zip(rows, found, strict=True):
        if (first := numbers.setdefault(image, row.number)) != row.number:
            raise UserError(
                f"{name}: rows {first} and {row.number} both name {printable(row.file)}; remove "
                "one of them"
            )


def _check_labels(rows: Sequence[_TableRow], name: str, labels: Labels, strict: bool) -> None:
    """Raise UserError if rows have no label or, if `strict`, one that is no class."""
    unknown = Counter(
        printable(row.label)
        for row in rows
        if not row.label or (strict and row.label.lower() not in labels)
    )
    if unknown:
        told = [f"{label!r} ({count:,})" for label, count in unknown.most_common()]
        raise UserError(
            f"{name}: {plural(len(unknown), 'label is no class', 'labels are no class')}: "
            f"{shorten(told)}; say which ones are, such as --classes cat={next(iter(unknown))}, or "
            "--classes cat dog to leave others out"
        )
