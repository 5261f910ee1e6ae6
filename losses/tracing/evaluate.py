"""Evaluation of a traced formula by torch's operations.

A number per class is a tensor (..., C), a number per row a tensor (..., 1). Because tracing keeps
the right class apart, a class index costs no row of targets.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..softmax import exponential, exponentials
from .graph import COMPARISONS, Node, topological
from .trace import Placeholder, Setting, Tracer

Formula = Callable[..., Tensor]


class Traced(NamedTuple):
    """A traced formula, and the nodes that it needs, operands first."""

    result: Placeholder
    nodes: list[Node]


@lru_cache(maxsize=4096)
def traced(
    formula: Formula, inputs: tuple[str, ...], settings: tuple[float, ...], dtype: torch.dtype
) -> Traced:
    """Trace a formula.

    Args:
        inputs: what its tensors are, in order: 'z', 't' and 'v', a number per class; 'y', the class
            index in the place of a row of targets; 'w', a number per class for all rows; and
            what else `Tracer.input` has.
    """
    tracer = Tracer(dtype)
    arguments = [tracer.input(name) for name in inputs]
    numbers = (Setting(x) if isinstance(x, float) else x for x in settings)
    # A subclass of Tensor switches off __torch_function__, by which placeholders record.
    with torch._C._EnableTorchFunction():
        result = formula(*arguments, *numbers)
    if not isinstance(result, Placeholder):
        raise TypeError(f"{formula} returns no tensor: {result!r}")
    return Traced(result, topological([result.base, *result.at, *result.at.values()]))


def evaluate(
    formula: Formula,
    names: tuple[str, ...],
    tensors: tuple[Tensor, ...],
    settings: tuple[Any, ...],
    *,
    per_row: bool,
) -> Tensor:
    """Return `formula(*tensors, *settings)`, where a 'y' among the names is a class index.

    Args:
        names: as the inputs of `traced`.
        per_row: whether the result is a number per row, or per class.
    """
    z = tensors[0]
    trace = traced(formula, names, settings, z.dtype)
    given = dict(zip(names, tensors, strict=True))
    given["y"] = given["y"].unsqueeze(-1)
    values: dict[Any, Any] = {}
    for node in trace.nodes:
        values[node] = _value(node, values, given)
    found = values[trace.result.base]
    if per_row:
        return found.squeeze(-1)  # type: ignore[no-any-return]
    full = _full(found, z)
    for index, node in trace.result.at.items():
        full = full.scatter(-1, values[index], values[node])
    if not trace.result.at:
        # The result has the batch dimensions of the index, also where it does not depend on it.
        full = full.scatter(-1, given["y"], full.gather(-1, given["y"]))
    return full


def _value(node: Node, values: dict[Any, Any], given: dict[str, Tensor]) -> Any:
    """Compute a node: a tensor, or a Python number."""
    operands = [values[x] for x in node.operands]
    z = given["z"]
    match node.op:
        case "const" | "setting":
            return node.args[0]
        case "input":
            return z.shape[-1] if node.args[0] == "classes" else given[node.args[0]]
        case "element":
            memory, index = operands
            return _full(memory, z).gather(-1, index)
        case "buffer":
            return _with_elements(_full(operands[0], z), operands[1:])
        case "sum":
            return _left_out(operands, z, 0.0).sum(-1, keepdim=True)
        case "amax":
            return _left_out(operands, z, -torch.inf).amax(-1, keepdim=True)
        case "argmax":
            return operands[0].argmax(-1, keepdim=True)
        case "largest":
            return operands[0].amax(-1, keepdim=True)
        case "others":
            return _exponentials(node.args[0], values)[1]
        case "exponential" if node.per == "row":
            return exponential(*operands)
        case "exponential":
            return _exponentials(node.args[0], values)[0]
        case "where":
            return _where(*operands, like=z)
        case "max" | "min":
            return _bounded(node.op, *operands)
        case "upcast":
            return operands[0].double()
        case "downcast":
            return operands[0].to(z.dtype)
    return OPERATIONS[node.op](*operands)


def _of_numbers(function: Callable[[Tensor], Tensor]) -> Callable[[Any], Any]:
    """Return a function of tensors that also takes Python numbers."""

    def apply(x: Any) -> Any:
        if isinstance(x, Tensor):
            return function(x)
        return function(torch.tensor(x, dtype=torch.float64)).item()

    return apply


OPERATIONS: dict[str, Callable[..., Any]] = {
    **{name: getattr(operator, name) for name in ("add", "sub", "mul", "neg", "abs", "pow")},
    **{name: getattr(operator, name) for name in COMPARISONS},
    **{
        name: _of_numbers(getattr(torch, name))
        for name in ("exp", "expm1", "log", "log1p", "sigmoid", "sign", "sqrt", "tanh", "isinf")
    },
    "and": operator.and_,
    "decay": lambda x: torch.exp(-x),
    "div": operator.truediv,
    "exp_of_sum": lambda a, b: torch.exp(a) * torch.exp(b),
    "isnan": torch.isnan,
    "log1p_exp_neg_abs": lambda x: torch.log1p(torch.exp(-x.abs())),
    "not": torch.logical_not,
    "or": operator.or_,
    "round_to_bfloat16": lambda x: x.to(torch.bfloat16).to(x.dtype),
    "same": operator.eq,
}
"""Elementwise operations of tensors and Python numbers."""


def _full(x: Any, z: Tensor) -> Tensor:
    """Return x, a number or a tensor, in the shape of z."""
    return x.expand(z.shape) if isinstance(x, Tensor) else torch.full_like(z, x)


def _with_elements(full: Tensor, pairs: list[Any]) -> Tensor:
    for index, source in zip(pairs[::2], pairs[1::2], strict=True):
        full = full.scatter(-1, index, source)
    return full


def _left_out(operands: list[Any], z: Tensor, neutral: float) -> Tensor:
    x, *indices = operands
    full = _full(x, z)
    for index in indices:
        full = full.scatter(-1, index, neutral)
    return full


def _exponentials(memory: Node, values: dict[Any, Any]) -> tuple[Tensor, Tensor]:
    """Return the exponentials of a row, and their sum without the largest; computed once."""
    key = ("exponentials", memory)
    if key not in values:
        _, top, rest, others = exponentials(values[memory])
        values[key] = rest.scatter(-1, top, 1.0), others
    return values[key]  # type: ignore[no-any-return]


def _where(condition: Any, x: Any, y: Any, *, like: Tensor) -> Tensor:
    # Of two numbers torch.where makes a tensor of the default dtype.
    if not isinstance(x, Tensor) and not isinstance(y, Tensor) and not isinstance(x, bool):
        x = torch.full((), x, dtype=like.dtype, device=like.device)
    return torch.where(condition, x, y)


def _bounded(op: str, x: Any, bound: Any) -> Any:
    if not isinstance(x, Tensor) and not isinstance(bound, Tensor):
        return max(x, bound) if op == "max" else min(x, bound)
    if not isinstance(bound, Tensor):
        return x.clamp_min(bound) if op == "max" else x.clamp_max(bound)
    if not isinstance(x, Tensor):
        return _bounded(op, bound, x)
    return torch.maximum(x, bound) if op == "max" else torch.minimum(x, bound)
