"""`lossbench report`: write reports again, and combine several on one page."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from lossbench.benchmarks.errors import UserError
from lossbench.benchmarks.format import plural
from lossbench.benchmarks.records.claim import FILE as CLAIM_FILE
from lossbench.benchmarks.records.claim import read_claim
from lossbench.benchmarks.records.reading import EXPERIMENT_FILE

from . import claims
from .comparison import write_comparison
from .document import (
    SYNTHETIC,
    SYNTHETIC_NOTE,
    Banner,
    Block,
    BulletList,
    Cell,
    Document,
    Link,
    Paragraph,
    section,
    synthetic_title,
)
from .render import write_pages


def write_reports(directories: Sequence[Path], output: Path | None = None) -> list[Path]:
    """Write the report of each directory again, and one page of all if there are several.

    Args:
        directories: written by `lossbench compare` or `lossbench evidence`.
        output: the directory of the combined page, report.html and report.md; made if it is
            missing. By default the working directory.

    Returns:
        Paths of the pages, the combined ones first.

    Raises:
        UserError: a directory holds neither experiment nor claim, is named twice, or cannot be
            read or written.
    """
    if not directories:
        raise UserError("nothing to report: name a directory that compare or evidence wrote")
    sources = [Path(os.path.normpath(directory)) for directory in directories]
    if twice := sorted({str(source) for source in sources if sources.count(source) > 1}):
        raise UserError(f"{', '.join(twice)}: name each directory once")
    # Check all of them before writing anything.
    are_claims = [_is_claim(source) for source in sources]
    written, documents = [], []
    for source, is_claim in zip(sources, are_claims, strict=True):
        if is_claim:
            documents.append(claims.write_report(source))
        else:
            documents.append(write_comparison(source)[1])
        written += [source / "report.html", source / ("report.md" if is_claim else "summary.md")]
    if len(sources) == 1 and output is None:
        return written
    folder = Path() if output is None else output
    if folder.resolve() in {source.resolve() for source in sources}:
        raise UserError(
            f"{folder} has a report of its own: choose another --output for the combined page"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot write {folder}: {error.strerror or error}") from None
    return [*write_pages(folder, _combine(sources, documents, folder)), *written]


def _is_claim(source: Path) -> bool:
    for name in (CLAIM_FILE, EXPERIMENT_FILE):
        if (source / name).is_file():
            return name == CLAIM_FILE
    problem = "holds" if source.is_dir() else "is no directory and holds"
    raise UserError(
        f"{source} {problem} neither {EXPERIMENT_FILE} nor {CLAIM_FILE}: name a directory that "
        "`lossbench compare` or `lossbench evidence` wrote"
    )


def _combine(sources: Sequence[Path], documents: Sequence[Document], folder: Path) -> Document:
    """Build one document with a section per report, below a table of contents."""
    comparisons: list[Cell] = []
    examined: list[tuple[Cell, claims.Record]] = []
    sections: list[Block] = []
    for index, (source, document) in enumerate(zip(sources, documents, strict=True), start=1):
        anchor = f"part-{index}"
        if _is_claim(source):
            record = read_claim(source)
            examined.append((Link(record["name"], f"#{anchor}"), record))
        else:
            comparisons.append(Link(document.title, f"#{anchor}"))
        path = Path(os.path.relpath(source.resolve(), folder.resolve())).as_posix()
        sections += section(document, anchor, path)
    synthetic = any(document.title.startswith(SYNTHETIC) for document in documents)
    blocks: list[Block] = [Banner(SYNTHETIC_NOTE)] if synthetic else []
    if examined:
        verdicts = claims.tally(record for _, record in examined)
        blocks.append(Paragraph(f"Of {plural(len(examined), 'claim')}, {verdicts}."))
        blocks.append(claims.verdicts_table(examined))
    if comparisons:
        blocks += [Paragraph("Comparisons of losses:"), BulletList(tuple(comparisons))]
    return Document(synthetic_title("Losses compared", synthetic), (*blocks, *sections))
