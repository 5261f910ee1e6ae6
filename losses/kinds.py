"""Kinds of losses: what a callable of (input, target) takes, as stated in words or found by trying.

A loss is tried on inputs and targets of each kind, until it decreases as the predicted probability
of the right class rises.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from . import checks
from .entries import Entry, Takes, Target, Task

Loss = Callable[[Tensor, Tensor], Tensor]


class LossKind(NamedTuple):
    """Kind of a loss: its task, input and target, in the words of `Entry`."""

    task: Task
    takes: Takes
    target: Target

    def __str__(self) -> str:
        return ",".join(self)


# In the order in which they are tried. A loss of single numbers takes rows of numbers as well, and
# one that fits outputs to targets falls on most logits too: what takes less comes first.
KINDS = (
    LossKind("multiclass", "outputs", "index"),
    LossKind("multiclass", "logits", "index"),
    LossKind("multiclass", "log-probabilities", "index"),
    LossKind("multiclass", "probabilities", "index"),
    LossKind("binary", "outputs", "sign"),
    LossKind("binary", "logits", "probability"),
    LossKind("binary", "logits", "sign"),
    LossKind("binary", "probabilities", "probability"),
    LossKind("binary", "distances", "sign"),
    LossKind("multiclass", "outputs", "distribution"),
    LossKind("multiclass", "logits", "distribution"),
    LossKind("multiclass", "log-probabilities", "distribution"),
    LossKind("multiclass", "probabilities", "distribution"),
    LossKind("multilabel", "logits", "probability"),
    LossKind("multilabel", "logits", "labels"),
)
"""The kinds that can be stated."""

WORDS = tuple(dict.fromkeys(word for kind in KINDS for word in kind))
"""The words that state them."""

MARGINS = (-6.0, -0.5, 0.9, 1.0, 1.1, 1.5, 6.0, 30.0, 1000.0)
"""Logits of the right class at which a loss is tried."""

COPIES = 5
"""Equal examples in a batch: another number than that of the classes, which are two."""


class NoKindError(ImportError):
    """Raised when what a loss takes cannot be found out, or it fails on what it is said to take."""


def stated(words: Sequence[str]) -> tuple[LossKind, ...]:
    """Return the kinds that have all of some words, which stand in any order.

    Raises ValueError for an unknown word, or if no kind has all of them.
    """
    for word in words:
        if word not in WORDS:
            near = checks.did_you_mean(word, WORDS)
            raise ValueError(f"unknown word {word!r}: {near}use some of {', '.join(WORDS)}")
    kinds = tuple(kind for kind in KINDS if set(words) <= set(kind))
    if not kinds:
        listed = "; ".join(map(str, KINDS))
        raise ValueError(f"no loss takes {','.join(words)}: use words of one of {listed}")
    return kinds


def find_kind(loss: Loss, kinds: Sequence[LossKind], *, trusted: bool) -> tuple[LossKind, bool]:
    """Return the first of some kinds that a loss is of, by trying it.

    And whether its number for a batch is another than the mean over the examples.

    Args:
        loss: a callable of (input, target).
        kinds: those that it may be of.
        trusted: take the first one on which it does not fail, if it behaves like none of them.

    Raises:
        NoKindError: there is none, or it fails on all of them.
        TypeError: the loss adds up its examples.
    """
    errors: list[Exception] = []
    ran: list[LossKind] = []
    whole: list[LossKind] = []
    for kind in kinds:
        try:
            with warnings.catch_warnings(), torch.no_grad():
                warnings.simplefilter("ignore")
                curves = [_curve(loss, kind, label) for label in (0, 1)]
                coupled = _is_coupled(loss, kind)
        except Exception as error:  # given another kind's input, it may raise anything
            errors.append(error)
            continue
        ran.append(kind)
        if all(_fits(kind, curve) for curve in curves):
            if not coupled:
                _refuse_sums(loss, kind)
                return kind, False
            whole.append(kind)
    if found := whole or (ran if trusted else []):
        return found[0], bool(whole)
    if not ran:
        raise NoKindError(f"{type(errors[0]).__name__}: {errors[0]}".splitlines()[0])
    raise NoKindError("the loss decreases for no known input and target type")


def _batch(
    kind: LossKind, margins: Sequence[float], labels: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """Return an input and a target: the logits of the right classes, and these classes."""
    entry = Entry("tried", nn.Module, kind.task, kind.takes, (kind.target,), None, "")
    right, classes = torch.tensor(margins), torch.tensor(labels)
    if kind.task == "binary":
        logits = right * (2 * classes - 1)
    else:
        logits = torch.zeros(len(labels), 2).scatter(1, classes[:, None], right[:, None])
    return entry.input_from_logits(logits), entry.target_from_labels(classes, logits, kind.target)


def _value(loss: Loss, kind: LossKind, margins: Sequence[float], labels: Sequence[int]) -> float:
    """Return the mean loss of a batch. Raises what the loss raises, ValueError for its shape."""
    input, target = _batch(kind, margins, labels)
    each = loss(input, target)
    if not isinstance(each, Tensor) or each.shape not in {(), input.shape, input.shape[:1]}:
        raise ValueError(f"{len(input)} examples gave {getattr(each, 'shape', type(each))}")
    return float(each.sum() / len(input) if each.dim() else each)


def _curve(loss: Loss, kind: LossKind, label: int) -> dict[float, float]:
    """Return the loss at each margin for one class."""
    return {x: _value(loss, kind, [x] * COPIES, [label] * COPIES) for x in MARGINS}


def _fits(kind: LossKind, loss: dict[float, float]) -> bool:
    """Return whether a loss behaves as one of a kind does."""
    if not all(math.isfinite(loss[x]) for x in MARGINS if x < 30):
        return False
    if kind.takes == "outputs":  # 0 at the target, and more on both sides
        return abs(loss[1.0]) < 1e-6 < min(loss[0.9], loss[1.1])
    if loss[6.0] >= loss[-6.0]:
        return False
    if kind.takes != "logits":  # about 0 at the right answer: -log p and 1 - p are told apart
        return abs(loss[6.0]) < 0.02
    # -p and -log p, clamped or not, are no losses of logits: a loss does not fall for ever, nor
    # stand still everywhere but between 0 and 1.
    falls_for_ever = loss[1000.0] < loss[30.0] - 0.5
    stands_still = loss[-6.0] == loss[-0.5] and loss[1.5] == loss[6.0]
    return not (falls_for_ever or stands_still)


def _is_coupled(loss: Loss, kind: LossKind) -> bool:
    """Return whether the loss of two kinds of examples together is not the mean of their losses."""
    apart = [_value(loss, kind, [x] * 4, [label] * 4) for x, label in ((-0.5, 0), (1.5, 1))]
    together = _value(loss, kind, [-0.5, -0.5, 1.5, 1.5], [0, 0, 1, 1])
    return not math.isclose(together, sum(apart) / 2, rel_tol=1e-4, abs_tol=1e-6)


def _refuse_sums(loss: Loss, kind: LossKind) -> None:
    """Raise TypeError if twice as many examples give twice the loss."""
    few, many = (_value(loss, kind, [-0.5] * count, [1] * count) for count in (4, 8))
    if few and math.isclose(many, 2 * few, rel_tol=1e-4):
        raise TypeError("it adds up its examples: return one number per example, or their mean")
