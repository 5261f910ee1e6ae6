"""The page of a claim that was examined, and the page of all of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lossbench.benchmarks.errors import UserError
from lossbench.benchmarks.format import MINUS, MISSING, duration, magnitude
from lossbench.benchmarks.records.claim import (
    FILE,
    Finding,
    Statement,
    data_blocks,
    is_synthetic,
    read_claim,
    write_claim,
)
from lossbench.benchmarks.records.files import write_files

from .document import (
    SYNTHETIC_NOTE,
    Banner,
    Block,
    Bullets,
    Cell,
    Code,
    Document,
    Facts,
    Heading,
    Link,
    Paragraph,
    Picture,
    Table,
    Verdict,
    html,
    markdown,
)
from .facts import data_facts, joined, made_by


def write_finding(
    directory: Path, about: dict[str, Any], statement: Statement, finding: Finding
) -> None:
    """Write claim.json, report.html, report.md and the figures of a claim into `directory`.

    Args are those of `records.claim.write_claim`. Raises UserError if a file cannot be written.
    """
    write_claim(directory, about, statement, finding)
    write_report(directory)


def write_report(directory: Path) -> list[Path]:
    """Writes report.html and report.md of a claim from its claim.json and pictures.

    Raises:
        UserError: as `read_claim` does, or a file cannot be written.
    """
    return write_pages(directory, document_of(directory, read_claim(directory)))


def write_pages(directory: Path, document: Document) -> list[Path]:
    """Writes a document as report.html and report.md and returns their paths.

    Raises:
        UserError: a file cannot be written.
    """
    files = {"report.html": html(document).encode(), "report.md": markdown(document).encode()}
    write_files(directory, files)
    return [directory / name for name in files]


def document_of(directory: Path, record: dict[str, Any]) -> Document:
    """The page of a claim: what was found, the picture that shows it, the measures, the tables,
    what was asked, and how it was measured.

    Raises:
        UserError: a picture cannot be read.
    """
    synthetic = is_synthetic(record)
    blocks: list[Block] = [Banner(SYNTHETIC_NOTE)] if synthetic else []
    blocks.append(_verdict(record))
    pictures = _pictures(directory, record)
    blocks += pictures[:1]
    if record["measures"]:
        blocks += [Heading("What the verdict rests on"), _measures(record["measures"], synthetic)]
    blocks += pictures[1:]
    for table in record["tables"]:
        blocks += [Heading(table["title"]), _table(table, synthetic)]
        blocks += [Paragraph(note, faint=True) for note in table.get("notes", [])]
    if record["notes"]:
        blocks.append(Heading("What else to know"))
        blocks += [Paragraph(note) for note in record["notes"]]
    blocks += [Heading("What was asked"), _asked(record)]
    about = record["about"]
    blocks += [Heading("How it was measured"), Facts(tuple(_facts(about)))]
    if command := about.get("command"):
        blocks += [Paragraph("To repeat it:"), Code(str(command))]
    return Document(_titled(title_of(record), synthetic), tuple(blocks))


def title_of(record: dict[str, Any]) -> str:
    """The claim's name and what it asks."""
    return f"{record['name']}: {record['question']}"


def _titled(title: str, synthetic: bool) -> str:
    return f"SYNTHETIC IMAGES: {title}" if synthetic else title


def _verdict(record: dict[str, Any]) -> Verdict:
    said = {"holds": "The claim holds.", "does not hold": "The claim does not hold."}
    return Verdict(
        record["verdict"],
        record["sentence"],
        said.get(record["verdict"], "The claim is undecided."),
    )


def write_overview(evidence_directory: Path, order: Sequence[str]) -> None:
    """Writes report.html and report.md of all claims below `evidence_directory`: a line each with
    its verdict, and then what was found of each with the picture that shows it.

    Raises:
        UserError: a claim is unreadable, there is none, or a file cannot be written.
    """
    found = {
        path.parent.name: read_claim(path.parent) for path in evidence_directory.glob(f"*/{FILE}")
    }
    if not found:
        raise UserError(
            f"no claim in {evidence_directory}: run `lossbench evidence all`, or name a directory "
            "that it wrote"
        )
    names = [*order, *sorted(set(found) - set(order))]
    records = [(name, found[name]) for name in names if name in found]
    missing = [name for name in order if name not in found]
    write_pages(evidence_directory, _overview(evidence_directory, records, missing))


def _overview(
    directory: Path, records: Sequence[tuple[str, dict[str, Any]]], missing: Sequence[str]
) -> Document:
    synthetic = any(is_synthetic(record) for _, record in records)
    blocks: list[Block] = [Banner(SYNTHETIC_NOTE)] if synthetic else []
    blocks.append(
        Paragraph(
            f"{len(records)} claim{'s' * (len(records) != 1)} examined: "
            f"{tally(record for _, record in records)}."
        )
    )
    if missing:
        blocks.append(Paragraph(f"Not examined yet: {', '.join(missing)}."))
    blocks.append(verdicts_table((Link(name, f"{name}/report"), each) for name, each in records))
    for name, record in records:
        blocks += [
            Heading(title_of(record), 2, name),
            _verdict(record),
            *_pictures(directory / name, record, f"{name}/")[:1],
            Paragraph(f"Put to the test: {record['claim']}", faint=True),
            Bullets((Link(f"{name} in full", f"{name}/report"),)),
        ]
    title = _titled("The case for cross-entropy, claim by claim", synthetic)
    return Document(title, tuple(blocks))


def tally(records: Any) -> str:
    """'7 hold, 2 do not hold, 1 is undecided', of records as `read_claim` returns them."""
    verdicts = [record["verdict"] for record in records]
    words = {"holds": ("holds", "hold"), "does not hold": ("does not hold", "do not hold")}
    words["undecided"] = ("is undecided", "are undecided")
    counts = {word: verdicts.count(word) for word in words}
    return ", ".join(f"{n} {words[word][n != 1]}" for word, n in counts.items() if n)


def verdicts_table(claims: Any) -> Table:
    """A line a claim, of pairs of a cell that names it and its record."""
    rows: list[tuple[Cell, ...]] = [
        (name, record["verdict"], record["sentence"]) for name, record in claims
    ]
    return Table(("claim", "verdict", "what was found"), tuple(rows))


def _pictures(directory: Path, record: dict[str, Any], folder: str = "") -> list[Picture]:
    found = []
    for each in record["pictures"]:
        path = directory / each["name"]
        try:
            found.append(Picture(f"{folder}{each['name']}", path.read_bytes(), each.get("alt", "")))
        except OSError as error:
            raise UserError(
                f"cannot read {path}: {error.strerror or error}; examine the claim again"
            ) from None
    return found


def _measures(measures: Sequence[dict[str, Any]], synthetic: bool) -> Table:
    rows = tuple(
        (
            str(each["name"]),
            number(each["value"]),
            f"{number(each['low'])} to {number(each['high'])}"
            if each.get("low") is not None and each.get("high") is not None
            else MISSING,
            str(each["wanted"]),
            str(each["verdict"]),
        )
        for each in measures
    )
    columns = ("measure", "value", "interval, 95 % unless said", "the claim wants", "verdict")
    return Table(columns, rows, title="SYNTHETIC IMAGES" if synthetic else None, alarm=synthetic)


def number(value: float | None) -> str:
    """Three digits and more, with a minus sign that can be seen."""
    if value is None:
        return MISSING
    size = abs(value)
    text = f"{size:,.0f}" if size >= 999.5 else magnitude(size)
    return f"{MINUS}{text}" if value < 0 else text


def _table(table: dict[str, Any], synthetic: bool) -> Table:
    columns = tuple(map(str, table["columns"]))
    # A row that is too short or long is shown as it is: the numbers in it may be all there is.
    rows = tuple(
        tuple(map(str, [*row, *[""] * (len(columns) - len(row))][: len(columns)]))
        for row in table["rows"]
    )
    return Table(columns, rows, title="SYNTHETIC IMAGES" if synthetic else None, alarm=synthetic)


def _asked(record: dict[str, Any]) -> Facts:
    return Facts(
        (
            ("question", record["question"]),
            ("claim", record["claim"]),
            ("it would be refuted by", record["refuted_by"]),
            ("procedure", record["procedure"]),
            ("source", record["source"]),
        )
    )


def _facts(about: dict[str, Any]) -> list[tuple[str, str]]:
    lines = []
    if "budget" in about:
        lines.append(("budget", str(about["budget"])))
    if "trials" in about:
        text = f"{about['trials']:,}"
        if about.get("training_seconds"):
            text += f", {duration(about['training_seconds'])} of training"
        lines.append(("networks trained", text))
    if about.get("seeds"):
        lines.append(("seeds", " ".join(map(str, about["seeds"]))))
    if about.get("search_seeds"):
        lines.append(("seeds of searches", " ".join(map(str, about["search_seeds"]))))
    if "seconds" in about:
        lines.append(("time", f"{duration(about['seconds'])}; what was trained before is kept"))
    if about.get("models"):
        lines.append(("models", ", ".join(map(str, about["models"]))))
    for data in data_blocks(about):
        lines += data_facts(data)
    known = {"budget", "trials", "training_seconds", "seeds", "seconds", "models", "data"}
    known |= {"command", "date", "versions", "hardware", "git", "synthetic", "search_seeds"}
    if others := {key: value for key, value in about.items() if key not in known}:
        lines.append(("besides", joined(others)))
    return lines + made_by(about)
