"""torch's operations by the names of a graph's."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ...softmax import exponentials
from ...tracing.evaluate import OPERATIONS
from ...tracing.graph import COMPARISONS

SWAPPED = {"lt": "gt", "le": "ge", "gt": "lt", "ge": "le", "eq": "eq", "ne": "ne"}
UNARY = {
    **{name: getattr(torch, name) for name in ("abs", "exp", "expm1", "log", "log1p", "neg")},
    **{name: getattr(torch, name) for name in ("sigmoid", "sign", "sqrt", "tanh")},
}
BINARY = {
    **{name: getattr(torch, name) for name in ("add", "sub", "mul", "div", "pow")},
    **{name: getattr(torch, name) for name in COMPARISONS},
    "max": torch.maximum,
    "min": torch.minimum,
    "same": torch.eq,
}
CLAMPS = {"max": torch.clamp_min, "min": torch.clamp_max}
MASKS = {"and": (torch.mul, torch.logical_and), "or": (torch.maximum, torch.logical_or)}
"""Operation of truth values -> the same of zeros and ones, and of bool."""


def row_sum(x: Tensor) -> Tensor:
    return x.sum(-1, keepdim=True)


def row_amax(x: Tensor) -> Tensor:
    return x.amax(-1, keepdim=True)


def careful_exponentials(z: Tensor) -> tuple[Tensor, Tensor]:
    """Return exp(z - largest), and its sum without one of the largest numbers."""
    _, top, rest, others = exponentials(z)
    return rest.scatter(-1, top, 1.0), others


def plain_exponential(x: Tensor, largest: Tensor) -> Tensor:
    return torch.exp(x - largest)


def of_numbers(op: str, operands: list[Any]) -> Any:
    if op == "where":
        return operands[1] if operands[0] else operands[2]
    if op in ("max", "min"):
        return max(operands) if op == "max" else min(operands)
    return operands[0] if op in ("upcast", "downcast") else OPERATIONS[op](*operands)


def gather(x: Tensor, index: Tensor) -> Tensor:
    return x.gather(-1, index)
