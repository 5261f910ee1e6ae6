"""Hinge losses of pairs of classes: a right one has to be a margin above a wrong one."""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from . import checks
from .arguments import MATRICES, apply_reduction, indexed, upcast
from .base import Loss, TorchReduced
from .closed_form import ClosedForms, Differentiable, differentiable
from .entries import Entry
from .hinges import known_power, ramp
from .kernels import Signature, compute, compute_on_cuda
from .numerics import times
from .overrides import is_overridden, overridden

# --- pairs: L = sum over listed l and unlisted c of max(0, m - z_l + z_c)^k ----------------------
#
# y lists classes of a row, (..., L), and is read up to its first negative number; a class that is
# listed twice counts twice. With u_lc = m - z_l + z_c and f' = d max(0, u)^k / du, the gradient is
# f'(u_lc) at c and minus that at l, added up over the pairs. With du_lc = v_c - v_l the Hessian
# along v is the same with f''(u_lc) du_lc in place of f'(u_lc).


class _Pairs(NamedTuple):
    """Pairs of a listed class l and another class c: the scores of c and of l, (..., L, C), whether
    the pair counts, (..., L, C), and the index of l, (..., L, 1)."""

    scores: tuple[Tensor, Tensor]
    counted: Tensor
    at: Tensor

    def where_counted(self, x: Tensor) -> Tensor:
        return torch.where(self.counted, x, 0.0)

    def gathered(self, x: Tensor) -> Tensor:
        """Return the sum over the pairs of x_lc at c and -x_lc at l."""
        x = self.where_counted(x)
        # Entry l of row l is not counted, so it can hold the sum.
        return x.scatter(-1, self.at, -x.sum(-1, keepdim=True)).sum(-2)


def _pairs(z: Tensor, y: Tensor) -> _Pairs:
    read = ((y < 0).cumsum(-1) == 0).unsqueeze(-1)
    at = y.clamp_min(0).unsqueeze(-1)
    rows = _rows(z, y)
    listed = torch.zeros_like(rows).scatter(-1, at, read.to(z.dtype)).amax(-2, keepdim=True)
    scores = rows, rows.gather(-1, at).expand_as(rows)
    return _Pairs(scores, read & (listed == 0), at)


def _rows(z: Tensor, y: Tensor) -> Tensor:
    """Return z (..., C) repeated for every entry of y (..., L): (..., L, C)."""
    return z.unsqueeze(-2).expand(*y.shape, z.shape[-1])


def _margin_plus_difference(margin: float, a: Tensor, b: Tensor) -> Tensor:
    """Return margin + a - b; a - b is 0 where the two are equal, at infinity too.

    Near the kink margin and a - b cancel, so that the rounding error of a - b matters. It is added
    (Knuth's TwoSum).
    """
    difference = torch.where(a == b, 0.0, a - b)
    taken = difference - a
    lost = (a - (difference - taken)) - (b + taken)
    return (margin + difference) + torch.where(lost.isfinite(), lost, 0.0)


# --- one right class: L = 1/C sum over c != y of max(0, m - z_y + z_c)^k --------------------------


def _above(z: Tensor, t: Tensor, margin: float) -> Tensor:
    """Return m - z_y + z_c for the one-hot row t of y."""
    return _margin_plus_difference(margin, z, times(t, z).sum(-1, keepdim=True))


def multi_margin_value(z: Tensor, t: Tensor, margin: float, power: int) -> Tensor:
    return times(1 - t, ramp(_above(z, t, margin), power)).sum(-1) / z.shape[-1]


def multi_margin_gradient(z: Tensor, t: Tensor, margin: float, power: int) -> Tensor:
    slopes = times(1 - t, ramp(_above(z, t, margin), power, 1))
    return (slopes - t * slopes.sum(-1, keepdim=True)) / z.shape[-1]


def multi_margin_hvp(z: Tensor, v: Tensor, t: Tensor, margin: float, power: int) -> Tensor:
    change = v - times(t, v).sum(-1, keepdim=True)
    slopes = times(1 - t, ramp(_above(z, t, margin), power, 2) * change)
    return (slopes - t * slopes.sum(-1, keepdim=True)) / z.shape[-1]


multi_margin_formula = differentiable(
    ClosedForms(
        *("multi_margin", multi_margin_value, multi_margin_gradient, multi_margin_hvp),
        rows=True,
        weighted_mean=False,
    )
)


# --- lists of right classes ----------------------------------------------------------------------


def pair_value(a: Tensor, b: Tensor, margin: float, power: int) -> Tensor:
    """Return the loss of one pair: an unlisted class with score a, a listed one with score b."""
    return ramp(_margin_plus_difference(margin, a, b), power)


def pair_gradient(a: Tensor, b: Tensor, margin: float, power: int) -> Tensor:
    return ramp(_margin_plus_difference(margin, a, b), power, 1)


def pairs_value(z: Tensor, y: Tensor, margin: float, power: int) -> Tensor:
    pairs = _pairs(z, y)
    return pairs.where_counted(pair_value(*pairs.scores, margin, power)).sum((-2, -1)) / z.shape[-1]


def pairs_gradient(z: Tensor, y: Tensor, margin: float, power: int) -> Tensor:
    pairs = _pairs(z, y)
    return pairs.gathered(pair_gradient(*pairs.scores, margin, power)) / z.shape[-1]


def pairs_hvp(z: Tensor, v: Tensor, y: Tensor, margin: float, power: int) -> Tensor:
    pairs, rows = _pairs(z, y), _rows(v, y)
    slopes = ramp(_margin_plus_difference(margin, *pairs.scores), power, 2)
    return pairs.gathered(slopes * (rows - rows.gather(-1, pairs.at))) / z.shape[-1]


pairs_formula = differentiable(
    ClosedForms(
        *("pairs", pairs_value, pairs_gradient, pairs_hvp),
        rows=True,
        indices=False,
        pair=(pair_value, pair_gradient),
    )
)


def _of_lists(
    loss: Differentiable,
    input: Tensor,
    lists: Tensor,
    _weight: Tensor | None,
    _extra: Tensor | None,
    _ignore_index: int,
    reduction: str,
    settings: tuple[Any, ...],
) -> Tensor:
    each = loss(upcast(input, input.dtype), lists.long(), *settings)
    return apply_reduction(each, reduction, input.dtype)


_LISTS = Signature(_of_lists, matrix=True)


def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Multiclass hinge loss: how far other classes come within a margin of the right one.

    L = w_y / C sum_{c != y} h_c^p, at least 0, with h_c = max(0, m - x_y + x_c) and the margin m;
    dL/dx_c = w_y / C p h_c^(p - 1) for c != y, for p = 1 that is w_y / C where h_c > 0 and else 0,
    and dL/dx_y is minus their sum. For p = 1 the Hessian is 0; for p = 2 it is, along v, at c
    2 w_y / C [h_c > 0] (v_c - v_y), and at y minus their sum.

    Args:
        input: scores, (C,) or (N, C), floating point, with C at least 1.
        target: class indices in [0, C), () or (1,), or (N,), of any integer dtype.
        p: the power, 1 or 2.
        margin: m, any finite number.
        weight: a factor w for each class, (C,), of input's dtype.
        reduction: 'mean' over the rows (the weights are not divided by), 'sum' or 'none'.
    Raises:
        ValueError: p is another number; margin is not finite; weight is not one-dimensional;
            unknown reduction.
        RuntimeError: any other mismatch of shapes or dtypes; a class index out of range (seen on
            the CPU; a device-side error on CUDA).
        NotImplementedError: input is not floating point.
    Source: torch.nn.functional.multi_margin_loss; Weston & Watkins 1999 with p = 1, as cited, not
        checked against the paper's own text.
    """
    if is_overridden(input, target, weight):
        return overridden(multi_margin_loss, locals())
    reduction = checks.of_deprecated(size_average, reduce, reduction)
    name = "multi_margin_loss"
    p = multi_margin_settings(p, weight)
    checks.setting(name, "margin", margin)
    # No index is ignored: whatever is no class is an error below.
    rest = (weight, None, -(2**63), reduction, (float(margin), p))
    found = compute(multi_margin_formula, MATRICES, input, target, *rest)
    if found is not None:
        return found
    checks.basics(input, target, weight, reduction)
    x = _rows_of_scores(name, input)
    y = _indices_of_rows(name, input, x, target)
    checks.floating(name, input=input)
    if weight is not None:
        checks.class_weight(x, weight)
        checks.same_dtype(input, weight=weight)
    given = y.reshape(target.shape)
    inside = checks.class_indices(x.shape[-1], given, None, error=RuntimeError)
    loss = indexed(multi_margin_formula, MATRICES, x, y, *rest, inside=inside)
    return loss.reshape(target.shape) if reduction == "none" else loss


def _indices_of_rows(name: str, input: Tensor, x: Tensor, target: Tensor) -> Tensor:
    """Return one class index for each row of x, (N, C), which are those of the input."""
    checks.index_dtype(target)
    # torch lets the one target of a single row be (1,) or have no dimension.
    if target.shape != x.shape[:-1] and not (
        target.dim() < 2 and target.numel() == x.shape[:-1].numel() == 1
    ):
        raise RuntimeError(
            f"{name}: target of size {tuple(target.shape)} but input of size "
            f"{tuple(input.shape)}: expected one class index per row, {tuple(x.shape[:-1])}"
        )
    return target.long().reshape(x.shape[:-1])


class MultiMarginLoss(Loss, nn.MultiMarginLoss):
    """Multiclass hinge loss; drop-in for `torch.nn.MultiMarginLoss`.

    See `losses.functional.multi_margin_loss`.
    """

    function = staticmethod(multi_margin_loss)

    def __init__(
        self,
        p: int = 1,
        margin: float = 1.0,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        multi_margin_settings(p, weight)
        super().__init__(
            {"weight": weight}, size_average, reduce, reduction=reduction, p=p, margin=margin
        )


def multi_margin_textbook(z: Tensor, t: Tensor, p: int, margin: float) -> Tensor:
    right = (t * z).sum(-1, keepdim=True)
    return ((1 - t) * torch.relu(margin - right + z) ** p).mean(-1)


def multi_margin_settings(p: int, weight: Tensor | None) -> int:
    """p, if it is 1 or 2 and the weight is one-dimensional, else ValueError."""
    if isinstance(weight, Tensor) and weight.dim() != 1:
        raise ValueError(
            f"weight must be one-dimensional, one factor per class, got size {tuple(weight.shape)}"
        )
    return known_power("multi_margin_loss", "p", p, (1, 2))


# --- multilabel-margin: pairs with a list of right classes, k = 1 --------------------------------


def multilabel_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Hinge loss of several right classes: how far the wrong ones come within 1 of them.

    L = 1/C sum_l sum_c max(0, 1 - x_l + x_c), at least 0, over the classes l that the target lists
    and the classes c that it does not; dL/dx_c is the number of l with x_c > x_l - 1, over C, and
    dL/dx_l minus the number of such c, over C; the Hessian is 0.
    Needs memory for C^2 numbers per row.

    Args:
        input: scores, (C,) or (N, C), floating point, with C at least 1.
        target: of input's shape, any signed integer dtype: each row lists classes in [0, C) and
            is filled up with -1. What comes after the first -1 is not read, a class that is listed
            twice counts twice, and a row that lists none costs nothing.
        reduction: 'mean' over the rows, 'sum' or 'none'.
    Raises:
        ValueError: unknown reduction.
        RuntimeError: any mismatch of shapes or dtypes; a class index that is neither -1 nor in
            [0, C) (seen on the CPU; elsewhere a negative one ends the list, and one that is too
            large is a device-side error on CUDA).
        NotImplementedError: input is not floating point.
    Source: torch.nn.functional.multilabel_margin_loss.
    """
    if is_overridden(input, target):
        return overridden(multilabel_margin_loss, locals())
    reduction = checks.of_deprecated(size_average, reduce, reduction)
    name = "multilabel_margin_loss"
    rest = (None, None, -100, reduction, (1.0, 1))
    found = compute(pairs_formula, _LISTS, input, target, *rest)
    if found is not None:
        return found
    checks.basics(input, target, None, reduction)
    x = _rows_of_scores(name, input)
    checks.index_dtype(target)
    # torch lets the list of a single class have no dimension.
    lists = (target.reshape(1) if target.dim() == 0 else target).long()
    if lists.shape != x.shape:
        raise RuntimeError(
            f"{name}: target of size {tuple(target.shape)} but input of size "
            f"{tuple(input.shape)}: expected lists of classes in rows of the input's size, filled "
            "up with -1"
        )
    checks.floating(name, input=input)
    checks.class_indices(x.shape[-1], lists, -1, name="padding", error=RuntimeError)
    found = compute_on_cuda(pairs_formula, _LISTS, x, lists, *rest, input.dtype)
    return _of_lists(pairs_formula, x, lists, *rest) if found is None else found


class MultiLabelMarginLoss(TorchReduced, nn.MultiLabelMarginLoss):
    """Hinge loss of several right classes; drop-in for `torch.nn.MultiLabelMarginLoss`.

    See `losses.functional.multilabel_margin_loss`.
    """

    function = staticmethod(multilabel_margin_loss)


def multilabel_margin_textbook(z: Tensor, t: Tensor) -> Tensor:
    # A listed class l and an unlisted class c, (..., l, c).
    of_pair = torch.relu(1 - z.unsqueeze(-1) + z.unsqueeze(-2))
    counted = t.unsqueeze(-1) * (t == 0).unsqueeze(-2)
    return (counted * of_pair).sum(-1).sum(-1) / z.shape[-1]


def _rows_of_scores(function: str, input: Tensor) -> Tensor:
    """input as (C,) or (N, C); a single number is a row of one class, as torch has it."""
    x = input.reshape(1) if input.dim() == 0 else input
    if x.dim() > 2 or x.shape[-1] == 0:
        raise RuntimeError(
            f"{function}: input of size {tuple(input.shape)}: expected (C,) or (N, C) with at "
            "least one class"
        )
    return x


ENTRIES = (
    Entry(
        "multi-margin",
        MultiMarginLoss,
        "multiclass",
        "logits",
        ("index",),
        multi_margin_textbook,
        "multiclass hinge loss",
        images=False,
        formula="Σ_{c≠y} max(0, 1 - z_y + z_c) / C",
        gradient="[z_c > z_y - 1] / C for c ≠ y, minus their sum at y",
        range="[0, ∞)",
        use="scores that only have to be in the right order",
        source="torch.nn.MultiMarginLoss",
    ),
    Entry(
        "multilabel-margin",
        MultiLabelMarginLoss,
        "multilabel",
        "logits",
        ("labels",),
        multilabel_margin_textbook,
        "hinge loss of every right class against every wrong one",
        images=False,
        formula="Σ_l Σ_c max(0, 1 - z_l + z_c) / C, l right, c wrong",
        gradient="#{l: z_l < z_c + 1} / C at c, -#{c: z_c > z_l - 1} / C at l",
        range="[0, ∞)",
        use="to rank the right classes above the wrong ones",
        source="torch.nn.MultiLabelMarginLoss",
    ),
)
