"""Reports of claims: a page per claim, and an overview of all claims."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from lossbench.benchmarks.errors import UserError, one_line
from lossbench.benchmarks.format import MISSING, duration, number, plural
from lossbench.benchmarks.plots.canvas import SYNTHETIC
from lossbench.benchmarks.records.claim import (
    FILE,
    KINDS,
    Finding,
    Statement,
    data_blocks,
    is_synthetic,
    read_claim,
    write_claim,
)
from lossbench.benchmarks.records.files import write_files

from .article.document import article_document, article_png
from .document import (
    SYNTHETIC_NOTE,
    Banner,
    Block,
    BulletList,
    Callout,
    Cell,
    Code,
    DefinitionList,
    Document,
    Heading,
    Image,
    Link,
    Paragraph,
    Table,
    section,
    synthetic_title,
)
from .provenance import Items, data_items, format_mapping, machine_items, repeating
from .render import write_pages

Drawing = TypeVar("Drawing")
Record = dict[str, Any]
"""claim.json as `records.claim.read_claim` returns it."""

VERBS = {
    "holds": ("holds", "hold"),
    "does not hold": ("does not hold", "do not hold"),
    "undecided": ("is undecided", "are undecided"),
}
"""Verb of each verdict, for one claim and for several."""


def write_finding(
    directory: Path, about: dict[str, Any], statement: Statement, finding: Finding
) -> None:
    """Write claim.json, report.html, report.md and the figures of a claim.

    Args:
        directory: made if it is missing.
        about: how it was measured, see `records.claim.write_claim`.
        statement: the claim.
        finding: what the experiment found.

    Raises:
        UserError: a file cannot be written.
    """
    write_claim(directory, about, statement, finding)
    write_report(directory)


def write_report(directory: Path) -> Document:
    """Write report.html, report.md and the figures of a claim from its claim.json.

    Raises:
        UserError: claim.json cannot be read or drawn, or a file cannot be written.
    """
    record = read_claim(directory)
    document = claim_document(record)
    synthetic = is_synthetic(record)
    known = [figure for figure in record["pictures"] if figure.panels]
    write_files(directory, {figure.name: drawn(partial(figure.png, synthetic)) for figure in known})
    write_pages(directory, document)
    return document


def claim_document(record: Record) -> Document:
    """Build the report of a claim: verdict, figures, measures, tables, question, provenance.

    Raises UserError if a figure cannot be drawn.
    """
    synthetic = is_synthetic(record)
    warning = SYNTHETIC if synthetic else None
    blocks: list[Block] = [Banner(SYNTHETIC_NOTE)] if synthetic else []
    blocks.append(claim_callout(record))
    figures = figures_of(record)
    blocks += figures[:1]
    if record["measures"]:
        blocks += [Heading("Measures behind the verdict"), _measures(record["measures"], warning)]
    blocks += figures[1:]
    for table in record["tables"]:
        blocks += [Heading(table["title"]), _table(table, warning)]
        blocks += [Paragraph(note, faint=True) for note in table.get("notes", [])]
    if record["notes"]:
        blocks.append(Heading("Notes"))
        blocks += [Paragraph(note) for note in record["notes"]]
    blocks += [Heading("Question and procedure"), _statement(record)]
    about = record["about"]
    blocks += [Heading("How it was measured"), DefinitionList(tuple(_provenance(about)))]
    if command := about.get("command"):
        blocks += [Paragraph("To repeat it:"), Code(repeating(str(command)))]
    return Document(synthetic_title(claim_title(record), synthetic), tuple(blocks))


def claim_title(record: Record) -> str:
    """Return the claim's name and question."""
    return f"{record['name']}: {record['question']}"


def write_overview(evidence_directory: Path, order: Sequence[str]) -> None:
    """Write report.html and report.md of all claims below a directory.

    Args:
        evidence_directory: holds a directory per claim.
        order: names of all claims, in the order to list them; other names follow.

    Raises:
        UserError: a claim is unreadable, there is none, or a file cannot be written.
    """
    examined = {
        path.parent.name: read_claim(path.parent) for path in evidence_directory.glob(f"*/{FILE}")
    }
    if not examined:
        raise UserError(
            f"no claim in {evidence_directory}: run `lossbench evidence all`, or name a directory "
            "that it wrote"
        )
    names = [*order, *sorted(set(examined) - set(order))]
    records = {name: examined[name] for name in names if name in examined}
    missing = [name for name in order if name not in examined]
    article = article_document(lambda name, _figures: (_link_of(name, records),))
    write_files(evidence_directory, article_png())
    write_pages(evidence_directory, _overview(records, missing, article))


def _link_of(name: str, records: dict[str, Record]) -> BulletList:
    """Return the link to a claim's section with its verdict, or its name if it is not examined."""
    text = f"the claim {name}"
    if name not in records:
        return BulletList((f"{text}, not examined yet",))
    record = records[name]
    verdict = f"{VERBS[record['verdict']][0]}, {kind_of(record)}"
    return BulletList((Link(f"{text} {verdict}", f"#{name}"),))


def _overview(records: dict[str, Record], missing: Sequence[str], article: Document) -> Document:
    synthetic = any(map(is_synthetic, records.values()))
    examined = f"{plural(len(records), 'claim')} examined: {tally(records.values())}."
    blocks: list[Block] = [Banner(SYNTHETIC_NOTE)] if synthetic else []
    blocks.append(Paragraph(examined))
    if missing:
        blocks.append(Paragraph(f"Not examined yet: {', '.join(missing)}."))
    links = {name: Link(name, f"{name}/report") for name in records}
    blocks.append(verdicts_table((links[name], record) for name, record in records.items()))
    blocks.append(BulletList((Link(article.title, "#article"),)))
    for name, record in records.items():
        blocks += [
            Heading(claim_title(record), 2, name),
            claim_callout(record),
            *figures_of(record, f"{name}/", 1),
            BulletList((Link(f"{name}: full report", f"{name}/report"),)),
        ]
    blocks += section(article, "article", ".")
    title = synthetic_title("The case for cross-entropy, claim by claim", synthetic)
    return Document(title, tuple(blocks))


def tally(records: Iterable[Record]) -> str:
    """Count the verdicts: '7 hold, 2 do not hold, 1 is undecided'."""
    verdicts = [record["verdict"] for record in records]
    counts = {verdict: verdicts.count(verdict) for verdict in VERBS}
    return ", ".join(f"{n} {VERBS[verdict][n != 1]}" for verdict, n in counts.items() if n)


def verdicts_table(claims: Iterable[tuple[Cell, Record]]) -> Table:
    """Build a table with one line per claim.

    Args:
        claims: for each, the cell that names it, and its record.
    """
    rows = tuple(
        (name, record["claim"], record["verdict"], kind_of(record), record["sentence"])
        for name, record in claims
    )
    return Table(("claim", "in words", "verdict", "known how", "what was found"), rows)


def kind_of(record: Record) -> str:
    """Return how the verdict of a claim is known: 'measured' or 'proved and checked'."""
    return str(record.get("kind", KINDS[0]))


def claim_callout(record: Record) -> Callout:
    """Return the box with the claim's sentence, its verdict, how it is known, and the finding."""
    label = f"{record['claim']} The claim {VERBS[record['verdict']][0]}, {kind_of(record)}."
    return Callout(record["verdict"], record["sentence"], label)


def figures_of(record: Record, folder: str = "", most: int | None = None) -> list[Image]:
    """Return the first figures of a claim, with `folder` before their names.

    Raises UserError if one cannot be drawn.
    """
    synthetic = is_synthetic(record)
    return [
        drawn(partial(Image.of, figure, folder, synthetic=synthetic))
        for figure in record["pictures"][:most]
    ]


def drawn(draw: Callable[[], Drawing]) -> Drawing:
    """Return what `draw` returns. Raises UserError for panels that nothing can be drawn of."""
    try:
        return draw()
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise UserError(
            f"cannot draw a figure of {FILE}: {type(error).__name__}: {one_line(error)}; examine "
            "the claim again"
        ) from None


def _measures(measures: Sequence[Record], warning: str | None) -> Table:
    def interval(measure: Record) -> str:
        low, high = measure.get("low"), measure.get("high")
        return MISSING if low is None or high is None else f"{number(low)} to {number(high)}"

    rows = tuple(
        (
            str(each["name"]),
            number(each["value"]),
            interval(each),
            str(each["wanted"]),
            str(each["verdict"]),
        )
        for each in measures
    )
    columns = ("measure", "value", "interval", "claimed", "verdict")
    return Table(columns, rows, warning=warning)


def _table(table: Record, warning: str | None) -> Table:
    columns = tuple(map(str, table["columns"]))
    # Rows of a wrong length are cut or filled: a file may hold anything.
    rows = tuple(
        tuple(map(str, [*row, *[""] * (len(columns) - len(row))][: len(columns)]))
        for row in table["rows"]
    )
    return Table(columns, rows, warning=warning)


def _statement(record: Record) -> DefinitionList:
    names = ("question", "claim", "refuted_by", "procedure", "source")
    return DefinitionList(tuple((name.replace("_", " "), record[name]) for name in names))


def _provenance(about: dict[str, Any]) -> Items:
    rest = dict(about)
    for name in ("command", "synthetic", "data", "hardware", "versions", "git", "date"):
        rest.pop(name, None)
    items = []
    if design := rest.pop("design", None):
        text = f"{design.get('hash')}, fixed before anything was trained. {design.get('in_words')}"
        items.append(("design", text))
        items += [("earlier design", each) for each in design.get("earlier", [])]
    training = rest.pop("training_seconds", None)
    if "trials" in rest:
        spent = f", {duration(training)} of training" if training else ""
        items.append(("networks trained", f"{rest.pop('trials'):,}{spent}"))
    items += [
        (name.replace("_", " "), " ".join(map(str, seeds)))
        for name in ("seeds", "search_seeds")
        if (seeds := rest.pop(name, None))
    ]
    if "seconds" in rest:
        time = duration(rest.pop("seconds"))
        items.append(("time", f"{time}, without networks trained earlier"))
    if models := rest.pop("models", None):
        items.append(("models", ", ".join(map(str, models))))
    for data in data_blocks(about):
        items += data_items(data)
    if rest:
        items.append(("other settings", format_mapping(rest)))
    return items + machine_items(about)
