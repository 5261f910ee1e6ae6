"""Softmax cross-entropy, with label smoothing, a z-loss and soft-capped logits."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from . import checks
from .arguments import rows
from .base import Loss
from .closed_form import ClosedForms, differentiable
from .entries import Entry
from .numerics import times
from .overrides import is_overridden, overridden
from .softcap import capped
from .softmax import centred, dot, softmax_parts

# --- cross-entropy: L = sum_c a_c (l - z_c) + lambda u l^2, l = ln sum_c exp z_c -----------------
#
# a = w ((1 - s) t + s / C) are the targets t (one-hot for a class index), smoothed by s, times the
# classes' weights w, and u = sum_c w_c t_c is what the row weighs; without weights w = 1.


class _Weights(NamedTuple):
    """Weights of a row: `a` per class, `total` = sum_c a_c, and `z_loss` = u, its weight."""

    a: Tensor
    total: Tensor
    z_loss: Tensor


def _weights(z: Tensor, t: Tensor, w: Tensor | None, smoothing: float) -> _Weights:
    weighed = t if w is None else w * t
    a = weighed
    if smoothing > 0:
        share = smoothing / z.shape[-1]
        a = (1 - smoothing) * weighed + (share if w is None else share * w)
    return _Weights(a, a.sum(-1, keepdim=True), weighed.sum(-1, keepdim=True))


def _value(z: Tensor, t: Tensor, w: Tensor | None, smoothing: float, z_loss: float) -> Tensor:
    r, (a, total, u) = softmax_parts(z), _weights(z, t, w, smoothing)
    loss = times(a, r.gap).sum(-1) + (total * torch.log1p(r.others)).squeeze(-1)
    if z_loss > 0:
        loss = loss + z_loss * (u * torch.logsumexp(z, -1, keepdim=True).square()).squeeze(-1)
    return loss


def _gradient(z: Tensor, t: Tensor, w: Tensor | None, smoothing: float, z_loss: float) -> Tensor:
    # A p - a is p (A - a) - a q: both parts keep their digits when t is one-hot.
    r, (a, total, u) = softmax_parts(z), _weights(z, t, w, smoothing)
    gradient = r.p * (total - a) - a * r.q
    if z_loss > 0:
        gradient = gradient + 2 * z_loss * times(r.p, u * torch.logsumexp(z, -1, keepdim=True))
    return gradient


def _hvp(
    z: Tensor, v: Tensor, t: Tensor, w: Tensor | None, smoothing: float, z_loss: float
) -> Tensor:
    # The Hessian of l is J, and dl along v is p.v.
    r, (_, total, u) = softmax_parts(z), _weights(z, t, w, smoothing)
    change = r.p * centred(r, v)
    product = total * change
    if z_loss > 0:
        log_partition = torch.logsumexp(z, -1, keepdim=True)
        product = product + 2 * z_loss * u * (dot(r.p, v) * r.p + log_partition * change)
    return product


cross_entropy_forms = ClosedForms(
    "cross_entropy",
    lambda z, t, *settings: _value(z, t, None, *settings),
    lambda z, t, *settings: _gradient(z, t, None, *settings),
    lambda z, v, t, *settings: _hvp(z, v, t, None, *settings),
    rows=True,
)
weighted_cross_entropy_forms = ClosedForms(
    "weighted_cross_entropy", _value, _gradient, _hvp, rows=True
)
cross_entropy_formula = differentiable(cross_entropy_forms)
weighted_cross_entropy_formula = differentiable(weighted_cross_entropy_forms)
capped_cross_entropy_formula = differentiable(capped(cross_entropy_forms))
capped_weighted_cross_entropy_formula = differentiable(capped(weighted_cross_entropy_forms))


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
    *,
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
        ValueError: the batch sizes differ; unknown reduction; z_loss or
            softcap out of range.
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
    if is_overridden(input, target, weight):
        return overridden(cross_entropy, locals())
    reduction = checks.of_deprecated(size_average, reduce, reduction)
    return cross_entropy_named(
        *("cross_entropy", input, target, weight, ignore_index, reduction),
        *(label_smoothing, z_loss, softcap),
    )


def cross_entropy_named(
    name: str,
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    ignore_index: int,
    reduction: str,
    label_smoothing: float = 0.0,
    z_loss: float = 0.0,
    softcap: float | None = None,
) -> Tensor:
    """Compute `cross_entropy`; `name` is the function's in errors."""
    checks.label_smoothing(label_smoothing)
    if z_loss != 0:
        checks.setting(name, "z_loss", z_loss, least=0.0)
    settings: tuple[float, ...] = (float(label_smoothing), float(z_loss))
    formulas = cross_entropy_formula, weighted_cross_entropy_formula
    if softcap is not None:
        checks.setting(name, "softcap", softcap, above=0.0)
        settings = (*settings, float(softcap))
        formulas = capped_cross_entropy_formula, capped_weighted_cross_entropy_formula
    formula = formulas[weight is not None]
    return rows(
        formula, name, input, target, weight, ignore_index, reduction, *settings, takes_weight=True
    )


class CrossEntropyLoss(Loss, nn.CrossEntropyLoss):
    """Softmax cross-entropy from logits; drop-in for `torch.nn.CrossEntropyLoss`.

    See `losses.functional.cross_entropy`, z-loss and soft-capping included.
    """

    function = staticmethod(cross_entropy)

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        ignore_index: int = -100,
        reduce: bool | None = None,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
        *,
        z_loss: float = 0.0,
        softcap: float | None = None,
    ) -> None:
        super().__init__(
            {"weight": weight},
            size_average,
            reduce,
            reduction=reduction,
            ignore_index=ignore_index,
            label_smoothing=label_smoothing,
            z_loss=z_loss,
            softcap=softcap,
        )


def cross_entropy_textbook(
    z: Tensor, t: Tensor, label_smoothing: float, z_loss: float, softcap: float | None
) -> Tensor:
    if softcap is not None:
        z = softcap * torch.tanh(z / softcap)
    smooth = (1 - label_smoothing) * t + label_smoothing / z.shape[-1]
    each = -(smooth * torch.log_softmax(z, -1)).sum(-1)
    return each + z_loss * t.sum(-1) * torch.logsumexp(z, -1) ** 2


ENTRIES = (
    Entry(
        "cross-entropy",
        CrossEntropyLoss,
        "multiclass",
        "logits",
        ("index", "distribution"),
        cross_entropy_textbook,
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
        cross_entropy_textbook,
        "cross-entropy with a tenth of the target spread over all classes",
        settings={"label_smoothing": 0.1},
        formula="-Σ_c u_c ln p_c, u = (1 - s) e_y + s / C",
        gradient="p - u",
        range="[0, ∞)",
        use="to keep a model from certainty",
        source="Szegedy et al. 2016, arXiv 1512.00567",
    ),
)


ENTRIES_OF_LOGITS = (
    Entry(
        "z-loss",
        CrossEntropyLoss,
        "multiclass",
        "logits",
        ("index", "distribution"),
        cross_entropy_textbook,
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
        cross_entropy_textbook,
        "cross-entropy of logits bounded by a tanh",
        settings={"softcap": 30.0},
        formula="ln Σ_j exp u_j - u_y, u = c tanh(z / c)",
        gradient="(p - e_y) / cosh²(z / c), p = softmax(u)",
        range="[0, ∞)",
        use="where single logits run away",
        source="Gemma Team 2024, arXiv 2408.00118",
    ),
)
