"""The call of a loss, as a kernel computes it and as the closed forms compute it again."""

from typing import NamedTuple

import torch
from torch import Tensor


class Call(NamedTuple):
    """`form` is a number of losses.kernels.FORMS, or below 0; `third` is a tensor that the formula
    takes beside input and target. `dtype` is the loss's: under autocast float32, else the input's.
    """

    form: int
    input: Tensor
    target: Tensor
    weight: Tensor | None
    third: Tensor | None
    reduction: str
    ignored: int
    settings: tuple[float, ...]
    dtype: torch.dtype

    @property
    def tensors(self) -> tuple[Tensor | None, ...]:
        return self.input, self.target, self.weight, self.third

    @property
    def late(self) -> bool:
        """Whether the gradient is computed in the backward pass, in which the logits are read a
        second time, and not ahead of it.

        In float16 a gradient that is not yet multiplied by a gradient scaler's factor is 0; and
        that of the losses themselves would be read and written again to be multiplied.
        """
        return self.input.dtype == torch.float16 or self.reduction == "none"


OPTIONS = {"enable_fp_fusion": True}
"""For every kernel: a product and a sum are rounded once, which Triton wants to be told."""

Computed = tuple[Tensor | None, Tensor | None]
"""The loss, or None where it is not asked for, and its gradient, likewise."""
