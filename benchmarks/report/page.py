"""The page of an experiment as a document: the verdict, the pictures, the table, the facts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lossbench.benchmarks.format import (
    MISSING,
    indefinite_article,
    magnitude,
    percent,
    signed_points,
)

from .differences import REFERENCE
from .document import (
    Banner,
    Block,
    Bullets,
    Code,
    Document,
    Facts,
    Heading,
    Paragraph,
    Picture,
    Table,
    Verdict,
)
from .facts import data_facts, joined, made_by
from .table import fineness, notes, seeds_of, table_of, title, with_interval

if TYPE_CHECKING:
    from lossbench.benchmarks.records.reading import Experiment

ALT = {
    "differences.png": "A row a loss: its test accuracy minus cross-entropy's, with intervals.",
    "comparison.png": "Two charts over training steps, a line a loss: accuracy, and mean |dL/dz|.",
    "closed_forms.png": "Two charts over the logit, a line a loss: its value and its gradient.",
}
CLOSED_FORMS_TEXT = (
    "A loss reaches the network only through its gradient with respect to the logit. These are "
    "the formulas themselves, with no network and no data, for an example of {right} (t = 1). "
    "Softmax losses are given the two logits \N{MINUS SIGN}z/2 and +z/2."
)


def document_of(
    experiment: Experiment, summary: dict[str, Any], pictures: dict[str, bytes]
) -> Document:
    """The page of a comparison: report.html and summary.md."""

    def picture(name: str) -> list[Block]:
        return [Picture(name, pictures[name], ALT[name])] if name in pictures else []

    blocks: list[Block] = [Banner(summary["note"])] if summary["synthetic"] else []
    blocks += verdicts(summary)
    blocks += [Paragraph(sentence(summary)), *picture("differences.png")]
    blocks += picture("comparison.png")
    if summary["warnings"]:
        blocks += [Heading("Warnings"), Bullets(tuple(summary["warnings"]))]
    blocks += [Heading("Numbers"), table_of(summary)]
    blocks += [Paragraph(note, faint=True) for note in notes(summary)]
    if any(loss["minus_cross_entropy"] for loss in summary["losses"].values()):
        blocks += [Heading("How sure that is"), evidence_table(summary)]
        blocks.append(Paragraph(EVIDENCE_NOTE, faint=True))
    if "closed_forms.png" in pictures:
        right = (
            indefinite_article(summary["classes"][1])
            if len(summary["classes"]) == 2
            else "the class in question"
        )
        blocks += [
            Heading("The losses themselves"),
            Paragraph(CLOSED_FORMS_TEXT.format(right=right)),
        ]
        blocks += picture("closed_forms.png")
    blocks += [Heading("How it was measured"), Facts(tuple(facts(experiment)))]
    if command := experiment.about.get("command"):
        blocks += [Paragraph("To repeat it:"), Code(str(command))]
    return Document(title(summary), tuple(blocks))


def verdicts(summary: dict[str, Any]) -> list[Block]:
    """What the evidence says of each loss beside cross-entropy, and how fine it can see."""
    found = {
        name: loss["minus_cross_entropy"]
        for name, loss in summary["losses"].items()
        if loss["minus_cross_entropy"] is not None
    }
    if not found:
        if len(summary["losses"]) == 1:
            return [Paragraph("A single loss was trained: there is nothing to compare it with.")]
        return [Paragraph(f"Without {REFERENCE} among the losses, no difference is judged.")]
    seeds = {each["n"] for each in found.values()}
    blocks: list[Block] = []
    for word in ("better", "worse"):
        ranked = sorted(
            (name for name in found if found[name]["verdict"] == word),
            key=lambda name: -abs(found[name]["mean"]),
        )
        named = ", ".join(f"{name} ({_points(found[name])})" for name in ranked)
        said = f"{word.capitalize()} than {REFERENCE}:"
        blocks.append(Verdict(word, f"{named or 'none'}.", said))
    if open_ones := [name for name in found if found[name]["verdict"] == "undecided"]:
        named = ", ".join(f"{name} ({_points(found[name])})" for name in open_ones)
        blocks.append(
            Verdict(
                "undecided",
                f"{named}. {fineness([found[n] for n in open_ones])}".strip(),
                "Undecided:",
            )
        )
    images = f" and {summary['test_images']:,} test images" if summary["test_images"] else ""
    blocks.append(
        Paragraph(
            f"Differences in test accuracy, in points, over {seeds_of(seeds)}{images}.",
            faint=True,
        )
    )
    return blocks


def _points(difference: dict[str, Any]) -> str:
    return with_interval(difference, signed=True)


EVIDENCE_NOTE = (
    "Intervals are of 95 %, in points: over seeds by the paired t distribution, over test images "
    "by a paired bootstrap of the same networks' answers, averaged over seeds. p is that of the "
    "two-sided paired t test, and beside it after Holm's correction for all losses compared. "
    "Detectable: the smallest true difference that a paired t test with so many seeds of the "
    "spread seen finds with probability 0.8, before any correction."
)


def evidence_table(summary: dict[str, Any]) -> Table:
    """The numbers behind the verdicts."""
    found = {
        name: loss["minus_cross_entropy"]
        for name, loss in summary["losses"].items()
        if loss["minus_cross_entropy"] is not None
    }
    rows = []
    for name, difference in sorted(found.items(), key=lambda item: -item[1]["mean"]):
        detectable = difference["detectable"]
        rows.append(
            (
                name,
                signed_points(difference["mean"]),
                _span(difference),
                _span(difference["examples"]),
                _p(difference["p"]),
                _p(difference["p_holm"]),
                MISSING if detectable is None else f"{100 * detectable:.1f}",
                str(difference["n"]),
                difference["verdict"],
            )
        )
    return Table(
        (
            "loss",
            "minus cross-entropy, points",
            "over seeds",
            "over test images",
            "p",
            "p, Holm",
            "detectable, points",
            "seeds",
            "verdict",
        ),
        tuple(rows),
    )


def _span(interval: dict[str, Any] | None) -> str:
    if interval is None or interval["low"] is None:
        return MISSING
    return f"{signed_points(interval['low'])} to {signed_points(interval['high'])}"


def _p(value: float | None) -> str:
    if value is None:
        return MISSING
    return f"{value:.3f}" if value >= 0.0005 else "< 0.001"


def sentence(summary: dict[str, Any]) -> str:
    """What was seen, in one sentence made of the numbers alone."""
    losses = summary["losses"]
    seeds, epochs = len(summary["seeds"]), summary["epochs"]
    means = {
        name: loss["test_accuracy"]["mean"]
        for name, loss in losses.items()
        if loss["test_accuracy"]["mean"] is not None
    }
    images = "SYNTHETIC test images" if summary["synthetic"] else "test images"
    start = (
        f"After {epochs} epoch{'s'[: epochs != 1]} from a {summary['start']} start, over {seeds} "
        f"seed{'s'[: seeds != 1]},"
    )
    if not means:
        return f"{start} no run ended with a finite accuracy."
    low, high = min(means.values()), max(means.values())
    if len(means) == 1:
        text = f"{start} {next(iter(means))} is right on {percent(high)} % of {images}"
    else:
        text = (
            f"{start} accuracy on {images} ranges from {percent(low)} % ({_who(means, low)}) to "
            f"{percent(high)} % ({_who(means, high)})"
        )
    if summary["chance"] is not None:
        text += f", where chance is {percent(summary['chance'])} %"
    return text + _gradient_clause(losses) + "."


def _gradient_clause(losses: dict[str, Any]) -> str:
    ends = {
        name: loss["gradient"]["logit_when_wrong"]["last"]
        for name, loss in losses.items()
        if loss["gradient"]["logit_when_wrong"]["last"] is not None
    }
    if len(ends) < 2:
        return ""
    low, high = min(ends.values()), max(ends.values())
    return (
        f", and the mean |dL/dz| of wrongly classified examples at the end from "
        f"{magnitude(low)} ({_who(ends, low)}) to {magnitude(high)} ({_who(ends, high)})"
    )


def _who(values: dict[str, float], value: float) -> str:
    """All names with this value to three digits: of equals, none is named before the others."""
    return ", ".join(name for name, own in values.items() if magnitude(own) == magnitude(value))


def facts(experiment: Experiment) -> list[tuple[str, str]]:
    """How it was measured, as names and values."""
    about = experiment.about
    model, config = about.get("model", {}), dict(about["config"])
    rates, tuned = config.pop("learning_rates", {}), config.get("tuned", False)
    lines = data_facts(about.get("data", {}))
    lines += [("model", f"{model.get('name', '?')}, {model.get('parameters', 0):,} parameters")]
    if tuned:
        config.pop("learning_rate", None)
        each = ", ".join(f"{loss} {rate:g}" for loss, rate in rates.items())
        lines.append(
            ("learning rates", f"tuned, each loss's own, chosen on validation images: {each}")
        )
    else:
        lines.append(
            ("learning rates", f"not tuned: {config.pop('learning_rate', '?')} for every loss")
        )
    lines.append(("configuration", joined(config)))
    return lines + made_by(about)
