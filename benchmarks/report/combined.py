"""Reports written again, and several on one page."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lossbench.benchmarks.errors import UserError
from lossbench.benchmarks.records.claim import FILE, read_claim

from . import claims
from .comparison import rewrite
from .document import (
    SYNTHETIC_NOTE,
    Banner,
    Block,
    Bullets,
    Cell,
    Document,
    Link,
    Paragraph,
    section,
)

COMPARISON, CLAIM = "experiment.json", FILE
SYNTHETIC = "SYNTHETIC IMAGES"


def write_reports(directories: Sequence[Path], output: Path | None = None) -> list[Path]:
    """Writes the report of each directory again, and of several one page of them all.

    Args:
        directories: that `lossbench compare` or `lossbench evidence` wrote.
        output: the directory of the page of several, report.html and report.md; by default the
            working directory. It is made where it is missing.

    Returns:
        The pages that were written, those of several first.

    Raises:
        UserError: a directory is neither, is named twice, or cannot be read or written.
    """
    if not directories:
        raise UserError("nothing to report: name a directory that compare or evidence wrote")
    places = [Path(os.path.normpath(directory)) for directory in directories]
    if twice := sorted({str(place) for place in places if places.count(place) > 1}):
        raise UserError(f"{', '.join(twice)}: each directory can be named once")
    # All are looked at before anything is written.
    kinds = [_kind(place) for place in places]
    written, documents = [], []
    for place, kind in zip(places, kinds, strict=True):
        if kind == CLAIM:
            record = read_claim(place)
            document = claims.document_of(place, record)
            written += claims.write_pages(place, document)
        else:
            document = rewrite(place)[1]
            written += [place / "report.html", place / "summary.md"]
        documents.append(document)
    if len(places) == 1 and output is None:
        return written
    folder = Path() if output is None else output
    if folder.resolve() in {place.resolve() for place in places}:
        raise UserError(
            f"{folder} has a report of its own: choose another --output for the page of several"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot write {folder}: {error.strerror or error}") from None
    several = _of_several(places, documents, folder)
    return [*claims.write_pages(folder, several), *written]


def _kind(place: Path) -> str:
    for name in (CLAIM, COMPARISON):
        if (place / name).is_file():
            return name
    what = "holds" if place.is_dir() else "is no directory and holds"
    raise UserError(
        f"{place} {what} neither {COMPARISON} nor {CLAIM}: name a directory that `lossbench "
        "compare` or `lossbench evidence` wrote"
    )


def _of_several(places: Sequence[Path], documents: Sequence[Document], folder: Path) -> Document:
    """What is in each, under a list of what is there with the claims and their verdicts first."""
    contents: list[Cell] = []
    examined: list[tuple[Cell, dict[str, Any]]] = []
    parts: list[Block] = []
    for index, (place, document) in enumerate(zip(places, documents, strict=True), start=1):
        anchor = f"part-{index}"
        if (place / CLAIM).is_file():
            record = read_claim(place)
            examined.append((Link(record["name"], f"#{anchor}"), record))
        else:
            contents.append(Link(document.title, f"#{anchor}"))
        where = Path(os.path.relpath(place.resolve(), folder.resolve())).as_posix()
        parts += section(document, anchor, where)
    synthetic = any(document.title.startswith(SYNTHETIC) for document in documents)
    blocks: list[Block] = [Banner(SYNTHETIC_NOTE)] if synthetic else []
    if examined:
        of = f"Of {len(examined)} claim{'s'[: len(examined) != 1]}"
        blocks.append(Paragraph(f"{of}, {claims.tally(record for _, record in examined)}."))
        blocks.append(claims.verdicts_table(examined))
    if contents:
        blocks += [Paragraph("Comparisons of losses:"), Bullets(tuple(contents))]
    title = "Losses compared"
    return Document(f"{SYNTHETIC}: {title}" if synthetic else title, (*blocks, *parts))
