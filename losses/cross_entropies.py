"""Softmax cross-entropy, with label smoothing, a z-loss and soft-capped logits."""

from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from . import checks, kernels
from .arguments import (
    distribution_arguments,
    index_arguments,
    is_distribution,
    no_ignored_class,
    reduce,
    upcast,
)
from .base import Loss
from .closed_form import ClosedForms, differentiable
from .entries import Entry
from .numerics import times
from .softcap import capped
from .softmax import distance, dot, finite, row, softmax_change
from .textbook import class_dim, reduced

# --- cross-entropy with a class index: L = ln sum exp(z) - z_y -----------------------------------


def index_cross_entropy_value(z: Tensor, y: Tensor) -> Tensor:
    # With the gap g = max(z) - z_y and the sum s of exp(z_c - max(z)) over c != y it is
    # g + ln(s + exp(-g)), and g is 0 where the target has the largest logit.
    y = y.unsqueeze(-1)
    largest = z.amax(-1, keepdim=True)
    gap = distance(largest, z.gather(-1, y))
    others = torch.exp(finite(z) - finite(largest)).scatter(-1, y, 0.0).sum(-1, keepdim=True)
    return (gap + torch.log1p(others + torch.expm1(-gap))).squeeze(-1)


def index_cross_entropy_gradient(z: Tensor, y: Tensor) -> Tensor:
    # p - onehot(y); the target's entry p_y - 1 is minus the sum of the other probabilities.
    y = y.unsqueeze(-1)
    wrong = torch.softmax(finite(z), -1).scatter(-1, y, 0.0)
    return wrong.scatter(-1, y, -wrong.sum(-1, keepdim=True))


def index_cross_entropy_hvp(z: Tensor, v: Tensor, y: Tensor) -> Tensor:
    del y  # The Hessian J of ln sum exp(z) does not depend on the target.
    return softmax_change(row(z).p, v)


index_cross_entropy_forms = ClosedForms(
    "index_cross_entropy",
    index_cross_entropy_value,
    index_cross_entropy_gradient,
    index_cross_entropy_hvp,
    rows=True,
)
index_cross_entropy_formula = differentiable(index_cross_entropy_forms)
capped_index_cross_entropy_formula = differentiable(capped(index_cross_entropy_forms))


# --- cross-entropy with a row of target weights: L = sum_c t_c (ln sum exp(z) - z_c) -------------


def cross_entropy_value(z: Tensor, t: Tensor) -> Tensor:
    r = row(z)
    return times(t, r.gap).sum(-1) + t.sum(-1) * torch.log1p(r.others).squeeze(-1)


def cross_entropy_gradient(z: Tensor, t: Tensor) -> Tensor:
    # T p - t, T = sum t, is p (T - t) - t q: both parts keep their digits when t is one-hot.
    r = row(z)
    return r.p * (t.sum(-1, keepdim=True) - t) - t * r.q


def cross_entropy_hvp(z: Tensor, v: Tensor, t: Tensor) -> Tensor:
    return t.sum(-1, keepdim=True) * softmax_change(row(z).p, v)


cross_entropy_forms = ClosedForms(
    "cross_entropy",
    cross_entropy_value,
    cross_entropy_gradient,
    cross_entropy_hvp,
    rows=True,
)
cross_entropy_formula = differentiable(cross_entropy_forms)
capped_cross_entropy_formula = differentiable(capped(cross_entropy_forms))


# --- squared log-partition (z-loss): L = l^2, l = ln sum_c exp(z_c) ------------------------------


def squared_log_partition_value(z: Tensor) -> Tensor:
    return torch.logsumexp(z, -1).square()


def squared_log_partition_gradient(z: Tensor) -> Tensor:
    return 2 * times(row(z).p, torch.logsumexp(z, -1, keepdim=True))


def squared_log_partition_hvp(z: Tensor, v: Tensor) -> Tensor:
    # dl = p.v and dp = J v.
    p = row(z).p
    return 2 * (dot(p, v) * p + torch.logsumexp(z, -1, keepdim=True) * softmax_change(p, v))


squared_log_partition_forms = ClosedForms(
    "squared_log_partition",
    squared_log_partition_value,
    squared_log_partition_gradient,
    squared_log_partition_hvp,
    rows=True,
)
squared_log_partition_formula = differentiable(squared_log_partition_forms)
capped_squared_log_partition_formula = differentiable(capped(squared_log_partition_forms))


# --- the loss: cross-entropy with all its options ------------------------------------------------


def cross_entropy_of_rows(z: Tensor, t: Tensor) -> Tensor:
    """Compute cross-entropy with rows of targets or with class indices."""
    formula = cross_entropy_formula if t.is_floating_point() else index_cross_entropy_formula
    return formula(z, t)


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
    data = Logits("cross_entropy", input, softcap=softcap)
    if is_distribution(input, target):
        no_ignored_class(ignore_index)
        return data.of_distribution(target, weight, reduction, label_smoothing, z_loss)
    return data.of_index(target, weight, ignore_index, reduction, label_smoothing, z_loss)


@dataclass
class Logits:
    """The input of a cross-entropy, and what is done to its logits before all else."""

    name: str
    input: Tensor
    softcap: float | None = None
    shift: Tensor | None = None

    def shifted(self, z: Tensor) -> Tensor:
        return z if self.shift is None else z + self.shift.to(z.dtype)

    def cross_entropy(self, z: Tensor, t: Tensor) -> Tensor:
        if self.softcap is None:
            return cross_entropy_of_rows(z, t)
        if t.is_floating_point():
            return capped_cross_entropy_formula(z, t, self.softcap)
        return capped_index_cross_entropy_formula(z, t, self.softcap)

    def squared_log_partition(self, z: Tensor) -> Tensor:
        if self.softcap is None:
            return squared_log_partition_formula(z)
        return capped_squared_log_partition_formula(z, self.softcap)

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


class CrossEntropyLoss(Loss):
    """Softmax cross-entropy from logits; drop-in for `torch.nn.CrossEntropyLoss`.

    See `losses.functional.cross_entropy`, z-loss and soft-capping included.
    """

    function = staticmethod(cross_entropy)

    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
        z_loss: float = 0.0,
        softcap: float | None = None,
    ) -> None:
        super().__init__(
            {"weight": weight},
            ignore_index=ignore_index,
            reduction=reduction,
            label_smoothing=label_smoothing,
            z_loss=z_loss,
            softcap=softcap,
        )


def cross_entropy_reference(
    input: Tensor, target: Tensor, reduction: str = "mean", *, label_smoothing: float = 0.0
) -> Tensor:
    return F.cross_entropy(input, target, reduction=reduction, label_smoothing=label_smoothing)


def z_loss_reference(
    input: Tensor, target: Tensor, reduction: str = "mean", *, z_loss: float = 1e-4
) -> Tensor:
    size = torch.logsumexp(input, class_dim(input))
    if target.shape == input.shape:
        size = size * target.sum(class_dim(input)).sqrt()
    return F.cross_entropy(input, target, reduction=reduction) + reduced(
        z_loss * size.square(), reduction
    )


def soft_capped_reference(
    input: Tensor, target: Tensor, reduction: str = "mean", *, softcap: float = 30.0
) -> Tensor:
    return F.cross_entropy(softcap * torch.tanh(input / softcap), target, reduction=reduction)


ENTRIES = (
    Entry(
        "cross-entropy",
        CrossEntropyLoss,
        "multiclass",
        "logits",
        ("index", "distribution"),
        cross_entropy_reference,
        "softmax cross-entropy",
        formula="ln Σ_c exp z_c - z_y",
        gradient="p - e_y",
        range="[0, ∞)",
        use="the default for more than two classes",
        source="torch.nn.CrossEntropyLoss",
    ),
    Entry(
        "label-smoothing",
        CrossEntropyLoss,
        "multiclass",
        "logits",
        ("index", "distribution"),
        partial(cross_entropy_reference, label_smoothing=0.1),
        "cross-entropy with a tenth of the target spread over all classes",
        settings={"label_smoothing": 0.1},
        formula="-Σ_c u_c ln p_c, u = (1 - s) e_y + s / C",
        gradient="p - u",
        range="[0, ∞)",
        use="to keep a model from certainty",
        source="Szegedy et al. 2016, arXiv 1512.00567",
    ),
)


# In the catalogue these follow logit-adjusted.
ENTRIES_OF_LOGITS = (
    Entry(
        "z-loss",
        CrossEntropyLoss,
        "multiclass",
        "logits",
        ("index", "distribution"),
        z_loss_reference,
        "cross-entropy that keeps the log-partition near 0",
        settings={"z_loss": 1e-4},
        formula="ln Z - z_y + λ (ln Z)², Z = Σ_c exp z_c",
        gradient="p - e_y + 2 λ ln Z p",
        range="[0, ∞)",
        use="large vocabularies, low precision: logits do not drift",
        source="Chowdhery et al. 2022, arXiv 2204.02311",
    ),
    Entry(
        "soft-capped",
        CrossEntropyLoss,
        "multiclass",
        "logits",
        ("index", "distribution"),
        soft_capped_reference,
        "cross-entropy of logits bounded by a tanh",
        settings={"softcap": 30.0},
        formula="ln Σ_j exp u_j - u_y, u = c tanh(z / c)",
        gradient="(p - e_y) / cosh²(z / c), p = softmax(u)",
        range="[0, ∞)",
        use="where single logits run away",
        source="Gemma Team 2024, arXiv 2408.00118",
    ),
)
