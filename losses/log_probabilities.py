"""Losses of log-probabilities: the negative log-likelihood, and the Kullback-Leibler divergence."""

import torch
from torch import Tensor, nn

from . import checks
from .arguments import ELEMENTS, ROWS, apply_reduction, elements, of_indices, upcast
from .base import Loss
from .closed_form import ClosedForms, differentiable
from .entries import Entry
from .kernels import compute
from .numerics import times, zero_hvp
from .overrides import is_overridden, overridden

# --- nll: L = -x_y = -t.x of a row x of log-probabilities -----------------------------------------


def nll_value(x: Tensor, t: Tensor) -> Tensor:
    return -times(t, x).sum(-1)


def nll_gradient(x: Tensor, t: Tensor) -> Tensor:
    return torch.zeros_like(x) - t


def nll_hvp(x: Tensor, v: Tensor, t: Tensor) -> Tensor:
    return torch.zeros_like(x * v * t)


nll_formula = differentiable(ClosedForms("nll", nll_value, nll_gradient, nll_hvp, rows=True))


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Negative log-likelihood of log-probabilities.

    L = -w_y x_y; dL/dx = -w_y e_y; the Hessian is 0.

    Args:
        input: log-probabilities, (C,), (N, C) or (N, C, d1, ..., dK), floating point.
        target: class indices in [0, C) of input's shape without C, any integer dtype.
        weight: a factor w for each class, (C,), of input's dtype.
        ignore_index: a class index that contributes neither loss nor gradient.
        reduction: 'mean' (divides by the sum of w_y that are not ignored), 'sum' or 'none'.
    Raises:
        ValueError: the batch sizes differ; input has no dimension; unknown reduction.
        RuntimeError: any other mismatch of shapes or dtypes.
        IndexError: a class index out of range (seen on the CPU; a device-side error on CUDA).
        NotImplementedError: input is not floating point.
    Source: torch.nn.functional.nll_loss.
    """
    if is_overridden(input, target, weight):
        return overridden(nll_loss, locals())
    reduction = checks.of_deprecated(size_average, reduce, reduction)
    if type(ignore_index) is not int:
        ignore_index = checks.index("ignore_index", ignore_index)
    arguments = (input, target, weight, None, ignore_index, reduction, ())
    if isinstance(target, Tensor) and not target.is_floating_point():
        found = compute(nll_formula, ROWS, *arguments)
        if found is not None:
            return found
    checks.basics(input, target, weight, reduction)
    if input.dim() == 0:
        raise ValueError("Expected input of 1 or more dimensions (got 0): (C,) or (N, C, ...)")
    return of_indices(nll_formula, "nll_loss", ROWS, *arguments)


class NLLLoss(Loss, nn.NLLLoss):
    """Negative log-likelihood of log-probabilities; drop-in for `torch.nn.NLLLoss`.

    See `losses.functional.nll_loss`.
    """

    function = staticmethod(nll_loss)

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        ignore_index: int = -100,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(
            {"weight": weight},
            size_average,
            reduce,
            reduction=reduction,
            ignore_index=ignore_index,
        )


def nll_textbook(x: Tensor, t: Tensor) -> Tensor:
    return -(t * x).sum(-1)


# --- kl-div: L = t (ln t - x) of a log-probability x; with the target's logarithm s, t = exp s ----


def kl_div_value(x: Tensor, t: Tensor) -> Tensor:
    # Where t = 0, 1 (ln 1 - 0) = 0 is computed instead, whose derivatives have no 0 * inf.
    # A NaN stays.
    nothing = (t == 0) & ~x.isnan()
    t, x = torch.where(nothing, 1.0, t), torch.where(nothing, 0.0, x)
    return t * (torch.log(t) - x)


def kl_div_gradient(x: Tensor, t: Tensor) -> Tensor:
    return torch.zeros_like(x) - t


def kl_div_of_logs_value(x: Tensor, s: Tensor) -> Tensor:
    nothing = (s == -torch.inf) & ~x.isnan()
    s, x = torch.where(nothing, 0.0, s), torch.where(nothing, 0.0, x)
    return torch.exp(s) * (s - x)


def kl_div_of_logs_gradient(x: Tensor, s: Tensor) -> Tensor:
    return torch.zeros_like(x) - torch.exp(s)


kl_div_formula = differentiable(ClosedForms("kl_div", kl_div_value, kl_div_gradient, zero_hvp))
kl_div_of_logs_formula = differentiable(
    ClosedForms("kl_div_of_logs", kl_div_of_logs_value, kl_div_of_logs_gradient, zero_hvp)
)
KL_REDUCTIONS = (*checks.REDUCTIONS, "batchmean")


def kl_div(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Tensor:
    """Kullback-Leibler divergence of a model's log-probabilities from a distribution.

    L = t (ln t - x) for every element, of any sign; its sum over a distribution is at least 0.
    dL/dx = -t, for t = exp s if the target is given by its logarithm s; the Hessian is 0.
    Where t is 0 nothing is lost, whatever x is.
    Where x is near ln t the two cancel: the error is then some ulp of t ln t, and not of L.

    Args:
        input: log-probabilities x, any shape, floating point.
        target: probabilities t, or with `log_target` their logarithms s, broadcastable with input,
            floating point.
        reduction: 'mean' over the elements, 'sum', 'none', or 'batchmean', the sum over the size
            of input's first dimension, which is the mean divergence of rows (N, C).
        log_target: whether target is given by its logarithm.
    Raises:
        ValueError: unknown reduction.
        RuntimeError: the shapes cannot be broadcast.
        NotImplementedError: input or target is not floating point.
    Source: torch.nn.functional.kl_div, which gives NaN where t is 0 and x is -inf, and warns of
        'mean' that it is to become 'batchmean'; here it stays what it is.
    """
    if is_overridden(input, target):
        return overridden(kl_div, locals())
    reduction = checks.of_deprecated(size_average, reduce, reduction)
    if type(log_target) is not bool:
        raise TypeError(f"log_target must be a bool, not {type(log_target).__name__}")
    loss = kl_div_of_logs_formula if log_target else kl_div_formula
    rest = (None, None, -100, reduction, ())
    found = compute(loss, ELEMENTS, input, target, *rest)
    if found is not None:
        return found
    checks.basics(input, target, None, reduction, KL_REDUCTIONS)
    checks.floating("kl_div", input=input, target=target)
    dtype = torch.promote_types(input.dtype, target.dtype)
    size = checks.broadcast_size(input=input, target=target)
    x, t = input.expand(size), target.expand(size)
    if reduction != "batchmean":
        return elements(loss, x, t, *rest, dtype)
    total = loss(upcast(x, dtype), upcast(t, dtype)).sum()
    # A single number is a batch of one, as torch has it.
    return apply_reduction(total / input.shape[:1].numel(), "none", dtype)


class KLDivLoss(Loss, nn.KLDivLoss):
    """Kullback-Leibler divergence from log-probabilities; drop-in for `torch.nn.KLDivLoss`.

    See `losses.functional.kl_div`. 'mean' divides by all elements, 'batchmean' by the rows.
    """

    function = staticmethod(kl_div)
    reductions = KL_REDUCTIONS

    def __init__(
        self,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        log_target: bool = False,
    ) -> None:
        super().__init__(None, size_average, reduce, reduction=reduction, log_target=log_target)


def kl_div_textbook(x: Tensor, t: Tensor) -> Tensor:
    return torch.xlogy(t, t) - t * x


ENTRIES = (
    Entry(
        "nll",
        NLLLoss,
        "multiclass",
        "log-probabilities",
        ("index",),
        nll_textbook,
        "negative log-likelihood of log-probabilities",
        formula="-x_y",
        gradient="-e_y",
        range="[0, ∞)",
        use="after a log-softmax that is needed anyway",
        source="torch.nn.NLLLoss",
    ),
    Entry(
        "kl-div",
        KLDivLoss,
        "multiclass",
        "log-probabilities",
        ("distribution",),
        kl_div_textbook,
        "Kullback-Leibler divergence from log-probabilities, one number per element",
        formula="t (ln t - x)",
        gradient="-t",
        range="(-∞, ∞); summed over a distribution [0, ∞)",
        use="to fit a distribution that another model gives",
        source="torch.nn.KLDivLoss",
    ),
)
