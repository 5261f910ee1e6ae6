"""Value and gradient of the formulas in `formulas.py`, exact enough for any float.

The gradient is a central difference with a step of 1e-60, which leaves 40 digits of anything that
float32 can hold: one formula a loss is all that has to be trusted.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from .formulas import ONE, ROWS, SLOPES, Number, Row, kept, m

STEP = m.mpf(10) ** -60
# A step between two gradients, far above what the other step leaves uncertain.
NEAR = m.mpf(10) ** -30
# Infinity, for the limit there.
FAR = m.mpf(10) ** 40


class Truth(NamedTuple):
    """A loss's value and its derivatives; None where a derivative jumps."""

    value: Number
    gradient: tuple[Number, ...]


def known() -> frozenset[str]:
    """The names of the losses that there is a formula of."""
    return frozenset(ONE) | frozenset(ROWS)


def truth(name: str, x: Iterable[Number], t: Iterable[Number]) -> Truth:
    """Value and gradient of the loss `name` of one example.

    Args:
        name: one of `known()`.
        x: the number that the loss takes, or one for each class; infinite ones are a limit.
        t: the target, or one for each class: for a class index the row that is 1 there, for a
            list of labels the row that is 1 at each of them.
    """
    given = tuple(map(m.mpf, x))
    numbers = tuple(m.sign(a) * FAR if m.isinf(a) else a for a in given)
    targets = tuple(map(m.mpf, t))
    value = _value(name, numbers, targets)
    if name in SLOPES:
        found = Truth(value, (SLOPES[name](numbers[0], targets[0]),))
    else:
        slopes = (_slope(name, numbers, targets, at, value) for at in range(len(numbers)))
        found = Truth(value, tuple(slopes))
    if numbers == given:
        return found
    return Truth(_end(found.value), tuple(g if g is None else _end(g) for g in found.gradient))


@kept
def sensitivity(name: str, x: Row, t: Row) -> tuple[Number, Number]:
    """How large a value, and a gradient's largest entry, are to be taken for where they cross zero.

    Close to a zero crossing a value is the difference of larger numbers, and not even exact
    arithmetic on rounded ones has its digits. Two things show how large these are: how far value
    and gradient move when a soft target moves by its own size, sum_c t_c |dL/dt_c|, which for
    cross-entropy is the sum of its terms; and a tenth of how far they move when a logit moves by
    1, which is more than the value itself only where that comes of a difference.
    """
    x, t = tuple(map(m.mpf, x)), tuple(map(m.mpf, t))
    here = truth(name, x, t)
    size = sum(abs(g) for g in here.gradient if g is not None) / 10
    steepness = m.mpf(0)
    for at, number in enumerate(x):
        moved = truth(name, (*x[:at], number + NEAR, *x[at + 1 :]), t)
        steepness += _distance(moved, here) / NEAR / 10
    for at, target in enumerate(t):
        if target not in (-1, 0, 1):
            moved = truth(name, x, (*t[:at], target * (1 + NEAR), *t[at + 1 :]))
            size += abs(moved.value - here.value) / NEAR
            steepness += _distance(moved, here) / NEAR
    return size, steepness


def _distance(a: Truth, b: Truth) -> Number:
    """The largest difference of the gradients."""
    pairs = zip(a.gradient, b.gradient, strict=True)
    moved = (abs(x - y) for x, y in pairs if x is not None and y is not None)
    return max(moved, default=m.mpf(0))


def _value(name: str, x: Row, t: Row) -> Number:
    return ROWS[name](x, t) if name in ROWS else ONE[name](x[0], t[0])


def _slope(name: str, x: Row, t: Row, at: int, here: Number) -> Number:
    def beside(step: Number) -> Number:
        return _value(name, (*x[:at], x[at] + step, *x[at + 1 :]), t)

    right, left = (beside(STEP) - here) / STEP, (here - beside(-STEP)) / STEP
    # Where the second derivative jumps they differ by as much as the step.
    jumps = abs(right - left) > max(abs(right) * 1e-20, m.mpf(10) ** -50)
    return None if jumps else (right + left) / 2


def _end(x: Number) -> Number:
    """What x, of a logit of size `FAR`, tends to."""
    return m.sign(x) * m.inf if abs(x) > 1e15 else m.mpf(0) if abs(x) < 1e-15 else x
