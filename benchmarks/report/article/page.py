"""Write docs/article.md: the article's document, with verdicts and figures of examined claims."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from lossbench.benchmarks.errors import UserError
from lossbench.benchmarks.records.claim import read_claim
from lossbench.benchmarks.records.files import write_files
from lossbench.benchmarks.report.claims import claim_callout, figures_of
from lossbench.benchmarks.report.document import Block, BulletList, Link
from lossbench.benchmarks.report.render import markdown

from .document import article_document, article_png

PAGE = "article.md"
OPENING = "<!-- Written by `uv run lossbench article`; change benchmarks/report/article/. -->\n\n"


def write_article(directory: Path, evidence: Path) -> list[Path]:
    """Write the page and its figure, and return their paths.

    Args:
        directory: where to write.
        evidence: holds a directory per claim.

    Raises:
        UserError: a claim is missing or unreadable, or a file cannot be written.
    """
    if not directory.is_dir():
        raise UserError(
            f"{directory} is no directory: run this in a clone of the repository, or name one with "
            "--output"
        )
    files = article_files(directory, evidence)
    write_files(directory, files)
    return [directory / name for name in files]


def article_files(directory: Path, evidence: Path) -> dict[str, bytes]:
    """Return the content of the page and of its figure by file name.

    Links and figures of claims lead from `directory` to `evidence`. Raises UserError as above.
    """
    document = article_document(lambda name, figures: _claim(evidence, directory, name, figures))
    return {PAGE: (OPENING + markdown(document)).encode(), **article_png()}


def _claim(evidence: Path, page: Path, name: str, figures: Sequence[int]) -> list[Block]:
    """Return verdict, figures and link of a claim, for a page in another directory."""
    directory = evidence / name
    record = read_claim(directory)
    folder = Path(os.path.relpath(directory, page)).as_posix()
    known = figures_of(record, f"{folder}/")
    blocks: list[Block] = [known[index] for index in figures if index < len(known)]
    if 0 in figures:
        blocks.insert(0, claim_callout(record))
    return [*blocks, BulletList((Link(f"{name}: full report", f"{folder}/report"),))]
