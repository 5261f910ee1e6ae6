"""The table of results of a comparison, and the notes on it."""

from __future__ import annotations

from typing import Any

from lossbench.benchmarks.config import REFERENCE
from lossbench.benchmarks.format import (
    MISSING,
    indefinite_article,
    interval_points,
    magnitude,
    percent,
    plural,
)
from lossbench.benchmarks.plots.canvas import SYNTHETIC
from lossbench.benchmarks.stats.verdict import MINIMUM_SEEDS

from .differences import MARGIN, SIGNIFICANCE, compared, verdict_words
from .document import Table, synthetic_title
from .identities import same_gradient
from .lead import start_words, what_was_compared

COLUMNS = (
    "loss",
    "test accuracy, %",
    "minus cross-entropy, points",
    "verdict",
    "mean |dL/dz|, first → last",
    "|dL/dz| when wrong, last",
    "below 1e-6 when wrong, %",
    "parameter gradient, first → last",
    "images/s",
)

GRADIENT_NOTE = (
    "dL/dz: gradient of the loss of one example with respect to its logit. When wrong: over "
    "wrongly classified examples. Below 1e-6: share of these at the end. Parameter "
    "gradient: norm over all parameters. First: the first batch. Last: mean over the steps since "
    "the last evaluation but one."
)

WOULD_DECIDE = "in 4 of 5 such comparisons if difference and spread are as seen here"
"""What a number of seeds or images that would decide promises."""


def comparison_title(summary: dict[str, Any]) -> str:
    """Return the title of a comparison: losses and classes, the start, and the name given to it."""
    title = f"{what_was_compared(summary)}, from {start_words(summary)}"
    # Of several experiments made together, each is named like its start.
    if (name := str(summary["experiment"])) != summary["start"]:
        title += f" ({name})"
    return synthetic_title(title, summary["synthetic"])


def rows(summary: dict[str, Any]) -> list[tuple[str, ...]]:
    """Return the cells per loss, by falling accuracy, and the chance level as the last row."""
    losses = sorted(
        summary["losses"].items(), key=lambda item: (-(item[1]["test_accuracy"]["mean"] or 0), item)
    )
    chance = ("chance", percent(summary["chance"]), *[""] * (len(COLUMNS) - 2))
    return [*(_cells(name, loss) for name, loss in losses), chance]


def results_table(summary: dict[str, Any]) -> Table:
    """Build the table with all columns, for a page."""
    *losses, chance = rows(summary)
    warning = SYNTHETIC if summary["synthetic"] else None
    blank = ("",) * (len(COLUMNS) - 4)
    identities = tuple(
        (name, percent(each["test_accuracy"]), "", same_gradient(each), *blank)
        for name, each in summary["identities"].items()
    )
    return Table(COLUMNS, tuple(losses), (*identities, chance), warning)


def short_table(summary: dict[str, Any]) -> Table:
    """Build the table of a confidently wrong start that README shows: three columns.

    The gradient is that of the first batch, over the wrongly classified examples.
    """
    gradients = {
        name: magnitude(loss["gradient"]["logit_when_wrong"]["first"])
        for name, loss in summary["losses"].items()
    }
    found = tuple((name, right, gradients.get(name, "")) for name, right, *_ in rows(summary))
    heading = "gradient |dL/dz| when confidently wrong"
    return Table(("loss", "test accuracy, %", heading), found[:-1], found[-1:])


def notes(summary: dict[str, Any]) -> list[str]:
    """Return what a reader must know about the numbers, one paragraph per topic."""
    losses = summary["losses"]
    lines = [summary["note"]] if summary["synthetic"] else []
    lines += [*_interval_notes(losses), GRADIENT_NOTE]
    if "mse" in losses:
        lines.append(f"mse fits the raw output, {_mse_targets(summary['classes'])}.")
    for name, loss in losses.items():
        if seeds := ", ".join(map(str, loss["test_accuracy"].get("diverged", []))):
            lines.append(f"{name} has diverged with seed {seeds}, which counts as chance.")
    if unfinished := summary["unfinished_runs"]:
        begun = [run for run in unfinished if run["failure"] or run["epoch"] is not None]
        runs = [_describe_unfinished(run) for run in begun]
        if waiting := len(unfinished) - len(begun):
            runs.append(f"{plural(waiting, 'run')} not started")
        lines.append(
            f"Unfinished runs (of {summary['epochs']} epochs) are left out: {', '.join(runs)}."
        )
    return lines


def _interval_notes(losses: dict[str, Any]) -> list[str]:
    seeds = {loss["test_accuracy"]["n"] for loss in losses.values()}
    accuracy = "Accuracy on the test images, which are used once, after the last epoch"
    if max(seeds) < 2:
        return [f"{accuracy}. No intervals: they need at least 2 finished seeds."]
    lines = [
        f"{accuracy}: mean ± half the 95 % t interval over {seed_range(seeds)}. The difference to "
        "cross-entropy is paired by seed."
    ]
    differences = compared({"losses": losses})
    if differences:
        lines.append(
            f"Equivalent: the 90 % interval of the difference lies within ±{100 * MARGIN:g} "
            "points, too little to matter, even if it is not 0. Else better or worse: p that there "
            "is no difference, Holm-corrected for all losses compared, is below "
            f"{SIGNIFICANCE:g}; better or worse before correction: the 95 % interval excludes 0, "
            "but not so corrected. Intervals and p allow for other seeds and other test images. "
            f"With fewer than {MINIMUM_SEEDS} seeds nothing is decided."
        )
    if without := [name for name, each in differences.items() if not each["images"]]:
        lines.append(f"Undecided for want of predictions.npz: {', '.join(without)}.")
    if any(_agrees(loss["test_accuracy"]) for loss in losses.values()):
        lines.append("± 0.0 says that these seeds agree, not that others would.")
    if single := [name for name, loss in losses.items() if loss["test_accuracy"]["n"] < 2]:
        lines.append(f"No interval with fewer than 2 finished seeds: {', '.join(single)}.")
    return lines


def _agrees(accuracy: dict[str, Any]) -> bool:
    """Return whether all seeds have the same accuracy."""
    return accuracy["low"] is not None and accuracy["high"] - accuracy["low"] < 1e-9


def _describe_unfinished(run: dict[str, Any]) -> str:
    at = "" if run["epoch"] is None else f" at epoch {run['epoch']:g}"
    state = f" failed{at} with {run['failure']}" if run["failure"] else at
    return f"{run['loss']} seed {run['seed']}{state}"


def _mse_targets(classes: list[str]) -> str:
    if len(classes) == 2:
        return "to \N{MINUS SIGN}1 for {} and +1 for {}".format(*map(indefinite_article, classes))
    return "to +1 for the target class and \N{MINUS SIGN}1 for every other"


def seed_range(counts: set[int]) -> str:
    """Format numbers of seeds: '1 seed', '3 seeds', '1 to 3 seeds'."""
    span = " to ".join(map(str, sorted({min(counts), max(counts)})))
    return f"{span} seed" if span == "1" else f"{span} seeds"


def _cells(name: str, loss: dict[str, Any]) -> tuple[str, ...]:
    gradient, difference = loss["gradient"], loss["minus_cross_entropy"]
    speed = loss["images_per_second"]
    return (
        name,
        _accuracy(loss["test_accuracy"]),
        "reference" if name == REFERENCE else interval_points(difference, signed=True),
        verdict_words(difference) if difference else "",
        _first_to_last(gradient["logit_mean_abs"]),
        magnitude(gradient["logit_when_wrong"]["last"]),
        percent(gradient["vanished_fraction"]["last"]),
        _first_to_last(gradient["parameter_norm"]),
        MISSING if speed is None else f"{speed:,.0f}",
    )


def _accuracy(accuracy: dict[str, Any]) -> str:
    """Format the accuracy of a loss, with the number of its networks that have diverged."""
    text, diverged = interval_points(accuracy), len(accuracy.get("diverged", []))
    if not diverged:
        return text
    return f"{text} ({'' if diverged == accuracy['n'] else f'{diverged} '}diverged)"


def _first_to_last(value: dict[str, float | None]) -> str:
    return f"{magnitude(value['first'])} → {magnitude(value['last'])}"
