"""The report of a comparison: summary.json, summary.md, report.html and the figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from lossbench.benchmarks.records.files import write_files
from lossbench.benchmarks.records.reading import Experiment, read_experiment

from .document import Document
from .figures import Drawn, draw_figures
from .page import comparison_document
from .render import write_pages
from .summary import summarise_experiment

SUMMARY_FILE = "summary.json"


class Comparison(NamedTuple):
    """A comparison that was read, and what its report is made of."""

    experiment: Experiment
    summary: dict[str, Any]
    figures: dict[str, Drawn]
    document: Document


def write_comparison(directory: Path) -> Comparison:
    """Write summary.json, summary.md, report.html and the figures of an experiment.

    Every file is written atomically.

    Raises:
        UserError: a file is unreadable, no run has finished, or a file cannot be written.
    """
    experiment = read_experiment(directory)
    summary = summarise_experiment(experiment)
    figures = draw_figures(experiment, summary)
    document = comparison_document(experiment, summary, figures)
    write_files(directory, {name: drawn.png for name, drawn in figures.items()})
    write_pages(directory, document, "summary.md")
    # Written last: when it exists, the other files are up to date.
    content = json.dumps(summary, indent=2, allow_nan=False) + "\n"
    write_files(directory, {SUMMARY_FILE: content.encode()})
    return Comparison(experiment, summary, figures, document)
