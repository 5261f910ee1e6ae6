"""A row of the speed table: a ratio, measured interleaved in one process unless its name says
otherwise, and a target."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from .interleaved import Ratio, Work


@dataclass(frozen=True)
class Row:
    """A figure and what it should be: at most `target`, or at least it."""

    group: str
    name: str
    measure: Callable[[float], Ratio]
    target: float
    at_least: bool = False
    unit: str = ""

    def met(self, found: Ratio) -> bool:
        return found.median >= self.target if self.at_least else found.median <= self.target

    @property
    def wanted(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.target:g}{self.unit}"


def forward_backward(loss: Callable[..., Tensor], z: Tensor, *target: Tensor) -> Work:
    z = z.detach().requires_grad_()
    return lambda: torch.autograd.grad(loss(z, *target), z)
