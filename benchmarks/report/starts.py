"""Lead of a page of comparisons that differ in nothing but their start."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from lossbench.benchmarks.format import interval_points, magnitude, percent

from .comparison import Comparison
from .differences import verdict_words
from .document import Block, Paragraph, Table
from .figures import caption
from .identities import same_gradient
from .lead import done, listed, start_words, what_was_compared
from .page import figure_blocks, finding

SHOWN_FIRST = "confidently-wrong"
"""The start that shows most: there a gradient can vanish."""


def differ_in_start(comparisons: Sequence[Comparison]) -> bool:
    """Return whether all are of the same losses and images, each with its own start."""
    starts = {str(each.summary["start"]) for each in comparisons}
    alike = [
        (
            sorted([*each.summary["losses"], *each.summary["identities"]]),
            each.experiment.about.get("data", {}).get("fingerprint"),
        )
        for each in comparisons
    ]
    return 0 < len(comparisons) == len(starts) and all(each == alike[0] for each in alike)


def starts_title(summaries: Sequence[dict[str, Any]]) -> str:
    """Return the title: what was compared, and from which starts."""
    starts = listed(start_words(summary) for summary in summaries)
    return f"{what_was_compared(summaries[0])}, from {starts}"


def starts_lead(
    comparisons: Sequence[Comparison], folder: Callable[[Comparison], str]
) -> list[Block]:
    """Return what was done, what was found, the figure that shows it, and a table of all starts.

    Finding and figure are those of the start that shows most.

    Args:
        comparisons: one per start.
        folder: path of a comparison's directory, relative to the page.
    """
    ordered = sorted(comparisons, key=lambda each: each.summary["start"] != SHOWN_FIRST)
    first = ordered[0]
    blocks: list[Block] = [
        Paragraph(done(first.experiment, [each.summary for each in ordered])),
        Paragraph(finding(first.summary)),
    ]
    if drawn := figure_blocks(first.figures, "comparison.png", f"{folder(first)}/"):
        blocks += [*drawn, Paragraph(caption(first.experiment, first.summary), faint=True)]
    return [*blocks, starts_table([each.summary for each in ordered])]


def starts_table(summaries: Sequence[dict[str, Any]]) -> Table:
    """Tabulate losses by start: the first gradient when wrong, the accuracy, the verdict.

    Args:
        summaries: one per start; the losses are ordered by the accuracy of the first.
    """
    columns = ["loss"]
    for summary in summaries:
        start = str(summary["start"]).replace("-", " ")
        columns += [
            f"{start} start: |dL/dz| when wrong, at first",
            "test accuracy, %",
            "against cross-entropy",
        ]
    names = sorted(
        summaries[0]["losses"],
        key=lambda name: -(summaries[0]["losses"][name]["test_accuracy"]["mean"] or 0),
    )
    rows = [(name, *(cell for each in summaries for cell in _cells(name, each))) for name in names]
    foot = [
        (name, *(cell for each in summaries for cell in _identity_cells(name, each)))
        for name in summaries[0]["identities"]
    ]
    return Table(tuple(columns), tuple(rows), tuple(foot))


def _cells(name: str, summary: dict[str, Any]) -> tuple[str, str, str]:
    loss = summary["losses"].get(name)
    if loss is None:
        return "", "", ""
    difference = loss["minus_cross_entropy"]
    return (
        magnitude(loss["gradient"]["logit_when_wrong"]["first"]),
        interval_points(loss["test_accuracy"]),
        verdict_words(difference) if difference else "",
    )


def _identity_cells(name: str, summary: dict[str, Any]) -> tuple[str, str, str]:
    identity = summary["identities"].get(name)
    if identity is None:
        return "", "", ""
    return "", percent(identity["test_accuracy"]), same_gradient(identity)
