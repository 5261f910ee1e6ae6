"""Calls of a loss by programs of torch's operations: which calls they serve, tiles, the node.

The gradient of rows is computed with the value and kept if the two share much, as torch keeps the
log-softmax of rows; all others are computed in the backward pass, but for the smallest.
With create_graph=True the closed forms compute a differentiable gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import Parameter

from ..source import Request
from ..switches import by_formulas_only, dispatch_keys, is_intercepted, plain_keys, this_thread
from . import lists
from .bounded import BOUND
from .programs import Programs, programs

TILE = 131072
"""Elements of a tile for each thread: its registers then stay in the processor's cache. Of rows
twice as many, because the steps for numbers per row cost the same for any number of rows."""
SMALL = 16384
"""Elements whose gradient is always kept: two calls of torch's operations take longer than one."""
_INDICES = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)
_PLAIN = (Tensor, Parameter)
_MOST = 2**63

# Classes of the widest rows. Torch's products of rows add up float32 in sequence, and lose digits
# in wider ones.
_WIDEST = 2**18


class Call(NamedTuple):
    """Arguments of a loss that its programs can compute.

    Attributes:
        request: the loss, its inputs and settings.
        closed_form: `closed_form(input, target, weight, extra, ignore_index, reduction)`.
        takes_weight: whether the formula takes the weights of the classes.
        weighted_mean: whether the 'mean' over class indices divides by the sum of their weights.
        matrix, unit_interval: as in `Signature`.
    """

    request: Request
    closed_form: Callable[..., Tensor]
    takes_weight: bool
    weighted_mean: bool
    matrix: bool
    unit_interval: bool
    ignore_index: int
    reduction: str


class Examples(NamedTuple):
    """The examples of a call, as the programs take them.

    Attributes:
        tensors: logits (N, C) or (N,), targets, and numbers per class or per element.
        factor: what the loss of each example is multiplied by, (N, 1) or (N,), or None.
        divisor: what the mean divides the sum by, ().
        kept: the rows that are not ignored, of all rows; None: all of them.
    """

    tensors: tuple[Tensor, ...]
    factor: Tensor | None
    divisor: Tensor
    kept: Tensor | None


def compute(
    call: Call, input: Tensor, target: Tensor, weight: Tensor | None, extra: Tensor | None
) -> Tensor | None:
    """Compute a loss, weighted and reduced; None if the call is not plain."""
    if not _is_plain(call, input, target, weight, extra):
        return None
    examples = _examples(call, input.detach(), target, weight, extra)
    if examples is None or _programs(call, examples, bounded=False) is None:
        return None
    if not (input.requires_grad and torch.is_grad_enabled()):
        return _value(call, examples, input, None)
    loss: Tensor = EagerLoss.apply(input, target, weight, extra, call, examples)
    return loss


# --- which calls ---------------------------------------------------------------------------------


def _is_plain(
    call: Call, z: Tensor, t: Tensor, weight: Tensor | None, extra: Tensor | None
) -> bool:
    """Return whether a program can compute a call, except for wrong class indices.

    No tensor but the input needs a gradient.
    """
    if this_thread.formulas_only or is_intercepted() or not _is_plain_tensor(z):
        return False
    graph = torch.is_grad_enabled()
    for x in (t, weight, extra):
        if x is not None and not (_is_plain_tensor(x) and not (graph and x.requires_grad)):
            return False
    forms, dtype, shape = call.request.loss.forms, z.dtype, z.shape
    if call.reduction not in ("mean", "sum", "none") or not -_MOST <= call.ignore_index < _MOST:
        return False
    if dtype not in (torch.float32, torch.float64) or z.numel() == 0:
        return False
    if (forms.rows and not shape) or (call.matrix and len(shape) != 2):
        return False
    sizes = shape[min(1, len(shape) - 1) :][:1] if forms.rows else shape
    for x in (weight, extra):
        if x is not None and not (x.dtype == dtype and _fits(x, sizes, exactly=forms.rows)):
            return False
    if not forms.rows:
        same = t.dtype == dtype and t.shape == shape
        return same and z.is_contiguous() and t.is_contiguous()
    if sizes[0] > _WIDEST:
        return False
    if forms.pair is not None:
        return t.dtype in _INDICES and t.shape == shape
    if "y" in call.request.inputs:
        of_rows = shape[: len(shape) > 1] + shape[2:]
        return forms.indices and t.dtype in _INDICES and t.shape == of_rows
    return t.dtype == dtype and t.shape == shape


def _is_plain_tensor(x: Tensor) -> bool:
    return type(x) in _PLAIN and not dispatch_keys(x) & ~plain_keys("cpu")


def _fits(x: Tensor, sizes: torch.Size, *, exactly: bool) -> bool:
    """Return whether x has a shape, or can be broadcast to it."""
    if exactly:
        return x.shape == sizes
    pairs = zip(reversed(x.shape), reversed(sizes), strict=False)
    return x.dim() <= len(sizes) and all(a in (1, b) for a, b in pairs)


def _examples(
    call: Call, z: Tensor, t: Tensor, weight: Tensor | None, extra: Tensor | None
) -> Examples | None:
    """Return the examples of a call; None for a class index that is wrong, or no examples."""
    if call.unit_interval and not (_within(z, 0, 1) and _within(t, 0, 1)):
        return None
    if not call.request.loss.forms.rows:
        rest = [x.expand(z.shape).reshape(-1) for x in (extra,) if x is not None]
        factor = None if weight is None else weight.expand(z.shape).reshape(-1)
        return Examples((_flat(z), _flat(t), *rest), factor, _number(z.numel(), z.dtype), None)
    z = _matrix(z)
    classes = z.shape[1]
    of_formula = weight if call.takes_weight else extra
    rest = [] if of_formula is None else [of_formula.expand(z.shape)]
    if "y" not in call.request.inputs:
        t = _matrix(t)
        factor = None
        if weight is not None and not call.takes_weight:
            factor = (t * weight).sum(-1, keepdim=True)
        return Examples((z, t, *rest), factor, _number(z.shape[0], z.dtype), None)
    if call.request.loss.forms.pair is not None:
        y = t.long().reshape(z.shape)
        count = _number(z.shape[0], z.dtype)
        return Examples((z, y), None, count, None) if _within(y, -1, classes - 1) else None
    y, kept = _flat(t).long(), None
    if 0 <= call.ignore_index < classes or not _within(y, 0, classes - 1):
        kept = y != call.ignore_index
        z, y = z[kept], y[kept]
        rest = [x[: len(z)] for x in rest]
        if not len(y) or not _within(y, 0, classes - 1):
            return None
    divisor = _number(y.shape[0], z.dtype)
    factor = None
    y = y.unsqueeze(-1)
    if weight is not None:
        of_rows = weight[y]
        divisor = of_rows.sum() if call.weighted_mean else divisor
        factor = None if call.takes_weight else of_rows
    return Examples((z, y, *rest), factor, divisor, kept)


@lru_cache(maxsize=256)
def _number(value: int, dtype: torch.dtype) -> Tensor:
    """Return a number as a tensor: torch makes one of a Python number at every operation."""
    return torch.tensor(value, dtype=dtype)


def _flat(x: Tensor) -> Tensor:
    return x if x.dim() == 1 else x.reshape(-1)


def _matrix(x: Tensor) -> Tensor:
    """Return (N, C, d1, ...) or (C,) as rows (N, C)."""
    if x.dim() == 2:
        return x
    return x.unsqueeze(0) if x.dim() == 1 else x.movedim(1, -1).reshape(-1, x.shape[1])


def _programs(call: Call, examples: Examples, *, bounded: bool) -> Programs | None:
    z = examples.tensors[0]
    classes = z.shape[-1] if z.dim() > 1 else 0
    request = call.request
    if z.dtype == torch.float64:
        request = request._replace(float64=True)
    return programs(request, classes, bounded)


# --- tiles ---------------------------------------------------------------------------------------


def _computed(
    call: Call,
    examples: Examples,
    part: str,
    gradient: Tensor | None,
    factor: Tensor | None = None,
) -> Iterator[tuple[slice, Any]]:
    """Compute the `part` of the programs tile by tile: write gradients, and yield the values.

    Yields the positions of the examples and the value.
    """
    z = examples.tensors[0]
    bounded, size = getattr(_programs(call, examples, bounded=True), part), z.shape[0]
    count = size if bounded.of_rows or z.numel() <= TILE else _tile(z)
    started: dict[tuple[bool, int], list[Any]] = {}
    for begin in range(0, size, count):
        rows, tensors, room, share = slice(begin, begin + count), examples.tensors, gradient, factor
        if count < size:
            tensors = tuple(x[rows] for x in tensors)
            room = None if gradient is None else gradient[rows]
            share = factor[rows] if factor is not None and factor.dim() else factor
        calm = not bounded.bound or all(
            _within(x, -BOUND, BOUND) for x in tensors if x.is_floating_point()
        )
        program = bounded if calm else getattr(_programs(call, examples, bounded=False), part)
        key = calm, tensors[0].shape[0]
        if key not in started:
            started[key] = program.start(tensors[0])
        yield rows, program.run(started[key], tensors, room, share)


def _of_lists(
    call: Call, examples: Examples, part: str, gradient: Tensor | None
) -> Iterator[tuple[slice, Any]]:
    """Compute examples with lists of classes as `_computed` does."""
    z, y = examples.tensors
    finite = _within(z, -BOUND, BOUND)
    program = getattr(_programs(call, examples, bounded=finite), part)
    for rows in lists.tiles(y, z.shape[1], TILE):
        room = None if gradient is None else gradient[rows]
        yield rows, lists.run(program, z[rows], y[rows], room, finite=finite)


def _tile(z: Tensor) -> int:
    """Return the number of examples of a tile."""
    of_rows = z.dim() > 1
    return max(1, (1 + of_rows) * TILE * torch.get_num_threads() * z.shape[0] // z.numel())


def _within(x: Tensor, low: float, high: float) -> bool:
    """Return whether all numbers are in an interval, and none is NaN."""
    least, most = x.aminmax()
    return least.item() >= low and most.item() <= high


def _value(call: Call, examples: Examples, input: Tensor, gradient: Tensor | None) -> Tensor:
    """Return the loss, and write the gradient of the examples' losses if there is room for it."""
    z = examples.tensors[0]
    part = "value" if gradient is None else "both"
    computed = _computed if call.request.loss.forms.pair is None else _of_lists
    found = []
    for rows, value in computed(call, examples, part, gradient):
        each = value if examples.factor is None else value * examples.factor[rows]
        if call.reduction == "none":
            each = each.expand((*z[rows].shape[:-1], 1) if z.dim() > 1 else z[rows].shape)
            found.append(each.clone())
        elif each.numel() > 1 or z.shape[0] == 1:
            found.append(each.sum())
        else:
            found.append(each.sum() * len(z[rows]))
    if call.reduction == "none":
        return _of_all(torch.cat(found).view(-1), examples, input)
    total = found[0] if len(found) == 1 else torch.stack(found).sum()
    return total / examples.divisor if call.reduction == "mean" else total


def _of_all(each: Tensor, examples: Examples, input: Tensor) -> Tensor:
    """Return numbers per kept row, or per element, in the shape of the losses."""
    if examples.tensors[0].dim() == 1:
        return each.view(input.shape)
    if examples.kept is not None:
        each = each.new_zeros(len(examples.kept)).masked_scatter_(examples.kept, each)
    return each.view(input.shape[: input.dim() > 1] + input.shape[2:])


def _gradient(call: Call, examples: Examples, factor: Tensor) -> Tensor:
    """Return the gradient of the examples times a factor."""
    gradient = torch.empty_like(examples.tensors[0])
    for _ in _computed(call, examples, "gradient", gradient, factor):
        pass
    return gradient


# --- node ----------------------------------------------------------------------------------------


class EagerLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        input: Tensor,
        target: Tensor,
        weight: Tensor | None,
        extra: Tensor | None,
        call: Call,
        examples: Examples,
    ) -> Tensor:
        ctx.set_materialize_grads(False)
        z = examples.tensors[0]
        keeps = z.numel() <= SMALL or _shares(call, examples)
        gradient = torch.empty_like(z) if keeps else None
        loss = _value(call, examples, input, gradient)
        ctx.save_for_backward(input, target, weight, extra, gradient)
        ctx.call = call
        # Else they are made again: what is kept outside of the saved tensors no hook would see.
        simple = keeps and examples.factor is examples.kept is None and input.dim() < 3
        ctx.examples = Examples((), None, examples.divisor, None) if simple else None
        return loss

    @staticmethod
    def backward(ctx: Any, upstream: Tensor | None) -> tuple[Tensor | None, ...]:
        nothing = (None,) * 5
        if upstream is None:
            return None, *nothing
        input, target, weight, extra, gradient = ctx.saved_tensors
        call: Call = ctx.call
        if torch.is_grad_enabled() or is_intercepted() or not _is_plain_tensor(upstream):
            return _differentiable(call, upstream, input, target, weight, extra), *nothing
        examples = ctx.examples or _examples(call, input.detach(), target, weight, extra)
        assert examples is not None
        factor = _factor(call, examples, upstream)
        gradient = _gradient(call, examples, factor) if gradient is None else gradient * factor
        return _of_input(gradient, examples, input), *nothing


def _shares(call: Call, examples: Examples) -> bool:
    """Return whether the value and the gradient of rows share much."""
    forms, chosen = call.request.loss.forms, _programs(call, examples, bounded=False)
    assert chosen is not None
    return forms.rows and (chosen.shares or forms.pair is not None)


def _factor(call: Call, examples: Examples, upstream: Tensor) -> Tensor:
    """Return what the gradient of an example's loss is multiplied by."""
    factor = upstream / examples.divisor if call.reduction == "mean" else upstream
    if call.reduction == "none":
        factor = upstream.reshape(-1)
        if examples.kept is not None:
            factor = factor[examples.kept]
        if call.request.loss.forms.rows:
            factor = factor.unsqueeze(-1)
    return factor if examples.factor is None else factor * examples.factor


def _of_input(gradient: Tensor, examples: Examples, input: Tensor) -> Tensor:
    """Return the gradient of rows or elements in the shape of the input."""
    if examples.kept is not None:
        whole = gradient.new_zeros(len(examples.kept), gradient.shape[1])
        whole[examples.kept] = gradient
        gradient = whole
    if gradient.dim() == input.dim():
        return gradient
    if gradient.dim() < 2 or input.dim() < 3:
        return gradient.view_as(input)
    shape = input.movedim(1, -1).shape
    whole = gradient.view(shape).movedim(-1, 1)
    return whole.contiguous() if input.is_contiguous() else whole


def _differentiable(call: Call, upstream: Tensor, input: Tensor, *rest: Any) -> Tensor:
    """Return the gradient by the closed forms, differentiable where a graph is built."""
    graph = torch.is_grad_enabled()
    with torch.enable_grad(), by_formulas_only():
        loss = call.closed_form(input, *rest, call.ignore_index, call.reduction)
    gradient: Tensor
    (gradient,) = torch.autograd.grad(loss, input, upstream, create_graph=graph)
    return gradient
