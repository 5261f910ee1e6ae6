"""Value and gradient of the formulas in `formulas.py`, exact enough for any float.

The gradient is a central difference with a step of 1e-60, which leaves 40 correct digits over the
range of float32. So only one formula per loss has to be trusted.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from .formulas import ONE, ROWS, SLOPES, Number, Row, cached, m

STEP = m.mpf(10) ** -60
# Step of the finite differences in `sensitivity`, far larger than the error that STEP leaves.
NEAR = m.mpf(10) ** -30
# Stands for infinity, where a limit is computed.
FAR = m.mpf(10) ** 40


class Truth(NamedTuple):
    """Exact value of a loss and its derivatives; None where a derivative jumps."""

    value: Number
    gradient: tuple[Number, ...]


def known() -> frozenset[str]:
    """Return the names of the losses with a formula."""
    return frozenset(ONE) | frozenset(ROWS)


def truth(name: str, x: Iterable[Number], t: Iterable[Number]) -> Truth:
    """Return value and gradient of the loss `name` of one example.

    Args:
        name: one of `known()`.
        x: the number that the loss takes, or one per class; at infinite ones, the result is the
            limit.
        t: the target, or one per class: one-hot for a class index, and 1 at each label for a list
            of labels.
    """
    inputs = tuple(map(m.mpf, x))
    numbers = tuple(m.sign(a) * FAR if m.isinf(a) else a for a in inputs)
    targets = tuple(map(m.mpf, t))
    value = _value(name, numbers, targets)
    if name in SLOPES:
        exact = Truth(value, (SLOPES[name](numbers[0], targets[0]),))
    else:
        slopes = (_slope(name, numbers, targets, at, value) for at in range(len(numbers)))
        exact = Truth(value, tuple(slopes))
    if numbers == inputs:
        return exact
    return Truth(_limit(exact.value), tuple(g if g is None else _limit(g) for g in exact.gradient))


@cached
def sensitivity(name: str, x: Row, t: Row) -> tuple[Number, Number]:
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


def _value(name: str, x: Row, t: Row) -> Number:
    return ROWS[name](x, t) if name in ROWS else ONE[name](x[0], t[0])


def _slope(name: str, x: Row, t: Row, at: int, value: Number) -> Number:
    def shifted(step: Number) -> Number:
        return _value(name, (*x[:at], x[at] + step, *x[at + 1 :]), t)

    right, left = (shifted(STEP) - value) / STEP, (value - shifted(-STEP)) / STEP
    # At a kink of the gradient alone right and left differ by about STEP, which is allowed.
    jumps = abs(right - left) > max(abs(right) * 1e-20, m.mpf(10) ** -50)
    return None if jumps else (right + left) / 2


def _limit(x: Number) -> Number:
    """Return the limit at infinity of a quantity that is x at a logit of size `FAR`."""
    return m.sign(x) * m.inf if abs(x) > 1e15 else m.mpf(0) if abs(x) < 1e-15 else x
