"""Images in parquet tables, as Hugging Face keeps them, read like a directory with class folders.

A row of data/train-00000-of-00002.parquet with the label cat is read as the file
data/train/cat/0-000007: the label is a folder, and the split is one if the table's name says it.
"""

import hashlib
import json
import os
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lossbench.benchmarks.errors import UserError, one_line

from .directory import FileFilter, FileInfo, max_unpacked_bytes, size_error, unpacked_error
from .sources import UnusableError, printable

MAX_ROWS = 2_000_000
"""Upper bound of rows of all tables."""
IMAGE_COLUMNS = ("image", "img", "images", "picture", "photo")
LABEL_COLUMNS = ("label", "labels", "class", "category", "target")
"""Names of columns, lower-case, if the table's metadata do not say what they hold."""
NUMBER = re.compile(r"[ ._-]*\d*(-of-\d+)?\.parquet", re.IGNORECASE)
"""End of a table's name: its number among those of a split."""
BATCH = 4
"""Images that are read at a time. A table may hold one only once for all its rows."""


class ParquetReader:
    """Reader of the rows of parquet tables.

    Args:
        path: a table, or a directory.
        tables: paths of the tables in the directory, split at the separators.
    """

    def __init__(self, path: Path, tables: Sequence[tuple[str, ...]] = ((),)) -> None:
        self.path, self.tables = path, tables

    def files(self) -> Iterator[str]:
        """Yield the path of every table."""
        yield from (os.fspath(self.path.joinpath(*parts)) for parts in self.tables)

    def infolist(self, wanted: FileFilter) -> list[FileInfo]:
        """List every row, with a checksum for those that `wanted` accepts.

        Raises:
            UserError: a table is damaged or has no image and label, or pyarrow is not installed.
        """
        found: list[FileInfo] = []
        for number, (parts, path) in enumerate(zip(self.tables, self.files(), strict=True)):
            name = parts[-1] if parts else self.path.name
            ending = NUMBER.search(name)
            folder = name[: ending.start()] if ending else name
            around = (*parts[:-1], folder) if folder else parts[:-1]
            sha = _checksum(Path(path))
            for row, label in enumerate(_labels(Path(path))):
                where = (*around, label, f"{number}-{row:06d}")
                digest = f"{sha}:{row}" if wanted(where) else ""
                found.append(FileInfo(where, (number, row), digest))
                if len(found) > MAX_ROWS:
                    raise UserError(
                        f"{str(self.path)!r} has more than {MAX_ROWS:,} rows; give fewer"
                    )
        return found

    def load(self, keys: Sequence[Any]) -> Iterator[tuple[int, bytes | UnusableError]]:
        """Yield (position, content) for each key, in the order of the tables."""
        positions: dict[int, dict[int, int]] = defaultdict(dict)
        for position, (number, row) in enumerate(keys):
            positions[number][row] = position
        for number, path in enumerate(self.files()):
            if number in positions:
                for row, content in enumerate(_contents(Path(path))):
                    if row in positions[number]:
                        yield positions[number][row], content


def _checksum(path: Path) -> str:
    with _open_table(path), open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _labels(path: Path) -> Iterator[str]:
    """Yield the label of each row, by its name if the metadata have one."""
    with _open_table(path) as (table, features):
        column = _find_column(path, table, features, "ClassLabel", LABEL_COLUMNS)
        about = features.get(column)
        names = about.get("names") if isinstance(about, dict) else None
        names = names if isinstance(names, list) else []

    def label(value: Any) -> str:
        named = isinstance(value, int) and 0 <= value < len(names)
        return str(names[value] if named else value).strip() or "none"

    # A long text that stands once in the file for all rows stays one.
    with _open_table(path, read_dictionary=[column]) as (table, _):
        for batch in table.iter_batches(columns=[column]):
            values = batch.column(0)
            if hasattr(values, "dictionary"):
                labels = [*map(label, values.dictionary.to_pylist()), label(None)]
                yield from (labels[-1 if k is None else k] for k in values.indices.to_pylist())
            else:
                yield from map(label, values.to_pylist())


def _contents(path: Path) -> Iterator[bytes | UnusableError]:
    """Yield the image file of each row."""
    with _open_table(path) as (table, features):
        column = _find_column(path, table, features, "Image", IMAGE_COLUMNS)
        for batch in table.iter_batches(batch_size=BATCH, columns=[column]):
            for scalar in batch.column(0):
                value = scalar.as_py()
                content = value.get("bytes") if isinstance(value, dict) else value
                if isinstance(content, bytes):
                    yield size_error(len(content)) or content
                else:
                    yield UnusableError("the table does not hold its bytes")


@contextmanager
def _open_table(path: Path, **options: Any) -> Iterator[tuple[Any, Mapping[str, Any]]]:
    """Open a table; give it with the types of columns that Hugging Face's metadata name.

    Args:
        path: of the table.
        options: of pyarrow's ParquetFile.

    Raises:
        UserError: it is damaged, or would fill the memory.
    """
    arrow = _pyarrow(path)
    try:
        with arrow.parquet.ParquetFile(path, **options) as table:
            groups = map(table.metadata.row_group, range(table.metadata.num_row_groups))
            columns = (group.column(k) for group in groups for k in range(group.num_columns))
            if sum(column.total_uncompressed_size for column in columns) > max_unpacked_bytes(path):
                raise unpacked_error(path)
            yield table, _features(table.schema_arrow.metadata or {})
    except (arrow.ArrowException, OSError, ValueError, KeyError, TypeError, MemoryError) as error:
        raise UserError(
            f"can't read {str(path)!r} as a parquet table ({one_line(error)}); it is damaged or "
            "cut short: copy or download it again"
        ) from error


def _pyarrow(path: Path) -> Any:
    try:
        import pyarrow.parquet
    except ImportError:
        raise UserError(
            f"{path}: reading parquet tables needs pyarrow; pip install 'lossbench[parquet]'"
        ) from None
    return pyarrow


def _features(metadata: Mapping[bytes, bytes]) -> Mapping[str, Any]:
    """Return what the metadata of Hugging Face's `datasets` say of each column."""
    try:
        features = json.loads(metadata[b"huggingface"])["info"]["features"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}
    return features if isinstance(features, dict) else {}


def _find_column(
    path: Path, table: Any, features: Mapping[str, Any], feature_type: str, usual: Sequence[str]
) -> str:
    """Return the name of the column of a type, by the metadata or by its name."""
    columns = table.schema_arrow.names
    for column in columns:
        about = features.get(column)
        if isinstance(about, dict) and about.get("_type") == feature_type:
            return str(column)
    named = [column for name in usual for column in columns if column.lower() == name]
    if not named:
        raise UserError(
            f"{path}: a table of images has a column {usual[0]!r}, and this one has only "
            f"{printable(', '.join(columns)) or 'none'}; rename the columns to image and label"
        )
    return str(named[0])
