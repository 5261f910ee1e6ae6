"""The block of a comparison on losses that are a multiple of another loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lossbench.benchmarks.config import optimizer_name
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
            f"{each['difference']:.0e}" if each["difference"] else "0",
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


def identities_note(summary: dict[str, Any], optimizer: str) -> str:
    """Say in a paragraph what the table shows.

    Args:
        summary: of the experiment.
        optimizer: as in the settings.
    """
    alike = (
        "Under SGD that is another learning rate: with the rate that makes its steps equal, it "
        "trains as the other loss does, and what is left between the two accuracies is rounding, "
        "amplified by training."
        if optimizer_name(optimizer) == "sgd"
        else "An optimizer that divides the size of the gradient out, as Adam does, trains it at "
        "the same rate nearly as it trains the other loss."
    )
    note = (
        "Each of these losses has the gradient of another one, times a number. So it gets no "
        f"verdict, and is trained once to check that. {alike}{_control(summary)} Gradients differ "
        "by: relative to the largest gradient."
    )
    if "bce" in summary["identities"]:
        note += (
            " bce takes probabilities: in float32 its gradient is 0 where the probability rounds "
            "to 1, for z above 17."
        )
    return note


def _control(summary: dict[str, Any]) -> str:
    """Say which losses are the control, and how far they end from the loss that they equal."""
    same = {name: each for name, each in summary["identities"].items() if each["factor"] == 1}
    if not same:
        return ""
    pairs = [(each["test_accuracy"], each["test_accuracy_of_other"]) for each in same.values()]
    apart = [abs(own - other) for own, other in pairs if None not in (own, other)]
    ends = f": here they end at most {percent(max(apart))} points apart" if apart else ""
    others = " and ".join(sorted({each["of"] for each in same.values()}))
    return (
        f" The control (A/A) is {', '.join(same)}: with \N{MULTIPLICATION SIGN} 1 they train as "
        f"{others} does but for rounding{ends}, with the same seed."
    )


def identities_blocks(summary: dict[str, Any], optimizer: str) -> list[Block]:
    """Return heading, table and text; nothing if no loss is a multiple of another."""
    if not summary["identities"]:
        return []
    return [
        Heading("Same gradient, another name"),
        identities_table(summary),
        Paragraph(identities_note(summary, optimizer), faint=True),
    ]
