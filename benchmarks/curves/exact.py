"""Value and gradient of the textbook formulas, exact enough for any float.

The gradient is a central difference whose step has three eighths of the digits: with 160 digits it
is 1e-60, which leaves 40 correct digits over the range of float32. So only one formula per loss has
to be trusted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from lossbench.losses import Entry, registry

from .multiprecision import DIGITS, Number, Precise, cached, m

Numbers = tuple[Any, ...]
# Step of the differences in `sensitivity`, far larger than the error that those of `truth` leave.
NEAR = m.mpf(10) ** -30
# Stands for infinity, where a limit is computed.
FAR = m.mpf(10) ** 40
SLOPES: dict[str, Callable[[Number, Number], Number]] = {
    # torch bounds this gradient by definition: it is not the derivative of the value.
    "bce": lambda x, t: (x - t) / max(x * (1 - x), m.mpf(10) ** -12),
}


class Truth(NamedTuple):
    """Exact value of a loss and its derivatives; None where a derivative jumps."""

    value: Number
    gradient: tuple[Number, ...]


def truth(
    name: str,
    x: Iterable[Number],
    t: Iterable[Number],
    digits: int = DIGITS,
    **settings: Any,
) -> Truth:
    """Return value and gradient of a loss of one example.

    Args:
        name: of the loss, which has a textbook formula.
        x: the number that the loss takes, or one per class; at infinite ones, the result is the
            limit.
        t: the target, or one per class: one-hot for a class index, and 1 at each label for a list
            of labels.
        digits: of the arithmetic; 400 are enough for float64.
        settings: of the loss, over those of the entry.
    """
    with m.workdps(digits):
        return _truth(registry.entry(name), x, t, settings)


def _truth(
    entry: Entry, x: Iterable[Number], t: Iterable[Number], settings: dict[str, Any]
) -> Truth:
    inputs = tuple(map(m.mpf, x))
    numbers = tuple(m.sign(a) * FAR if m.isinf(a) else a for a in inputs)
    targets = tuple(map(m.mpf, t))
    assert entry.textbook is not None
    known = entry.textbook_settings(**settings)
    formula = partial(entry.textbook, **{name: _exactly(known[name]) for name in known})
    right, left, value = _around(formula, entry.task == "binary", numbers, targets)
    if entry.name in SLOPES:
        exact = Truth(value, (SLOPES[entry.name](numbers[0], targets[0]),))
    else:
        exact = Truth(value, tuple(map(_slope, right, left)))
    if numbers == inputs:
        return exact
    return Truth(_limit(exact.value), tuple(g if g is None else _limit(g) for g in exact.gradient))


@cached
def sensitivity(name: str, x: Numbers, t: Numbers) -> tuple[Number, Number]:
    """Return the sizes of the terms behind a value, and behind its gradient's largest entry.

    Close to a zero crossing a value is the difference of larger terms, and rounded inputs do not
    determine its digits. An error is then relative to the size of those terms. Two changes
    estimate it: that of value and gradient when a soft target changes by its own size,
    sum_c t_c |dL/dt_c|, which for cross-entropy is the sum of its terms; and a tenth of that when
    a logit changes by 1, which exceeds the value only where the value is a difference.
    """
    x, t = tuple(map(m.mpf, x)), tuple(map(m.mpf, t))
    exact = truth(name, x, t)
    size = sum(abs(g) for g in exact.gradient if g is not None) / 10
    steepness = m.mpf(0)
    for at, number in enumerate(x):
        changed = truth(name, (*x[:at], number + NEAR, *x[at + 1 :]), t)
        steepness += _distance(changed, exact) / NEAR / 10
    for at, target in enumerate(t):
        if target not in (-1, 0, 1):
            changed = truth(name, x, (*t[:at], target * (1 + NEAR), *t[at + 1 :]))
            size += abs(changed.value - exact.value) / NEAR
            steepness += _distance(changed, exact) / NEAR
    return size, steepness


def _distance(a: Truth, b: Truth) -> Number:
    """Return the largest difference of two gradients."""
    columns = zip(a.gradient, b.gradient, strict=True)
    differences = (abs(x - y) for x, y in columns if x is not None and y is not None)
    return max(differences, default=m.mpf(0))


def _exactly(setting: Any) -> Any:
    """Return a setting as it is written, 0.7 as 7/10."""
    return m.mpf(repr(setting)) if isinstance(setting, float) else setting


def _around(
    formula: Callable[[Any, Any], Any], single: bool, x: Numbers, t: Numbers
) -> tuple[list[Number], list[Number], Number]:
    """Return the differences of the value to the right and to the left of every number over a
    small step, and the value."""
    step = m.mpf(10) ** -(3 * m.dps // 8)
    steps = step * np.eye(len(x), dtype=int)
    rows = np.array(x, dtype=object) + np.concatenate([steps, -steps, 0 * steps[:1]])
    targets = np.broadcast_to(np.array(t, dtype=object), rows.shape)
    if single:
        rows, targets = rows[:, 0], targets[:, 0]
    found = formula(Precise(rows), Precise(targets)).numbers
    # A loss of elements is summed over a row.
    *values, value = map(m.mpf, found.sum(-1) if found.ndim > 1 else found)
    right, left = values[: len(x)], values[len(x) :]
    return [(v - value) / step for v in right], [(value - v) / step for v in left], value


def _slope(right: Number, left: Number) -> Number:
    # At a kink of the gradient alone right and left differ by about the step, which is allowed.
    jumps = abs(right - left) > max(abs(right) * 1e-20, m.mpf(10) ** -50)
    return None if jumps else (right + left) / 2


def _limit(x: Number) -> Number:
    """Return the limit at infinity of a quantity that is x at a logit of size `FAR`."""
    return m.sign(x) * m.inf if abs(x) > 1e15 else m.mpf(0) if abs(x) < 1e-15 else x
