"""The page of a comparison: verdicts, figures, tables and provenance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lossbench.benchmarks.config import REFERENCE
from lossbench.benchmarks.format import (
    MISSING,
    indefinite_article,
    interval_points,
    magnitude,
    percent,
    plural,
    pvalue,
    signed_points,
)
from lossbench.benchmarks.plots import forest
from lossbench.benchmarks.records.reading import Experiment

from .differences import MARGIN, compared, verdict_words, what_would_decide
from .document import (
    Banner,
    Block,
    BulletList,
    Callout,
    Code,
    DefinitionList,
    Document,
    Heading,
    Image,
    Paragraph,
    Table,
)
from .figures import Drawn, caption, charts_beside_reference
from .identities import identities_blocks, same_gradient
from .lead import done, found
from .provenance import Items, data_items, format_mapping, machine_items, repeating
from .table import WOULD_DECIDE, comparison_title, notes, results_table, seed_range, short_table

ALT = {
    "differences.png": "One row per loss: test accuracy minus cross-entropy's, with intervals.",
    "comparison.png": "Two charts over training steps, one line per loss: accuracy, mean |dL/dz|.",
    "closed_forms.png": "Two charts over the logit, one line per loss: its value and its gradient.",
}
CLOSED_FORMS_TEXT = (
    "A loss reaches the network only through its gradient with respect to the logit. These curves "
    "are the formulas alone, without network and data, for an example of {target} (t = 1). Softmax "
    "losses are given the two logits \N{MINUS SIGN}z/2 and +z/2 of the one logit z."
)
BESIDE = "Accuracy of each loss, beside that of cross-entropy in grey"
UNCERTAINTY_NOTE = (
    "Differences on the same test images, paired by seed, in points. Both intervals allow for "
    "other seeds and other test images together (crossed random effects, Satterthwaite's degrees "
    "of freedom). p: that there is no difference; p, Holm: corrected for all losses compared. Due "
    "to images: share of the squared standard error that no more seeds can remove. Would decide: "
    f"{WOULD_DECIDE}; test images where no number of seeds would."
)
UNCERTAINTY_COLUMNS = (
    "loss",
    "minus cross-entropy, points",
    "95 % interval",
    "90 % interval",
    "p",
    "p, Holm",
    "due to images, %",
    "seeds",
    "verdict",
    "would decide",
)


def comparison_document(
    experiment: Experiment, summary: dict[str, Any], figures: Mapping[str, Drawn]
) -> Document:
    """Build the document of report.html and summary.md.

    It begins with what was done, what was found, and the figure that shows it.

    Args:
        experiment: what was run.
        summary: its numbers, as in summary.json.
        figures: by file name; those that are missing are left out.
    """

    def figure(name: str) -> list[Block]:
        return figure_blocks(figures, name)

    blocks: list[Block] = [Banner(summary["note"])] if summary["synthetic"] else []
    blocks += [Paragraph(done(experiment, [summary])), Paragraph(finding(summary))]
    if drawn := figure("comparison.png"):
        blocks += [*drawn, Paragraph(caption(experiment, summary), faint=True)]
    if summary["start"] == "confidently-wrong":
        blocks.append(short_table(summary))
    blocks += verdicts(summary)
    if drawn := figure("differences.png"):
        blocks += [*drawn, Paragraph(forest.caption(compared(summary), MARGIN), faint=True)]
    if charts := charts_beside_reference(experiment, summary):
        blocks += [Heading(BESIDE), Image("", f"{BESIDE}: one chart per loss.", charts, columns=4)]
    if summary["warnings"]:
        blocks += [Heading("Warnings"), BulletList(tuple(summary["warnings"]))]
    blocks += [Heading("Numbers"), results_table(summary)]
    blocks += [Paragraph(note, faint=True) for note in notes(summary)]
    blocks += identities_blocks(summary, experiment.about["config"].get("optimizer", "sgd"))
    if compared(summary):
        blocks += [Heading("Uncertainty"), uncertainty_table(summary)]
        blocks.append(Paragraph(UNCERTAINTY_NOTE, faint=True))
    if "closed_forms.png" in figures:
        classes = summary["classes"]
        target = indefinite_article(classes[1]) if len(classes) == 2 else "the class in question"
        blocks += [Heading("Loss functions"), Paragraph(CLOSED_FORMS_TEXT.format(target=target))]
        blocks += figure("closed_forms.png")
    blocks += [Heading("How it was measured"), DefinitionList(tuple(provenance(experiment)))]
    if command := experiment.about.get("command"):
        blocks += [Paragraph("To repeat it:"), Code(repeating(str(command)))]
    return Document(comparison_title(summary), tuple(blocks))


def figure_blocks(figures: Mapping[str, Drawn], name: str, folder: str = "") -> list[Block]:
    """Return the image of a figure, in a list that is empty without it.

    Args:
        figures: by file name.
        name: file name.
        folder: where the file is, with a slash, if it is not beside the page.
    """
    drawn = figures.get(name)
    if drawn is None:
        return []
    return [Image(f"{folder}{name}", ALT[name], drawn.charts)]


def finding(summary: dict[str, Any]) -> str:
    """Say in a sentence what was found."""
    return found(summary) or sentence(summary)


def verdicts(summary: dict[str, Any]) -> list[Block]:
    """List the losses by verdict, the undecided ones with what would decide."""
    differences = compared(summary)
    if not differences:
        if len(summary["losses"]) == 1:
            return [Paragraph("A single loss was trained: there is nothing to compare it with.")]
        return [Paragraph(f"Without {REFERENCE} among the losses, no difference is tested.")]
    labels = {
        "better": f"Better than {REFERENCE}:",
        "worse": f"Worse than {REFERENCE}:",
        "equivalent": f"Equivalent to {REFERENCE} within {100 * MARGIN:g} points:",
        "undecided": "Undecided:",
    }
    blocks: list[Block] = []
    for verdict, label in labels.items():
        names = [name for name, each in differences.items() if each["verdict"] == verdict]
        names.sort(key=lambda name: -abs(differences[name]["mean"]))
        if names or verdict in ("better", "worse"):
            listed = ", ".join(f"{n} ({_in_brackets(differences[n])})" for n in names)
            blocks.append(Callout(verdict, f"{listed or 'none'}.", label))
    if summary["identities"]:
        same = [f"{name} ({same_gradient(each)})" for name, each in summary["identities"].items()]
        blocks.append(Paragraph(f"Without a verdict of their own: {', '.join(same)}."))
    images = f" and {summary['test_images']:,} test images" if summary["test_images"] else ""
    over = f"{seed_range({each['n'] for each in differences.values()})}{images}"
    blocks.append(
        Paragraph(f"Differences in test accuracy, in points, over {over}.", faint=True),
    )
    return blocks


def _in_brackets(difference: dict[str, Any]) -> str:
    points = interval_points(difference, signed=True)
    if difference["verdict"] != "undecided":
        return points
    word = verdict_words(difference)
    before = "" if word == "undecided" else f"; {word}"
    return f"{points}{before}; would decide: {what_would_decide(difference)}"


def uncertainty_table(summary: dict[str, Any]) -> Table:
    """Tabulate the numbers behind the verdicts, by falling difference."""
    ranked = sorted(compared(summary).items(), key=lambda item: -item[1]["mean"])
    rows = tuple(
        (
            name,
            signed_points(each["mean"]),
            _ends(each["low"], each["high"]),
            _ends(each["low_90"], each["high_90"]),
            pvalue(each["p"]),
            pvalue(each["p_holm"]),
            percent(each["image_share"], 0),
            str(each["n"]),
            verdict_words(each),
            what_would_decide(each),
        )
        for name, each in ranked
    )
    return Table(UNCERTAINTY_COLUMNS, rows)


def _ends(low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return MISSING
    return f"{signed_points(low)} to {signed_points(high)}"


def sentence(summary: dict[str, Any]) -> str:
    """Sum up the results in one sentence, made of the numbers alone."""
    losses = summary["losses"]
    means = {
        name: loss["test_accuracy"]["mean"]
        for name, loss in losses.items()
        if loss["test_accuracy"]["mean"] is not None
    }
    images = "SYNTHETIC test images" if summary["synthetic"] else "test images"
    start = (
        f"After {plural(summary['epochs'], 'epoch')} from a {summary['start']} start, over "
        f"{plural(len(summary['seeds']), 'seed')},"
    )
    if not means:
        return f"{start} no run ended with a finite accuracy."
    low, high = min(means.values()), max(means.values())
    if percent(low) == percent(high) and len(means) > 1:
        text = f"{start} every loss is right on {percent(high)} % of {images}"
    elif len(means) == 1:
        text = f"{start} {next(iter(means))} is right on {percent(high)} % of {images}"
    else:
        text = (
            f"{start} accuracy on {images} ranges from {percent(low)} % ({_names(means, low)}) to "
            f"{percent(high)} % ({_names(means, high)})"
        )
    if summary["chance"] is not None:
        text += f", where chance is {percent(summary['chance'])} %"
    return text + _gradient_clause(losses) + "."


def _gradient_clause(losses: dict[str, Any]) -> str:
    final = {
        name: loss["gradient"]["logit_when_wrong"]["last"]
        for name, loss in losses.items()
        if loss["gradient"]["logit_when_wrong"]["last"] is not None
    }
    if len(final) < 2:
        return ""
    low, high = min(final.values()), max(final.values())
    ends = [f"{magnitude(value)} ({_names(final, value)})" for value in (low, high)]
    span = f"from {' to '.join(ends)}"
    if magnitude(low) == magnitude(high):
        span = f"is {magnitude(low)}"
    return f", and the mean |dL/dz| of wrongly classified examples at the end {span}"


def _names(values: dict[str, float], value: float) -> str:
    """List every name whose value equals `value` to three digits."""
    return ", ".join(name for name, own in values.items() if magnitude(own) == magnitude(value))


def provenance(experiment: Experiment) -> Items:
    """Describe data, model, learning rates, configuration and machine."""
    about = experiment.about
    model, config = about.get("model", {}), dict(about["config"])
    rates, source = config.pop("learning_rates", {}), about.get("learning_rates_from", "?")
    config.pop("learning_rate", None)
    items = data_items(about.get("data", {}))
    items.append(("model", f"{model.get('name', '?')}, {model.get('parameters', 0):,} parameters"))
    each = ", ".join(f"{loss} {value:g}" for loss, value in rates.items())
    items.append(("learning rates", f"{source}: {each}"))
    items.append(("configuration", format_mapping(config)))
    return items + machine_items(about)
