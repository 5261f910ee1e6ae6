"""What happens to a loss's arguments before its formula, and to its result after it: checks, the
class dimension moved last, a dtype wide enough to compute in, the reduction.
"""

import torch
from torch import Tensor

from . import checks


def distribution_arguments(name: str, input: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Logits and probabilities with the classes in the last dimension, wide enough to compute."""
    if not target.is_floating_point():
        raise RuntimeError(
            f"Expected floating point type for target with class probabilities, got "
            f"{target.dtype}; class indices have the input's shape without the class dimension"
        )
    checks.floating(name, input=input)
    dtype = torch.promote_types(input.dtype, target.dtype)
    return wide(classes_last(input), dtype), wide(classes_last(target), dtype)


def index_arguments(
    name: str,
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    ignore_index: int | None,
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """Logits with the classes last, indices (0 where ignored), which of them are kept, weights.

    With `ignore_index` None nothing is ignored, and every index outside the classes is an error.
    """
    if input.dim() == 0:
        # torch's types: it takes an index beside a 0-d input for probabilities of a wrong dtype.
        probabilities = target.dim() > 0 or target.is_floating_point()
        error = IndexError if probabilities else RuntimeError
        raise error("input has no class dimension: expected (C,) or (N, C, ...), got ()")
    checks.index_shapes(input, target)
    checks.index_dtype(target)
    checks.floating(name, input=input)
    classes = checks.class_count(input)
    y = target.reshape(()) if input.dim() == 1 else target
    checks.class_indices(classes, y, ignore_index)
    if weight is not None:
        checks.class_weight(input, weight)
        checks.same_dtype(input, weight=weight)
        weight = wide(weight, input.dtype)
    y = y.long()
    kept = torch.ones_like(y, dtype=torch.bool) if ignore_index is None else y != ignore_index
    return wide(classes_last(input), input.dtype), torch.where(kept, y, 0), kept, weight


def classes_last(x: Tensor) -> Tensor:
    return x.movedim(1, -1) if x.dim() > 2 else x


def wide(x: Tensor, dtype: torch.dtype) -> Tensor:
    """x in `dtype`, or in float32 where `dtype` is narrower."""
    return x.to(torch.float32 if dtype.itemsize < 4 else dtype)


def reduced(
    loss: Tensor, reduction: str, dtype: torch.dtype, divisor: Tensor | None = None
) -> Tensor:
    """`loss` reduced, in `dtype`; 'mean' divides the sum by `divisor` instead of the count.

    Under autocast a narrow dtype stays float32, as torch's losses have it: in float16 a gradient
    scaler would overflow.
    """
    if dtype.itemsize < 4 and torch.is_autocast_enabled(loss.device.type):
        dtype = torch.float32
    if reduction == "mean":
        loss = loss.mean() if divisor is None else loss.sum() / divisor
    elif reduction == "sum":
        loss = loss.sum()
    return loss.to(dtype)
