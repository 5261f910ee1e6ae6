"""Descriptions of the tags of a board in TensorBoard: meaning, unit, and average."""

from __future__ import annotations

from lossbench.benchmarks.records import tags

from .board_hparams import METRICS
from .board_layout import CHARTS, HIGH, LOW, MarginChart

HISTOGRAM = "histogram/log10 of |dL/dz|"
ZERO_HISTOGRAM = "histogram/|dL/dz| is exactly 0"
"""Tag of the histogram of a loss without gradient, in place of the other."""

SEEDS = "Mean over the seeds."

OTHERS = {
    HISTOGRAM: f"{tags.describe(tags.LOGIT_HISTOGRAM)} Of all seeds together.",
    ZERO_HISTOGRAM: "The gradient of every example was exactly 0, at every step and in every seed. "
    "0 has no logarithm, so all examples are in the bin at -12.",
    "test": "Precision and recall on the test images of all seeds together, by the least "
    "probability of the class at which an image counts as one of it. At recall 0 it has the "
    "precision of the smallest recall that was measured.",
    "surest wrong answers": "Test images that are classified wrongly, by falling probability of "
    "the wrong class, mean over the seeds.",
    "value and gradient of each loss": "The formulas alone, without network and images, for an "
    "example of class 1.",
    "summary": "The report of the experiment, section by section.",
}
"""Descriptions by tag or its first part."""


def describe(tag: str) -> str:
    """Return the description of a tag of a board in Markdown, "" if there is none."""
    if tag in METRICS:
        return METRICS[tag].description
    for chart in CHARTS:
        if tag == chart.tag:
            return describe_chart(chart)
        for name, end in ((LOW, "Lower"), (HIGH, "Upper")):
            if tag == name.format(chart.tag):
                return f"{end} end of the 95 % interval over the seeds. {describe_chart(chart)}"
    if text := OTHERS.get(tag) or OTHERS.get(tag.partition("/")[0]):
        return text
    text = tags.describe(tag)
    return f"{text} {SEEDS}" if text.strip() else ""


def describe_chart(chart: MarginChart) -> str:
    """Return the description of the line of a chart."""
    parts = [tags.describe(chart.source), chart.note, SEEDS]
    if chart.log:
        parts = ["log10 of this:", *parts, "A gradient of 0 has no logarithm and no point."]
    return " ".join(filter(None, parts))
