"""Softmax cross-entropy, and what is made of it."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .. import checks, kernels
from ..arguments import (
    distribution_arguments,
    index_arguments,
    is_distribution,
    no_ignored_class,
    reduce,
    upcast,
)
from ..forms import capped, softmax


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
        weight: a factor w for each class, (C,), at least 0; of input's dtype if target is indices.
        ignore_index: a class index that contributes neither loss nor gradient.
        reduction: 'mean', 'sum' or 'none'. With class indices 'mean' divides by the sum of w_y
            over the targets that are not ignored, with probabilities by the number of rows; a
            mean over nothing is NaN.
        label_smoothing: s, in [0, 1].
        z_loss: factor of the squared log-partition, at least 0; 1e-4 is PaLM's.
        softcap: bound on the size of the logits, above 0; None: no bound; 30 is Gemma 2's.
    Raises:
        ValueError: the batch sizes differ; input has no classes; a negative weight (seen on the
            CPU; torch computes with it); unknown reduction; z_loss or softcap out of range.
        RuntimeError: any other mismatch of shapes or dtypes; label_smoothing outside [0, 1];
            ignore_index with probabilities.
        IndexError: a class index out of range (seen on the CPU; a device-side error on CUDA);
            an input of no dimension.
        NotImplementedError: input is not floating point.
    Source: torch.nn.functional.cross_entropy; label smoothing: Szegedy et al. 2016, arXiv
        1512.00567; z-loss: Chowdhery et al. 2022, arXiv 2204.02311, section 5; soft-capping: Gemma
        Team 2024, arXiv 2408.00118, section 2. Small losses keep their digits here, and an
        infinite logit on the right class is a loss of 0 instead of NaN.

    >>> import torch
    >>> z = torch.tensor([[4.0, 0.0, -2.0], [0.0, 30.0, 0.0]])
    >>> cross_entropy(z, torch.tensor([0, 1]), reduction="none")
    tensor([2.0581e-02, 1.8715e-13])
    >>> cross_entropy(z, torch.tensor([0, -100]), label_smoothing=0.1, z_loss=1e-4)
    tensor(0.3555)
    """
    if softcap is None and z_loss == 0 and 0.0 <= label_smoothing <= 1.0:
        fused = kernels.cross_entropy(
            input, target, weight, ignore_index, reduction, label_smoothing
        )
        if fused is not None:
            return fused
    checks.reduction(reduction)
    if not 0.0 <= label_smoothing <= 1.0:
        raise RuntimeError(f"label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing}")
    checks.setting("cross_entropy", "z_loss", z_loss, least=0.0)
    if softcap is not None:
        checks.setting("cross_entropy", "softcap", softcap, above=0.0)
    data = _Logits("cross_entropy", input, softcap=softcap)
    if is_distribution(input, target):
        no_ignored_class(ignore_index)
        return data.of_distribution(target, weight, reduction, label_smoothing, z_loss)
    return data.of_index(target, weight, ignore_index, reduction, label_smoothing, z_loss)


def logit_adjusted_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    prior: Tensor | None = None,
    tau: float = 1.0,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """Cross-entropy of logits shifted by the log frequency of each class.

    L = cross_entropy(z + tau ln prior): with p = softmax(z + tau ln prior) dL/dz = p - e_y. Predict
    with the unshifted logits: rare classes then are not neglected.

    Args:
        input: logits, (C,), (N, C) or (N, C, d1, ..., dK), floating point.
        target: class indices of input's shape without C, of any integer dtype; or probabilities
            of input's shape.
        weight: a factor w for each class, (C,), at least 0: a row weighs w_y, or sum_c w_c t_c.
        prior: frequency of each class, (C,), as counts or as shares, above 0; None: uniform, which
            is cross-entropy.
        tau: the strength of the shift, a finite number.
        ignore_index: a class index that contributes neither loss nor gradient.
        reduction: 'mean', 'sum' or 'none'. 'mean' divides by the sum of the weights of the rows
            that are not ignored if target is indices, else by the number of rows.
    Raises:
        ValueError: the batch sizes differ; input has no classes; a negative weight or a prior that
            is not above 0 (seen on the CPU); tau is not finite; unknown reduction.
        RuntimeError: any other mismatch of shapes or dtypes; prior is not of shape (C,);
            ignore_index with probabilities.
        IndexError: a class index out of range (seen on the CPU; a device-side error on CUDA); an
            input of no dimension.
        NotImplementedError: input is not floating point.
    Source: Menon et al. 2021, arXiv 2007.07314, and the authors' code, which adds 1e-12 to the
        prior to the power of tau.
    """
    checks.reduction(reduction)
    name = "logit_adjusted_cross_entropy"
    checks.setting(name, "tau", tau)
    shift = None
    if prior is not None:
        checks.floating(name, input=input)
        checks.class_weight(input, prior, "prior")
        checks.positive(prior=prior)
        shift = tau * upcast(prior, input.dtype).log()
    data = _Logits(name, input, shift=shift)
    if is_distribution(input, target):
        no_ignored_class(ignore_index)
        return data.of_distribution(target, weight, reduction)
    return data.of_index(target, weight, ignore_index, reduction)


@dataclass
class _Logits:
    """The input of a cross-entropy, and what is done to its logits before all else."""

    name: str
    input: Tensor
    softcap: float | None = None
    shift: Tensor | None = None

    def shifted(self, z: Tensor) -> Tensor:
        return z if self.shift is None else z + self.shift.to(z.dtype)

    def cross_entropy(self, z: Tensor, t: Tensor) -> Tensor:
        if self.softcap is None:
            return softmax.of_target(z, t)
        if t.is_floating_point():
            return capped.cross_entropy(z, t, self.softcap)
        return capped.index_cross_entropy(z, t, self.softcap)

    def squared_log_partition(self, z: Tensor) -> Tensor:
        if self.softcap is None:
            return softmax.squared_log_partition(z)
        return capped.squared_log_partition(z, self.softcap)

    def of_index(
        self,
        target: Tensor,
        weight: Tensor | None,
        ignore_index: int,
        reduction: str,
        label_smoothing: float = 0.0,
        z_loss: float = 0.0,
    ) -> Tensor:
        z, index = index_arguments(self.name, self.input, target, weight, ignore_index)
        z = self.shifted(z)
        loss = index.weighted(self.cross_entropy(z, index.y))
        if label_smoothing > 0:
            uniform = z.new_ones(z.shape[-1]) if index.weight is None else index.weight
            smooth = self.cross_entropy(z, uniform) / z.shape[-1]
            loss = (1 - label_smoothing) * loss + label_smoothing * smooth
        if z_loss > 0:
            loss = loss + z_loss * index.weighted(self.squared_log_partition(z))
        return index.reduce(loss, reduction, self.input.dtype)

    def of_distribution(
        self,
        target: Tensor,
        weight: Tensor | None,
        reduction: str,
        label_smoothing: float = 0.0,
        z_loss: float = 0.0,
    ) -> Tensor:
        z, t = distribution_arguments(self.name, self.input, target)
        dtype = torch.promote_types(self.input.dtype, target.dtype)
        if weight is not None:
            checks.class_weight(self.input, weight)
            dtype = torch.promote_types(dtype, weight.dtype)
            z, t = upcast(z, dtype), upcast(t, dtype)
        w = None if weight is None else upcast(weight, dtype)
        # What the row weighs, before its target is smoothed.
        weighs = t.sum(-1) if w is None else (w * t).sum(-1)
        if label_smoothing > 0:
            t = (1 - label_smoothing) * t + label_smoothing / z.shape[-1]
        z = self.shifted(z)
        loss = self.cross_entropy(z, t if w is None else w * t)
        if z_loss > 0:
            loss = loss + z_loss * weighs * self.squared_log_partition(z)
        return reduce(loss, reduction, dtype)


def class_balanced_weight(counts: Tensor, beta: float = 0.9999) -> Tensor:
    """Weights of classes by their effective number of examples, for the `weight` of any loss.

    w_c = (1 - beta) / (1 - beta^n_c), scaled so that the weights add up to the number of classes:
    beta = 0 weighs all classes alike, and beta near 1 by 1 / n_c.

    Args:
        counts: n, how many examples each class has, (C,), at least 1.
        beta: in [0, 1).
    Returns: (C,), in torch's default dtype, on the device of counts.
    Raises ValueError: a count below 1 (seen on the CPU); beta out of range; counts not (C,).
    Source: Cui et al. 2019, arXiv 1901.05555, and the authors' code.

    >>> import torch
    >>> class_balanced_weight(torch.tensor([500, 50]), beta=0.99)
    tensor([0.5690, 1.4310])
    """
    checks.setting("class_balanced_weight", "beta", beta, least=0.0, below=1.0)
    if counts.dim() != 1:
        raise ValueError(
            f"counts of shape {tuple(counts.shape)} must be one number for each class, (C,)"
        )
    checks.positive(least=1.0, counts=counts)
    # MPS has no float64.
    n = counts.to(torch.float32 if counts.device.type == "mps" else torch.float64)
    # 1 - beta^n, which is 1 for beta = 0, and keeps its digits for beta near 1.
    effective = -torch.expm1(n * math.log(beta)) if beta > 0 else torch.ones_like(n)
    weight = 1 / effective
    return (weight / weight.mean()).to(torch.get_default_dtype())
