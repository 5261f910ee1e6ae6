"""Arguments of a loss, for a kernel and for double backward by the closed forms."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

CROSS_ENTROPY = "cross_entropy"
"""Name of the loss of rows that has a kernel."""


class Call(NamedTuple):
    """Arguments of a loss.

    Attributes:
        form: name of the loss.
        again: `again(input, target, weight, extra, ignore_index, reduction)`, the loss by its
            closed forms.
        extra: tensor argument of the formula besides input and target, or None.
        dtype: the loss's; under autocast float32, else the input's.
    """

    form: str
    again: Callable[..., Tensor]
    input: Tensor
    target: Tensor
    weight: Tensor | None
    extra: Tensor | None
    reduction: str
    ignored: int
    settings: tuple[float, ...]
    dtype: torch.dtype

    @property
    def tensors(self) -> tuple[Tensor | None, ...]:
        return self.input, self.target, self.weight, self.extra

    @property
    def late(self) -> bool:
        """Tell if the backward pass computes the gradient, from the logits again.

        In float16 a gradient without the gradient scaler's factor would underflow. With 'none' an
        early gradient would have to be read and written again to be multiplied.
        """
        return self.input.dtype == torch.float16 or self.reduction == "none"


OPTIONS = {"enable_fp_fusion": True}
"""Options of every kernel: fused multiply-add, which Triton does not use by default."""

Computed = tuple[Tensor | None, Tensor | None]
"""The loss and its gradient; None if not requested."""
