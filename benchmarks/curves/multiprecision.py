"""Tensors of numbers of many digits, on which the textbook formulas run as they stand.

torch's functions find a `Precise` among their arguments and leave the work to `FUNCTIONS`.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import numpy as np
from mpmath import mp

DIGITS = 160
m: Any = mp.clone()  # a context of its own, because precision is global
m.dps = DIGITS

Number = Any
cached = lru_cache(maxsize=100_000)


class Precise:
    """A tensor of numbers of many digits, or of truth values.

    Args:
        numbers: a number, or nested lists or an array of numbers.
    """

    def __init__(self, numbers: Any) -> None:
        self.numbers = np.asarray(numbers, dtype=object)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.numbers.shape

    @classmethod
    def __torch_function__(
        cls, function: Any, _types: Any, arguments: Any = (), kwargs: Any = None
    ) -> Any:
        name = getattr(function, "__name__", str(function))
        if name not in FUNCTIONS:
            raise NotImplementedError(f"{__name__} has no {name} of torch: add it")
        return FUNCTIONS[name](*arguments, **(kwargs or {}))

    def __getattr__(self, name: str) -> Any:
        if name not in FUNCTIONS:
            raise AttributeError(f"{__name__} has no {name} of torch: add it")
        return partial(FUNCTIONS[name], self)

    def __add__(self, other: Any) -> Precise:
        return _add(self, other)

    def __radd__(self, other: Any) -> Precise:
        return _add(other, self)

    def __sub__(self, other: Any) -> Precise:
        return _subtract(self, other)

    def __rsub__(self, other: Any) -> Precise:
        return _subtract(other, self)

    def __mul__(self, other: Any) -> Precise:
        return _multiply(self, other)

    def __rmul__(self, other: Any) -> Precise:
        return _multiply(other, self)

    def __truediv__(self, other: Any) -> Precise:
        return _divide(self, other)

    def __rtruediv__(self, other: Any) -> Precise:
        return _divide(other, self)

    def __pow__(self, other: Any) -> Precise:
        return _power(self, other)

    def __neg__(self) -> Precise:
        return -1 * self

    def __gt__(self, other: Any) -> Precise:
        return _greater(self, other)

    def __eq__(self, other: object) -> Precise:  # type: ignore[override]
        return _equal(self, other)

    __hash__ = object.__hash__


def of_each(function: Callable[..., Number], count: int = 1) -> Callable[..., Precise]:
    """Return a function of `count` numbers as one of tensors and numbers."""
    apply = np.frompyfunc(function, count, 1)

    def of_tensors(*arguments: Any) -> Precise:
        return Precise(apply(*(x.numbers if isinstance(x, Precise) else x for x in arguments)))

    return of_tensors


@cached
def _exp_of(x: Number, _precision: int) -> Number:
    return m.exp(x)


@cached
def _ln_of(x: Number, _precision: int) -> Number:
    # To the left of 0 there is a number where a difference is taken at 0.
    return m.log(x) if x > 0 else -m.inf


def _exp(x: Number) -> Number:
    return _exp_of(x, m.prec)


def _ln(x: Number) -> Number:
    return _ln_of(x, m.prec)


def _power(x: Precise, exponent: Number) -> Precise:
    # A whole exponent that was rounded, such as 1 / (1.2 - 1), is whole again: powers are faster.
    whole = int(m.nint(exponent))
    near = abs(exponent - whole) < m.mpf(10) ** (20 - m.dps)
    return of_each(operator.pow, 2)(x, whole if near else exponent)


_add, _subtract = of_each(operator.add, 2), of_each(operator.sub, 2)
_multiply, _divide = of_each(operator.mul, 2), of_each(operator.truediv, 2)
_greater, _equal = of_each(operator.gt, 2), of_each(operator.eq, 2)
exp, log = of_each(_exp), of_each(_ln)


def _sum(x: Precise, dim: int, keepdim: bool = False) -> Precise:
    return Precise(x.numbers.sum(axis=dim, keepdims=keepdim))


def _softmax(z: Precise, dim: int) -> Precise:
    e = exp(z)
    return e / _sum(e, dim, keepdim=True)


FUNCTIONS: dict[str, Callable[..., Precise]] = {
    "abs": of_each(m.fabs),
    "amax": lambda x, dim, keepdim=False: Precise(x.numbers.max(axis=dim, keepdims=keepdim)),
    "argmax": lambda x, dim, keepdim=False: Precise(x.numbers.argmax(axis=dim, keepdims=keepdim)),
    "clamp_max": of_each(min, 2),
    "clamp_min": of_each(max, 2),
    "exp": exp,
    "gather": lambda x, dim, index: Precise(
        np.take_along_axis(x.numbers, index.numbers.astype(int), dim)
    ),
    "log": log,
    "log_sigmoid": of_each(lambda z: -_ln(1 + _exp(-z))),
    "log_softmax": lambda z, dim: log(_softmax(z, dim)),
    "logsumexp": lambda z, dim: log(_sum(exp(z), dim)),
    "mean": lambda x, dim: _sum(x, dim) / x.shape[dim],
    "relu": of_each(lambda x: max(x, 0)),
    "roll": lambda x, shift, dim: Precise(np.roll(x.numbers, shift, dim)),
    "sigmoid": of_each(lambda z: 1 / (1 + _exp(-z))),
    "softmax": _softmax,
    "sqrt": of_each(m.sqrt),
    "square": lambda x: x * x,
    "squeeze": lambda x, dim: Precise(x.numbers.squeeze(dim)),
    "stack": lambda parts, dim: Precise(np.stack([x.numbers for x in parts], dim)),
    "sum": _sum,
    "tanh": of_each(m.tanh),
    "unsqueeze": lambda x, dim: Precise(np.expand_dims(x.numbers, dim)),
    "where": of_each(lambda condition, x, y: x if condition else y, 3),
    "xlogy": of_each(lambda x, y: x * _ln(y) if x else m.mpf(0), 2),
}
"""torch's functions and methods by their names."""
