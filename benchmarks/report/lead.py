"""Lead of a report of comparisons: a title, what was done, and what was found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lossbench.benchmarks.config import REFERENCE
from lossbench.benchmarks.format import magnitude, percent, plural
from lossbench.benchmarks.records.reading import Experiment

from .differences import compared

NAMED_LOSSES = 3
"""Losses that a title names; more are counted."""

FAR_BELOW = 0.01
"""Fraction of the gradient of cross-entropy below which a gradient is mentioned."""

STARTS = {
    "normal": "random weights",
    "confidently-wrong": "weights that make it sure of the wrong class",
}
"""What each start is, in words."""


def what_was_compared(summary: Mapping[str, Any]) -> str:
    """Return the losses and classes of a comparison: '10 losses compared on dog and cat'."""
    names = [*summary["losses"], *summary["identities"]]
    losses = listed(names) if len(names) <= NAMED_LOSSES else plural(len(names), "loss", "losses")
    classes = summary["classes"]
    on = listed(classes) if len(classes) == 2 else plural(len(classes), "class", "classes")
    return f"{losses} {'compared' if len(names) > 1 else 'trained'}{f' on {on}' * bool(classes)}"


def start_words(summary: Mapping[str, Any]) -> str:
    """Return the start of a comparison: 'a confidently wrong start'."""
    return f"a {str(summary['start']).replace('-', ' ')} start"


def done(experiment: Experiment, summaries: Sequence[Mapping[str, Any]]) -> str:
    """Say in a sentence what was done.

    Args:
        experiment: one of the comparisons.
        summaries: those of all, which differ in their start.
    """
    summary, about = summaries[0], experiment.about
    data, model = about.get("data", {}), about.get("model", {})
    losses = len(summary["losses"]) + len(summary["identities"])
    starts = [STARTS.get(str(each["start"]), str(each["start"])) for each in summaries]
    images = "SYNTHETIC images" if summary["synthetic"] else "images"
    task = listed(summary["classes"][:NAMED_LOSSES])
    if more := len(summary["classes"]) - NAMED_LOSSES:
        task = f"{len(summary['classes'])} classes" if more > 0 else task
    return (
        f"The network {model.get('name', '?')} ({plural(model.get('parameters', 0), 'parameter')}) "
        f"was trained to tell {task} apart on {data.get('train', 0):,} {images} of "
        f"{data.get('name', '?')}, for {plural(summary['epochs'], 'epoch')} with each of "
        f"{plural(losses, 'loss', 'losses')}, {plural(len(summary['seeds']), 'seed')}, starting "
        f"from {' and from '.join(starts)}."
    )


def found(summary: Mapping[str, Any]) -> str | None:
    """Say in a sentence what was found from one start; None without cross-entropy."""
    losses, differences = summary["losses"], compared(dict(summary))
    if REFERENCE not in losses or not differences:
        return None

    def named(verdict: str) -> str:
        names = [name for name, each in differences.items() if each["verdict"] == verdict]
        names.sort(key=lambda name: -abs(differences[name]["mean"]))
        return listed(f"{name} ({_accuracy(losses[name])})" for name in names) if names else ""

    images = "SYNTHETIC test images" if summary["synthetic"] else "test images"
    clauses = [
        f"From {start_words(summary)}, {REFERENCE} ends with {_accuracy(losses[REFERENCE])} of the "
        f"{images} right",
        *(f"{verdict} are {names}" for verdict in ("worse", "better") if (names := named(verdict))),
    ]
    if len(clauses) == 1:
        clauses.append("no other loss is shown to be better or worse")
    return "; ".join([*clauses, *_gradient_clause(losses)]) + "."


def _gradient_clause(losses: Mapping[str, Any]) -> list[str]:
    """Say which gradients of wrong predictions are far below that of cross-entropy at first."""
    first = {
        name: loss["gradient"]["logit_when_wrong"]["first"]
        for name, loss in losses.items()
        if loss["gradient"]["logit_when_wrong"]["first"] is not None
    }
    own = first.get(REFERENCE)
    tiny = {} if own is None else {n: v for n, v in first.items() if v < FAR_BELOW * own}
    if not tiny or own is None:
        return []
    texts = {name: _plain(value) for name, value in tiny.items()}
    each = listed(
        f"{text} with {listed(name for name, own_text in texts.items() if own_text == text)}"
        for text in dict.fromkeys(texts.values())
    )
    return [
        f"at first the gradient of wrong predictions is {_plain(own)} with {REFERENCE}, but {each}"
    ]


def _plain(value: float) -> str:
    """Format a number: from 1e-5 on without a power of ten, in which a line could be broken."""
    return f"{float(f'{value:.2g}'):.6f}".rstrip("0") if 1e-5 < value < 1e-3 else magnitude(value)


def _accuracy(loss: Mapping[str, Any]) -> str:
    return f"{percent(loss['test_accuracy']['mean'])}\N{NO-BREAK SPACE}%"


def listed(names: Iterable[str]) -> str:
    """Join names: 'a', 'a and b', 'a, b and c'."""
    *most, last = list(names) or ["nothing"]
    return f"{', '.join(most)} and {last}" if most else last
