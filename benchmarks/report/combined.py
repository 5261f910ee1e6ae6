"""`lossbench report`: write reports again, and combine several on one page."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from lossbench.benchmarks.errors import UserError
from lossbench.benchmarks.format import plural
from lossbench.benchmarks.plots.canvas import SYNTHETIC
from lossbench.benchmarks.records.claim import FILE as CLAIM_FILE
from lossbench.benchmarks.records.claim import read_claim
from lossbench.benchmarks.records.files import make_directory
from lossbench.benchmarks.records.reading import EXPERIMENT_FILE

from . import claims
from .comparison import Comparison, write_comparison
from .document import (
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
from .lead import listed
from .render import write_pages
from .starts import differ_in_start, starts_lead, starts_title


class Part(NamedTuple):
    """A report on a page of several: its directory, its page, and its comparison if it is one."""

    source: Path
    document: Document
    comparison: Comparison | None = None


def write_reports(
    directories: Sequence[Path],
    output: Path | None = None,
    known: Mapping[Path, Comparison] = MappingProxyType({}),
) -> list[Path]:
    """Write the report of each directory again, and one page of all if there are several.

    Args:
        directories: written by `lossbench compare` or `lossbench evidence`.
        output: the directory of the combined page, report.html and report.md; made if it is
            missing. By default the working directory.
        known: comparisons by directory whose reports are up to date: they are not written again.

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
    written: list[Path] = []
    parts: list[Part] = []
    for source, is_claim in zip(sources, are_claims, strict=True):
        if is_claim:
            parts.append(Part(source, claims.write_report(source)))
        else:
            made = known.get(source) or write_comparison(source)
            parts.append(Part(source, made.document, made))
        written += [source / "report.html", source / ("report.md" if is_claim else "summary.md")]
    if len(sources) == 1 and output is None:
        return written
    folder = Path() if output is None else output
    if folder.resolve() in {source.resolve() for source in sources}:
        raise UserError(
            f"{folder} has a report of its own: choose another --output for the combined page"
        )
    try:
        make_directory(folder)
    except OSError as error:
        raise UserError(f"cannot write {folder}: {error.strerror or error}") from None
    return [*write_pages(folder, _combine(parts, folder)), *written]


def _is_claim(source: Path) -> bool:
    for name in (CLAIM_FILE, EXPERIMENT_FILE):
        if (source / name).is_file():
            return name == CLAIM_FILE
    problem = "holds" if source.is_dir() else "is no directory and holds"
    raise UserError(
        f"{source} {problem} neither {EXPERIMENT_FILE} nor {CLAIM_FILE}: name a directory that "
        "`lossbench compare` or `lossbench evidence` wrote"
    )


def _combine(parts: Sequence[Part], folder: Path) -> Document:
    """Build one document with a section per report, below its lead and a table of contents."""
    comparisons: list[Cell] = []
    examined: list[tuple[Cell, claims.Record]] = []
    sections: list[Block] = []
    for index, part in enumerate(parts, start=1):
        anchor = f"part-{index}"
        if part.comparison is None:
            record = read_claim(part.source)
            examined.append((Link(record["name"], f"#{anchor}"), record))
        else:
            comparisons.append(Link(part.document.title, f"#{anchor}"))
        sections += section(part.document, anchor, _relative(part.source, folder))
    synthetic = any(part.document.title.startswith(SYNTHETIC) for part in parts)
    blocks: list[Block] = [Banner(SYNTHETIC_NOTE)] if synthetic else []
    starts = [part.comparison for part in parts if part.comparison is not None]
    if differ_in_start(starts) and len(starts) == len(parts):
        title = starts_title([made.summary for made in starts])
        blocks += starts_lead(starts, lambda made: _relative(made.experiment.directory, folder))
    else:
        counts = ((examined, "claim"), (comparisons, "comparison"))
        title = listed(plural(len(each), word) for each, word in counts if each)
    if examined:
        verdicts = claims.tally(record for _, record in examined)
        blocks.append(Paragraph(f"Of {plural(len(examined), 'claim')}, {verdicts}."))
        blocks.append(claims.verdicts_table(examined))
    if comparisons:
        blocks += [Paragraph("Comparisons of losses:"), BulletList(tuple(comparisons))]
    return Document(synthetic_title(title, synthetic), (*blocks, *sections))


def _relative(source: Path, folder: Path) -> str:
    return Path(os.path.relpath(source.resolve(), folder.resolve())).as_posix()
