"""torch's operations on placeholders, by their names in torch: what formulas may use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

Placeholder = Any
"""A `trace.Placeholder`; that module imports this one."""


def _unary(op: str) -> Callable[..., Placeholder]:
    def apply(x: Placeholder) -> Placeholder:
        return x.tracer.apply(op, x)

    return apply


def _binary(op: str) -> Callable[..., Placeholder]:
    def apply(a: Any, b: Any) -> Placeholder:
        tracer = (a if hasattr(a, "tracer") else b).tracer
        return tracer.apply(op, a, b)

    return apply


def _same(x: Placeholder, *_: Any, **__: Any) -> Placeholder:
    return x


def _where(condition: Placeholder, x: Any, y: Any) -> Placeholder:
    return condition.tracer.apply("where", condition, x, y)


def _to(x: Placeholder, dtype: torch.dtype, **_: Any) -> Placeholder:
    if dtype == torch.bfloat16:
        return x.tracer.apply("round_to_bfloat16", x)
    if x.base.sort == "bool":
        return _where(x, 1.0, 0.0)
    float64 = dtype == torch.float64 and x.tracer.dtype != torch.float64
    return x.tracer.apply("upcast" if float64 else "downcast", x)


def _power(x: Placeholder, exponent: float) -> Placeholder:
    if exponent == int(exponent) and 0 <= exponent <= 8:
        found = x.tracer.of(1.0)
        for _ in range(int(exponent)):
            found = found * x
        return found
    if exponent == 0.5:
        return x.tracer.apply("sqrt", x)
    return x.tracer.apply("pow", x, exponent)


def _scatter(x: Placeholder, _dim: int, index: Placeholder, source: Any) -> Placeholder:
    return x.with_element(index.base, x.tracer.of(source).base)


def _gather(x: Placeholder, _dim: int, index: Placeholder) -> Placeholder:
    return type(x)(x.tracer, x.element(index.base))


def _full_like(x: Placeholder, fill: Any, dtype: Any = None) -> Placeholder:
    return x.tracer.of(bool(fill) if dtype == torch.bool else fill)


def _log_sigmoid(z: Placeholder) -> Placeholder:
    # min(z, 0) - ln(1 + exp(-|z|))
    return z.tracer.apply("min", z, 0.0) - z.tracer.apply("log1p_exp_neg_abs", z)


def _amax(x: Placeholder, _dim: int, keepdim: bool = False) -> Placeholder:
    del keepdim
    return x.tracer.amax(x)


def _argmax(x: Placeholder, _dim: int, keepdim: bool = False) -> Placeholder:
    del keepdim
    return x.tracer.argmax(x)


def _max(x: Placeholder, _dim: int, keepdim: bool = False) -> tuple[Placeholder, Placeholder]:
    del keepdim
    return x.tracer.amax(x), x.tracer.argmax(x)


def _sum(x: Placeholder, _dim: int, keepdim: bool = False) -> Placeholder:
    del keepdim
    return x.tracer.sum(x)


def _any(x: Placeholder, _dim: int, keepdim: bool = False) -> Placeholder:
    return _sum(_where(x, 1.0, 0.0), -1, keepdim) > 0


def _logsumexp(z: Placeholder, _dim: int, keepdim: bool = False) -> Placeholder:
    del keepdim
    largest, others = z.tracer.amax(z), z.tracer.softmax_parts(z).others
    # A row of nothing but -inf has no exponentials.
    finite = largest + z.tracer.apply("log1p", others)
    return _where(z.tracer.apply("isinf", largest), largest, finite)


def _softmax(z: Placeholder, _dim: int) -> Placeholder:
    p: Any = z.tracer.softmax_parts(z).p
    return p


OPERATIONS: dict[str, Callable[..., Any]] = {
    **{
        name: _unary(name)
        for name in (
            *("abs", "exp", "expm1", "isinf", "isnan", "log", "log1p", "neg", "sigmoid", "sign"),
            *("sqrt", "tanh"),
        )
    },
    **{name: _binary(name) for name in ("add", "sub", "mul", "div")},
    "amax": _amax,
    "any": _any,
    "argmax": _argmax,
    "clamp_max": _binary("min"),
    "clamp_min": _binary("max"),
    "detach": _same,
    "double": lambda x: _to(x, torch.float64),
    "expand_as": _same,
    "full_like": _full_like,
    "gather": _gather,
    "isfinite": lambda x: x.tracer.apply("abs", x) < float("inf"),
    "log_sigmoid": _log_sigmoid,
    "logsumexp": _logsumexp,
    "max": _max,
    "ones_like": lambda x, dtype=None: _full_like(x, 1.0, dtype),
    "pow": _power,
    "relu": lambda x: x.tracer.apply("max", x, 0.0),
    "softmax_parts": lambda z: z.tracer.softmax_parts(z),
    "scatter": _scatter,
    "softmax": _softmax,
    "square": lambda x: x * x,
    "squeeze": _same,
    "stack": lambda parts, _dim: parts[0].tracer.stack(parts),
    "sum": _sum,
    "to": _to,
    "unsqueeze": _same,
    "where": _where,
    "zeros_like": lambda x: _full_like(x, 0.0),
}
"""Name -> how the operation is recorded."""
