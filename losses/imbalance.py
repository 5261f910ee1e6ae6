"""Cross-entropy for unbalanced classes: logits shifted by the log frequency, weights by number."""

import math

import torch
from torch import Tensor

from . import checks
from .arguments import is_distribution, upcast
from .base import Loss
from .cross_entropies import cross_entropy_named, cross_entropy_reference
from .entries import Entry
from .overrides import is_overridden, overridden


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
        weight: a factor w for each class, (C,): a row weighs w_y, or sum_c w_c t_c.
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
    if prior is None:
        return cross_entropy_named(name, input, target, weight, ignore_index, reduction)
    checks.tensors(input=input, target=target)
    checks.floating(name, input=input)
    checks.class_weight(input, prior, "prior")
    checks.positive(prior=prior)
    dtype = input.dtype
    if is_distribution(input, target):
        for x in (target, weight):
            dtype = torch.promote_types(dtype, x.dtype) if x is not None else dtype
    elif weight is not None:
        checks.class_weight(input, weight)
        checks.same_dtype(input, weight=weight)
    shift = tau * upcast(prior, input.dtype).log()
    z = upcast(input, input.dtype)
    z = z + shift.to(z.dtype).reshape(-1, *[1] * (input.dim() - 2))
    w = None if weight is None else upcast(weight, weight.dtype)
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
        cross_entropy_reference,
        "cross-entropy of logits shifted by how often a class occurs (here equally often)",
        formula="-ln p_y, p = softmax(z + τ ln π)",
        gradient="p - e_y",
        range="[0, ∞)",
        use="where classes are unbalanced and the rare ones count as much",
        source="Menon et al. 2021, arXiv 2007.07314",
    ),
)
