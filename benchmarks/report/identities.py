"""The block of a comparison on losses that are a multiple of another loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lossbench.benchmarks.format import MISSING, percent

from .document import Block, Heading, Paragraph, Table

COLUMNS = (
    "loss",
    "same gradient as",
    "gradients differ by",
    "learning rate",
    "test accuracy, %",
    "of the other loss, %",
)


def identities_table(summary: dict[str, Any]) -> Table:
    """Tabulate each loss that is a multiple of another, beside that loss with the same seed."""
    rows = tuple(
        (
            name,
            f"{each['of']}, {_times(each)}",
            f"{each['difference']:.0e}",
            MISSING if each["learning_rate"] is None else f"{each['learning_rate']:g}",
            percent(each["test_accuracy"]) + " (diverged)" * bool(each.get("diverged")),
            percent(each["test_accuracy_of_other"]),
        )
        for name, each in summary["identities"].items()
    )
    return Table(COLUMNS, rows)


def same_gradient(identity: Mapping[str, Any]) -> str:
    """Say of which loss an identity has the gradient: 'same gradient as mse, × 2'."""
    return f"same gradient as {identity['of']}, {_times(identity)}"


def _times(identity: Mapping[str, Any]) -> str:
    return f"\N{MULTIPLICATION SIGN} {identity['factor']:g}"


def identities_note(summary: dict[str, Any]) -> str:
    """Say in a paragraph what the table shows."""
    note = (
        "Each of these losses has the gradient of another one, times a number: it trains the same "
        "network at another learning rate. So it gets no verdict. It is trained once, with the "
        "rate that makes its steps equal; what is left between the two accuracies is rounding, "
        "amplified by training. Gradients differ by: relative to the largest gradient."
    )
    if "bce" in summary["identities"]:
        note += (
            " bce takes probabilities: in float32 its gradient is 0 where the probability rounds "
            "to 1, for z above 17."
        )
    return note


def identities_blocks(summary: dict[str, Any]) -> list[Block]:
    """Return heading, table and text; nothing if no loss is a multiple of another."""
    if not summary["identities"]:
        return []
    return [
        Heading("Same gradient, another name"),
        identities_table(summary),
        Paragraph(identities_note(summary), faint=True),
    ]
