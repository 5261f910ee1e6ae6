"""Softmax cross-entropy, and what is made of it."""

import torch
from torch import Tensor

from .. import checks
from ..arguments import (
    distribution_arguments,
    index_arguments,
    is_distribution,
    no_ignored_class,
    reduced,
    wide,
)
from ..forms import softmax


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
    z_loss: float = 0.0,
    softcap: float | None = None,
) -> Tensor:
    """Softmax cross-entropy from logits.

    With a class index y: L = w_y (ln sum_c exp z_c - z_y), dL/dz = w_y (p - e_y).
    With a distribution t: L = sum_c w_c t_c (ln sum_j exp z_j - z_c), and with a = w t:
    dL/dz = p sum(a) - a. The Hessian is sum(a) (diag(p) - p p^T) in both.
    Label smoothing s replaces t (or e_y) by (1 - s) t + s / C. A z-loss adds
    z_loss (ln sum_c exp z_c)^2 to the loss of a row, before it is weighed by w_y (a distribution's
    row by sum_c w_c t_c); soft-capping replaces z by softcap tanh(z / softcap) before all else.

    Args:
        input: logits, (C,), (N, C) or (N, C, d1, ..., dK), floating point.
        target: class indices in [0, C) of input's shape without C, any integer dtype;
            or probabilities of input's shape.
        weight: a factor w for each class, (C,); of input's dtype if target is indices.
        ignore_index: a class index that contributes neither loss nor gradient.
        reduction: 'mean', 'sum' or 'none'. With class indices 'mean' divides by the sum of w_y
            over the targets that are not ignored, with probabilities by the number of rows; a
            mean over nothing is NaN.
        label_smoothing: s, in [0, 1].
        z_loss: factor of the squared log-partition, at least 0; 1e-4 is PaLM's.
        softcap: bound on the size of the logits, above 0; None: no bound; 30 is Gemma 2's.
    Raises:
        ValueError: the batch sizes differ; unknown reduction; z_loss or softcap out of range.
        RuntimeError: any other mismatch of shapes or dtypes; label_smoothing outside [0, 1];
            ignore_index with probabilities.
        IndexError: a class index out of range (seen on the CPU; a device-side error on CUDA);
            an input of no dimension.
        NotImplementedError: input is not floating point.
    Source: torch.nn.functional.cross_entropy; label smoothing: Szegedy et al. 2016, arXiv
        1512.00567; z-loss: Chowdhery et al. 2022, arXiv 2204.02311, section 5; soft-capping: Gemma
        Team 2024, arXiv 2408.00118, section 2. Small losses keep their digits here, and an
        infinite logit on the right class is a loss of 0 instead of NaN.
    """
    checks.reduction(reduction)
    if not 0.0 <= label_smoothing <= 1.0:
        raise RuntimeError(f"label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing}")
    checks.setting("cross_entropy", "z_loss", z_loss, least=0.0)
    if softcap is not None:
        checks.setting("cross_entropy", "softcap", softcap, above=0.0)
    if is_distribution(input, target):
        no_ignored_class(ignore_index)
        z, t = distribution_arguments("cross_entropy", input, target)
        if label_smoothing > 0:
            t = (1 - label_smoothing) * t + label_smoothing / z.shape[-1]
        dtype = torch.promote_types(input.dtype, target.dtype)
        if weight is not None:
            checks.class_weight(input, weight)
            dtype = torch.promote_types(dtype, weight.dtype)
            z, t = wide(z, dtype), wide(t, dtype) * wide(weight, dtype)
        z = z if softcap is None else softmax.soft_cap(z, softcap)
        loss = softmax.cross_entropy(z, t)
        if z_loss > 0:
            loss = loss + z_loss * t.sum(-1) * softmax.squared_log_partition(z)
        return reduced(loss, reduction, dtype)
    z, index = index_arguments("cross_entropy", input, target, weight, ignore_index)
    z = z if softcap is None else softmax.soft_cap(z, softcap)
    loss = softmax.index_cross_entropy(z, index.y)
    if z_loss > 0:
        loss = loss + z_loss * softmax.squared_log_partition(z)
    loss = index.weighted(loss)
    if label_smoothing > 0:
        uniform = z.new_ones(z.shape[-1]) if index.weight is None else index.weight
        smooth = softmax.cross_entropy(z, uniform) / z.shape[-1]
        loss = (1 - label_smoothing) * loss + label_smoothing * smooth
    return index.reduced(loss, reduction, input.dtype)
