"""claim.json: a statement that an experiment can refute, and what the experiment found."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from lossbench.benchmarks.errors import UserError, one_line
from lossbench.benchmarks.plots.panels import PanelFigure
from lossbench.benchmarks.stats.verdict import Verdict

from .files import make_directory, write_files
from .plain import from_plain, to_plain
from .reading import DATA
from .schema import NUMBER, read_json, schema_error

FILE = "claim.json"
TEXTS = ("name", "question", "claim", "refuted_by", "procedure", "source", "verdict", "sentence")
Kind = Literal["measured", "proved and checked"]
"""measured: the verdict is about numbers that networks differ in. proved and checked: about an
identity, which follows from the formulas."""
KINDS: tuple[Kind, ...] = get_args(Kind)
# Types of the values of claim.json that reports show.
RECORD: dict[str, Any] = {
    **dict.fromkeys(TEXTS, str),
    "kind": KINDS,
    "measures": [dict.fromkeys(("value", "low", "high"), NUMBER | None)],
    "tables": [{"title": str, "columns": list, "rows": [list], "notes": [str]}],
    "notes": [str],
    "about": {
        "trials": int,
        "training_seconds": NUMBER | None,
        "seconds": NUMBER,
        **dict.fromkeys(("seeds", "search_seeds", "models"), list | None),
        **dict.fromkeys(("versions", "hardware"), dict),
        "design": {
            "hash": str,
            "looks": [int],
            "first_seed": int,
            "in_words": str,
            "earlier": [str],
        },
    },
}


@dataclass(frozen=True)
class Statement:
    """A statement about losses that an experiment can refute.

    Attributes:
        name: name in commands and directories.
        question: the question, in one sentence.
        claim: the answer that is tested, in one sentence.
        refuted_by: the observation that would refute it.
        procedure: the experiment, in a few sentences, with its thresholds and margins.
        source: publication that makes the claim.
        kind: how its verdict is known.
    """

    name: str
    question: str
    claim: str
    refuted_by: str
    procedure: str
    source: str
    kind: Kind = field(default="measured", kw_only=True)


@dataclass(frozen=True)
class Measure:
    """A number that the verdict rests on.

    Attributes:
        name: what was measured, with its unit.
        value: the estimate.
        low, high: its interval, or None.
        wanted: what the claim predicts, such as 'below 1.0 points'.
        verdict: the verdict of this number alone.
    """

    name: str
    value: float | None
    low: float | None
    high: float | None
    wanted: str
    verdict: Verdict


@dataclass(frozen=True)
class ClaimTable:
    """A table of text cells; the first column names the row.

    Attributes:
        title: title of the table.
        columns: headings.
        rows: cells.
        notes: how to read the table.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Finding:
    """The result of testing a claim.

    Attributes:
        verdict: computed from the measures by `verdict_of`.
        sentence: the finding in one sentence with one number.
        measures: the numbers that the verdict rests on.
        figures: figures, the most important one first.
        tables: the numbers behind the measures.
        notes: limits, surprises, and what was not measured.
    """

    verdict: Verdict
    sentence: str
    measures: tuple[Measure, ...]
    figures: tuple[PanelFigure, ...]
    tables: tuple[ClaimTable, ...]
    notes: tuple[str, ...] = ()


def verdict_of(measures: Sequence[Measure]) -> Verdict:
    """Combine verdicts: 'holds' if all measures hold, 'does not hold' if one does not hold, else
    'undecided'."""
    verdicts = {measure.verdict for measure in measures}
    if "does not hold" in verdicts:
        return "does not hold"
    return "holds" if verdicts == {"holds"} else "undecided"


def write_claim(
    directory: Path, about: dict[str, Any], statement: Statement, finding: Finding
) -> None:
    """Write claim.json into `directory`, with what the figures of the finding show.

    Args:
        directory: made if it is missing.
        about: command, date, design (hash, looks, first_seed, in_words, and earlier designs),
            trials (number of runs), seeds, search_seeds, seconds, training_seconds, data (a list of
            data blocks as in experiment.json, each with trained_on, the numbers of training
            images), models, versions, hardware, git.
        statement: the claim.
        finding: what the experiment found.

    Raises:
        UserError: a file cannot be written.
    """
    record = _finite(
        {
            **{name: getattr(statement, name) for name in TEXTS[:6]},
            "kind": statement.kind,
            "verdict": finding.verdict,
            "sentence": finding.sentence,
            "measures": [vars(measure) for measure in finding.measures],
            "pictures": to_plain(finding.figures),
            "tables": [vars(table) for table in finding.tables],
            "notes": finding.notes,
            "about": about,
        }
    )
    try:
        make_directory(directory)
    except OSError as error:
        raise UserError(f"cannot write {directory}: {error.strerror or error}") from None
    text = json.dumps(record, indent=2, allow_nan=False) + "\n"
    # A list without lists is one line: a figure has thousands of numbers.
    text = re.sub(r"\[\n[^\[\]{}]*\]", lambda found: " ".join(found[0].split()), text)
    write_files(directory, {FILE: text.encode()})


def read_claim(directory: Path) -> dict[str, Any]:
    """Read claim.json from `directory`; its pictures are `PanelFigure`s.

    Raises:
        UserError: it is missing or unreadable, or a value has the wrong type.
    """
    path = directory / FILE
    record = read_json(
        path,
        f"no claim in {directory}: {FILE} is missing; give a directory that `lossbench evidence` "
        "wrote",
    )
    try:
        if wrong := schema_error(record, RECORD):
            raise ValueError(wrong)
        if missing := [name for name in TEXTS if name not in record]:
            raise ValueError(f"it has no {', '.join(missing)}")
        if wrong := schema_error(data_blocks(record["about"]), [DATA], "about.data"):
            raise ValueError(wrong)
        if record["verdict"] not in get_args(Verdict):
            raise ValueError(f"{record['verdict']!r} is no verdict")
        figures = from_plain(Sequence[PanelFigure], record["pictures"], "pictures")
        record["pictures"] = figures
        for figure in figures:
            check_file_name(figure.name, path)
        for measure in record["measures"]:
            _ = [measure[key] for key in ("name", "value", "wanted", "verdict")]
        for table in record["tables"]:
            _ = [table[key] for key in ("title", "columns", "rows")]
        _ = record["notes"]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f"cannot use {path}: {type(error).__name__}: {one_line(error)}; examine the claim again"
        ) from None
    return dict(record)


def is_synthetic(record: dict[str, Any]) -> bool:
    """Return whether any images of a claim were drawn by code."""
    about = record["about"]
    return bool(about.get("synthetic")) or any(
        data.get("name") == "synthetic" for data in data_blocks(about)
    )


def data_blocks(about: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the descriptions of the images in a claim.json: `data` is one of them or a list."""
    data = about.get("data") or []
    return [data] if isinstance(data, dict) else list(data)


def check_file_name(name: Any, where: object) -> None:
    """Raise UserError unless `name` is a plain file name: figures lie beside their page."""
    if not isinstance(name, str) or Path(name).name != name:
        raise UserError(f"cannot use {where}: {name!r} is no plain file name")


def _finite(value: Any) -> Any:
    """Replace numbers that JSON cannot represent by None."""
    if isinstance(value, dict):
        return {str(key): _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
