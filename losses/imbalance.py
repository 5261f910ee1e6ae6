"""Cross-entropy for unbalanced classes: shifted logits, margins, and weights by number."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from . import checks
from .arguments import rows, upcast
from .base import Loss
from .closed_form import ClosedForms, Differentiable, differentiable
from .cross_entropies import cross_entropy_forms, cross_entropy_named
from .entries import Entry
from .numerics import in_float64
from .overrides import is_overridden, overridden

# --- cross-entropy of u = k (z + shift): dL/dz = k g, H v = k^2 H_u v, g and H_u those at u -------


def _of_shifted_logits(name: str, change: Callable[..., tuple[Tensor, Tensor]]) -> Differentiable:
    """Return the cross-entropy of u = change(z, t, w, k), w a number per class, k a factor."""
    of_value, of_gradient, of_hvp = cross_entropy_forms[1:4]

    # The zeros: neither smoothing nor a z-loss.
    def value(z: Tensor, t: Tensor, w: Tensor, k: float) -> Tensor:
        u, t = change(z, t, w, k)
        return of_value(u, t, 0.0, 0.0).to(z.dtype)

    def gradient(z: Tensor, t: Tensor, w: Tensor, k: float) -> Tensor:
        u, t = change(z, t, w, k)
        return (k * of_gradient(u, t, 0.0, 0.0)).to(z.dtype)

    def hvp(z: Tensor, v: Tensor, t: Tensor, w: Tensor, k: float) -> Tensor:
        u, t = change(z, t, w, k)
        return (k * k * of_hvp(u, v, t, 0.0, 0.0)).to(z.dtype)

    return differentiable(ClosedForms(name, value, gradient, hvp, rows=True))


def _shifted(z: Tensor, t: Tensor, w: Tensor, _k: float) -> tuple[Tensor, Tensor]:
    return z + w, t


def _less_margins(z: Tensor, t: Tensor, w: Tensor, k: float) -> tuple[Tensor, Tensor]:
    # In float64, because exp(u) multiplies the rounding error of u by its size.
    z, t, w = in_float64(z, t, w)
    return k * (z - t * w), t


logit_adjusted_formula = _of_shifted_logits("logit_adjusted", _shifted)
ldam_formula = _of_shifted_logits("ldam", _less_margins)


# --- logit-adjusted: shift = tau ln prior --------------------------------------------------------


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
        weight: a factor w for each class, (C,), of the terms of a row as in `cross_entropy`.
        prior: frequency of each class, (C,), as counts or as shares, above 0; None: uniform, which
            is cross-entropy.
        tau: the strength of the shift, a finite number.
        ignore_index: a class index that contributes neither loss nor gradient.
        reduction: 'mean', 'sum' or 'none'. 'mean' divides by the sum of the weights of the rows
            that are not ignored if target is indices, else by the number of rows.
    Raises:
        ValueError: the batch sizes differ; a prior that is not above 0 (seen
            on the CPU); tau is not finite; unknown reduction.
        RuntimeError: any other mismatch of shapes or dtypes; prior is not of shape (C,);
            ignore_index with probabilities.
        IndexError: a class index out of range (seen on the CPU; a device-side error on CUDA); an
            input of no dimension.
        NotImplementedError: input is not floating point.
    Source: Menon et al. 2021, arXiv 2007.07314, and the authors' code, which adds 1e-12 to the
        prior to the power of tau.
    """
    if is_overridden(input, target, weight, prior):
        return overridden(logit_adjusted_cross_entropy, locals())
    name = "logit_adjusted_cross_entropy"
    checks.setting(name, "tau", tau)
    arguments = (input, target, weight, ignore_index, reduction)
    return _adjusted(name, "prior", prior, float(tau), *arguments)


def _adjusted(
    name: str,
    called: str,
    prior: Tensor | None,
    tau: float,
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    ignore_index: int,
    reduction: str,
) -> Tensor:
    """Compute `logit_adjusted_cross_entropy`; in errors `name` is the function's name, `called`
    that of the prior."""
    if prior is None:
        return cross_entropy_named(name, input, target, weight, ignore_index, reduction)
    checks.tensors(input=input, target=target)
    checks.floating(name, input=input)
    checks.class_weight(input, prior, called)
    checks.positive(**{called: prior})  # type: ignore[arg-type]
    shift = tau * upcast(prior, input.dtype).log()
    if weight is None or not checks.is_distribution(input, target):
        arguments = (input, target, weight, ignore_index, reduction)
        return rows(logit_adjusted_formula, name, *arguments, 1.0, extra=shift)
    # As in cross-entropy the weights are those of the terms of a row, not of the row.
    dtype = torch.promote_types(torch.promote_types(input.dtype, target.dtype), weight.dtype)
    z = upcast(input, input.dtype) + shift.reshape(-1, *[1] * (input.dim() - 2))
    w = upcast(weight, weight.dtype)
    loss = cross_entropy_named(name, z, target, w, ignore_index, reduction)
    # Under autocast a narrow loss stays float32.
    return loss if checks.under_autocast(input) and dtype.itemsize < 4 else loss.to(dtype)


class LogitAdjustedLoss(Loss):
    """Cross-entropy of logits that are shifted by how often each class occurs.

    `prior` is a buffer: counts or frequencies, (C,). See
    `losses.functional.logit_adjusted_cross_entropy`.
    """

    function = staticmethod(logit_adjusted_cross_entropy)

    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        prior: Tensor | None = None,
        tau: float = 1.0,
        ignore_index: int = -100,
        reduction: str = "mean",
    ) -> None:
        super().__init__(
            {"weight": weight, "prior": prior},
            tau=tau,
            ignore_index=ignore_index,
            reduction=reduction,
        )


# --- balanced softmax: the same with tau = 1 -----------------------------------------------------


def balanced_softmax_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    counts: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """Cross-entropy of a softmax in which each class counts as often as it occurs.

    L = -ln [n_y exp z_y / sum_c n_c exp z_c], which is `logit_adjusted_cross_entropy` with the
    prior n and tau = 1; dL/dz = p - e_y with p_c = n_c exp z_c / sum_j n_j exp z_j. Predict with
    the softmax of z.

    Args:
        input: logits, (C,), (N, C) or (N, C, d1, ..., dK), floating point.
        target: class indices of input's shape without C, of any integer dtype; or probabilities
            of input's shape.
        weight: a factor w for each class, (C,), of the terms of a row as in `cross_entropy`.
        counts: n, how often each class occurs, (C,), above 0; None: equally often, which is
            cross-entropy.
        ignore_index: a class index that contributes neither loss nor gradient.
        reduction: 'mean', 'sum' or 'none', as in `cross_entropy`.
    Raises: as `logit_adjusted_cross_entropy`, of counts for the prior.
    Source: Ren et al. 2020, arXiv 2007.10740, equation 3.
    """
    if is_overridden(input, target, weight, counts):
        return overridden(balanced_softmax_loss, locals())
    arguments = (input, target, weight, ignore_index, reduction)
    return _adjusted("balanced_softmax_loss", "counts", counts, 1.0, *arguments)


class BalancedSoftmaxLoss(Loss):
    """Cross-entropy of a softmax in which each class counts as often as it occurs.

    `counts` is a buffer, (C,). See `losses.functional.balanced_softmax_loss`.
    """

    function = staticmethod(balanced_softmax_loss)

    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        counts: Tensor | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
    ) -> None:
        super().__init__(
            {"weight": weight, "counts": counts}, ignore_index=ignore_index, reduction=reduction
        )


# --- LDAM: shift = -t margin, k = scale ----------------------------------------------------------


def ldam_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    counts: Tensor | None = None,
    max_margin: float = 0.5,
    scale: float = 30.0,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """Cross-entropy in which the right class has to win by a margin, the larger the rarer it is.

    With the margin m_c = max_margin (min_j n_j / n_c)^(1/4) and u = scale (z - m_y e_y):
    L = ln sum_c exp u_c - u_y; with p = softmax(u), dL/dz = scale (p - e_y). For a distribution t,
    u = scale (z - t m). Logits are those of normalised features and weights, in [-1, 1]; predict
    with z.

    Args:
        input: logits, (C,), (N, C) or (N, C, d1, ..., dK), floating point.
        target: class indices of input's shape without C, of any integer dtype; or probabilities
            of input's shape.
        weight: a factor w for each class, (C,): a row weighs w_y, or sum_c w_c t_c. The paper
            weighs by `class_balanced_weight` in the last epochs.
        counts: n, how often each class occurs, (C,), above 0; None: equally often, so that all
            margins are max_margin.
        max_margin: the margin of the rarest class, a finite number of at least 0.
        scale: the factor of the logits, above 0.
        ignore_index: a class index that contributes neither loss nor gradient.
        reduction: 'mean', 'sum' or 'none', as in `cross_entropy`.
    Raises:
        ValueError: a count that is not above 0 (seen on the CPU); max_margin or scale out of
            range; the batch sizes differ; input has no classes; unknown reduction.
        RuntimeError: counts is not of shape (C,); any other mismatch of shapes or dtypes;
            ignore_index with probabilities.
        IndexError: a class index out of range (seen on the CPU; a device-side error on CUDA); an
            input of no dimension.
        NotImplementedError: input is not floating point.
    Source: Cao et al. 2019, arXiv 1906.07413, equations 13 and 14, with the scale and the largest
        margin of the authors' code.
    """
    if is_overridden(input, target, weight, counts):
        return overridden(ldam_loss, locals())
    name = "ldam_loss"
    checks.setting(name, "max_margin", max_margin, least=0.0)
    checks.setting(name, "scale", scale, above=0.0)
    checks.tensors(input=input, target=target)
    checks.floating(name, input=input)
    if counts is None:
        counts = torch.ones(checks.class_count(input), device=input.device)
    checks.class_weight(input, counts, "counts")
    checks.positive(counts=counts)
    n = upcast(counts, input.dtype)
    margin = float(max_margin) * (n.min() / n) ** 0.25 if n.numel() else n
    arguments = (input, target, weight, ignore_index, reduction)
    return rows(ldam_formula, name, *arguments, float(scale), extra=margin)


class LDAMLoss(Loss):
    """Cross-entropy in which the right class has to win by a margin, the larger the rarer it is.

    `counts` is a buffer, (C,). See `losses.functional.ldam_loss`.
    """

    function = staticmethod(ldam_loss)

    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        counts: Tensor | None = None,
        max_margin: float = 0.5,
        scale: float = 30.0,
        ignore_index: int = -100,
        reduction: str = "mean",
    ) -> None:
        super().__init__(
            {"weight": weight, "counts": counts},
            max_margin=max_margin,
            scale=scale,
            ignore_index=ignore_index,
            reduction=reduction,
        )


def logit_adjusted_textbook(z: Tensor, t: Tensor, prior: Tensor | None, tau: float) -> Tensor:
    shifted = z if prior is None else z + tau * torch.log(prior)
    return -(t * torch.log_softmax(shifted, -1)).sum(-1)


def balanced_softmax_textbook(z: Tensor, t: Tensor, counts: Tensor | None) -> Tensor:
    return logit_adjusted_textbook(z, t, counts, 1.0)


def ldam_textbook(
    z: Tensor, t: Tensor, counts: Tensor | None, max_margin: float, scale: float
) -> Tensor:
    margin = 1.0 if counts is None else (counts / counts.min()) ** -0.25
    return -(t * torch.log_softmax(scale * (z - max_margin * margin * t), -1)).sum(-1)


# --- weights -------------------------------------------------------------------------------------


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


ENTRIES = (
    Entry(
        "logit-adjusted",
        LogitAdjustedLoss,
        "multiclass",
        "logits",
        ("index", "distribution"),
        logit_adjusted_textbook,
        "cross-entropy of logits shifted by how often a class occurs (here equally often)",
        formula="-ln p_y, p = softmax(z + τ ln π)",
        gradient="p - e_y",
        range="[0, ∞)",
        use="where classes are unbalanced and the rare ones count as much",
        source="Menon et al. 2021, arXiv 2007.07314",
    ),
    Entry(
        "balanced-softmax",
        BalancedSoftmaxLoss,
        "multiclass",
        "logits",
        ("index", "distribution"),
        balanced_softmax_textbook,
        "cross-entropy of a softmax weighted by how often a class occurs (here equally often)",
        formula="-ln p_y, p_c = n_c exp z_c / Σ_j n_j exp z_j",
        gradient="p - e_y",
        range="[0, ∞)",
        use="where classes are unbalanced and the rare ones count as much; logit-adjusted, τ = 1",
        source="Ren et al. 2020, arXiv 2007.10740",
    ),
    Entry(
        "ldam",
        LDAMLoss,
        "multiclass",
        "logits",
        ("index", "distribution"),
        ldam_textbook,
        "cross-entropy with a margin, the larger the rarer the class (here all equally rare)",
        formula="ln Σ_c exp u_c - u_y, u = s (z - m_y e_y), m_c ∝ n_c^(-1/4)",
        gradient="s (p - e_y), p = softmax(u)",
        range="[0, ∞)",
        use="where classes are unbalanced, with normalised logits",
        source="Cao et al. 2019, arXiv 1906.07413",
    ),
)
