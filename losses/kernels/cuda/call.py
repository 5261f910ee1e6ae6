"""Arguments of a loss, for its kernel and for double backward by its closed forms."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from ...closed_form import ClosedForms
from .source import Kernel


class Call(NamedTuple):
    """Arguments of a loss.

    Attributes:
        kernel: its functions.
        forms: its closed forms.
        closed_form: `closed_form(input, target, weight, extra, ignore_index, reduction)`, the loss
            by its closed forms.
        extra: tensor argument of the formula besides input and target, or None.
        takes_weight: whether the formula takes the weights of the classes.
        dtype: the loss's.
    """

    kernel: Kernel
    forms: ClosedForms
    closed_form: Callable[..., Tensor]
    input: Tensor
    target: Tensor
    weight: Tensor | None
    extra: Tensor | None
    reduction: str
    ignored: int
    takes_weight: bool
    dtype: torch.dtype

    @property
    def tensors(self) -> tuple[Tensor | None, ...]:
        return self.input, self.target, self.weight, self.extra

    @property
    def has_index(self) -> bool:
        """Tell if the target of a row is a class index."""
        return self.forms.rows and not self.target.is_floating_point()

    @property
    def formula_weight(self) -> Tensor | None:
        """The third tensor of the formula."""
        return self.weight if self.takes_weight else self.extra

    @property
    def factor(self) -> Tensor | None:
        """Factors of what the formula gives."""
        return None if self.takes_weight else self.weight


class Saved(NamedTuple):
    """Tensors that the value leaves for the gradient.

    Attributes:
        statistics: two numbers per row, or None.
        divisor: the number on the device that a mean divides by, or None.
    """

    statistics: Tensor | None = None
    divisor: Tensor | None = None


OPTIONS = {"enable_fp_fusion": True}
"""Options of every kernel: fused multiply-add, which Triton does not use by default."""
