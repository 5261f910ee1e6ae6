"""The report of a comparison: summary.json, summary.md, report.html and the figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lossbench.benchmarks.records.files import write_files
from lossbench.benchmarks.records.reading import read_experiment

from .document import Document
from .figures import draw_figures
from .page import comparison_document
from .render import write_pages
from .summary import summarise_experiment


def write_summary(directory: Path) -> dict[str, Any]:
    """Write the report of an experiment beside its results, and return summary.json's content.

    Raises:
        UserError: a file is unreadable, no run has finished, or a file cannot be written.
    """
    return write_comparison(directory)[0]


def write_comparison(directory: Path) -> tuple[dict[str, Any], Document]:
    """Write summary.json, summary.md, report.html and the figures of an experiment.

    Every file is written atomically.

    Returns:
        The content of summary.json, and the report.

    Raises:
        UserError: a file is unreadable, no run has finished, or a file cannot be written.
    """
    experiment = read_experiment(directory)
    summary = summarise_experiment(experiment)
    figures = draw_figures(experiment, summary)
    document = comparison_document(experiment, summary, figures)
    write_files(directory, figures)
    write_pages(directory, document, "summary.md")
    # Written last: when it exists, the other files are up to date.
    content = json.dumps(summary, indent=2, allow_nan=False) + "\n"
    write_files(directory, {"summary.json": content.encode()})
    return summary, document
