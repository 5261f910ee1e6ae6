"""The report of a comparison: summary.json, summary.md, report.html and the figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lossbench.benchmarks.records.files import write_files
from lossbench.benchmarks.records.reading import read_experiment

from .summary import summarise_experiment

if TYPE_CHECKING:
    from .document import Document


def write_summary(directory: Path) -> dict[str, Any]:
    """Writes summary.json, summary.md, report.html and the pictures beside the results.

    Each file appears whole or not at all: it is written under another name and then renamed.

    Returns:
        What `summarise` returns, and summary.json holds.

    Raises:
        UserError: as `summarise` does, or a file cannot be written.
    """
    return rewrite(directory)[0]


def rewrite(directory: Path) -> tuple[dict[str, Any], Document]:
    """As `write_summary`, and returns the page as a document as well."""
    from .document import html, markdown
    from .figures import draw_pictures
    from .page import document_of

    experiment = read_experiment(directory)
    summary = summarise_experiment(experiment)
    pictures = draw_pictures(experiment, summary)
    document = document_of(experiment, summary, pictures)
    files = {
        **pictures,
        "summary.md": markdown(document).encode(),
        "report.html": html(document).encode(),
        # Last, so that whoever sees it finds the others up to date.
        "summary.json": (json.dumps(summary, indent=2, allow_nan=False) + "\n").encode(),
    }
    write_files(directory, files)
    return summary, document
