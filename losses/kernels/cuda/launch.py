"""Kernels on torch's tensors: layouts, reductions, sizes of blocks."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .call import OPTIONS, Call, Saved

# Elements per program, and per block of a program of rows.
_ELEMENTS = 2048
_TILE = 4096
_WARPS = 8
# Up to so many classes a loss of lists has a program hold a row.
LISTED_CLASSES = 4096
# Numbers that are saved for the gradient are few beside the logits.
_SAVING_CLASSES = 64


def value(call: Call, save: bool) -> tuple[Tensor, Saved]:
    """Compute a loss; with `save` also what its gradient needs."""
    if not call.forms.rows:
        return _value_of_elements(call), Saved()
    if call.forms.pair is not None:
        return _value_of_lists(call), Saved()
    return _value_of_rows(call, save)


def gradient(call: Call, saved: Saved, upstream: Tensor) -> Tensor:
    """Compute the gradient of the input; `upstream` is that of the loss."""
    if not call.forms.rows:
        return _gradient_of_elements(call, upstream)
    if call.forms.pair is not None:
        return _gradient_of_lists(call, upstream)
    return _gradient_of_rows(call, saved, upstream)


# --- elements ------------------------------------------------------------------------------------


def _value_of_elements(call: Call) -> Tensor:
    from .runtime import elements

    z, t, extra, weight, kinds, periods = _of_elements(call)
    programs = -(-z.numel() // _ELEMENTS)
    each, sums = None, None
    if call.reduction == "none":
        each = torch.empty_like(z, dtype=call.dtype)
    else:
        sums = torch.empty(programs, dtype=torch.float32, device=z.device)
    elements.values[(programs,)](
        *(z, t, extra, weight, each, sums, call.kernel.constants_on(z.device), z.numel()),
        *periods,
        VALUE=call.kernel.value,
        **kinds,
        BLOCK=_ELEMENTS,
        num_warps=_WARPS,
        **OPTIONS,
    )
    if each is not None:
        return each
    assert sums is not None
    total = sums.sum()
    return (total / z.numel() if call.reduction == "mean" else total).to(call.dtype)


def _gradient_of_elements(call: Call, upstream: Tensor) -> Tensor:
    from .runtime import elements

    z, t, extra, weight, kinds, periods = _of_elements(call)
    g = torch.empty_like(z)
    along, step = _strided(upstream)
    elements.gradients[(-(-z.numel() // _ELEMENTS),)](
        *(z, t, extra, weight, g, along, call.kernel.constants_on(z.device), z.numel()),
        *periods,
        1.0 / z.numel() if call.reduction == "mean" else 1.0,
        GRADIENT=call.kernel.gradient,
        UPSTREAM=step,
        **kinds,
        BLOCK=_ELEMENTS,
        num_warps=_WARPS,
        **OPTIONS,
    )
    return g


def _of_elements(call: Call) -> tuple[Any, ...]:
    z, t = call.input.contiguous(), call.target.contiguous()
    extra, extra_kind, extra_period = _broadcast(call.extra, z)
    weight, weight_kind, weight_period = _broadcast(call.weight, z)
    kinds = {"W": extra_kind, "WEIGHT": weight_kind}
    return z, t, extra, weight, kinds, (extra_period, weight_period)


def _broadcast(x: Tensor | None, z: Tensor) -> tuple[Tensor | None, int, int]:
    """Return x, its kind and its period for a tensor that is broadcast to z.

    Kinds: 0, None; 1, one element per element of z; 2, elements of the last dimensions, repeated
    with the period.
    """
    if x is None:
        return None, 0, 0
    if x.numel() == 1 or (x.numel() < z.numel() and x.shape == z.shape[z.dim() - x.dim() :]):
        return x.contiguous(), 2, x.numel()
    return x.expand(z.shape).contiguous(), 1, 0


def _strided(upstream: Tensor) -> tuple[Tensor, int]:
    """Return the upstream gradient and its stride, 0 where all elements are the same."""
    if upstream.numel() == 1 or not any(upstream.stride()):
        return upstream, 0
    return upstream.contiguous(), 1


# --- rows ----------------------------------------------------------------------------------------


def _value_of_rows(call: Call, save: bool) -> tuple[Tensor, Saved]:
    from .runtime import rows

    z, t, y, sizes = _of_rows(call)
    count, classes = z.shape
    statistics = None
    if save and call.kernel.saves and classes >= _SAVING_CLASSES:
        statistics = torch.empty((count, 2), dtype=torch.float32, device=z.device)
    dtype = call.dtype if call.reduction == "none" else torch.float32
    each = torch.empty(count, dtype=dtype, device=z.device)
    total = None if y is None else _total_weight(call, y, classes)
    rows.values[_grid(count, sizes)](
        *(z, t, y, _contiguous(call.formula_weight), _contiguous(call.factor), statistics, each),
        *(call.kernel.constants_on(z.device), count, classes, z.stride(0)),
        *(0 if t is None else t.stride(0), call.ignored),
        VALUE=call.kernel.value,
        **sizes,
    )
    if call.reduction == "none":
        shape = call.input.shape
        each = each.view(shape[:1] + shape[2:] if len(shape) > 1 else ())
        return each, Saved(statistics)
    loss = each.sum()
    if call.reduction == "sum":
        return loss.to(call.dtype), Saved(statistics)
    if total is None or not call.forms.weighted_mean:
        total = torch.full((), count, dtype=torch.float32, device=z.device)
    return (loss / total).to(call.dtype), Saved(statistics, total)


def _gradient_of_rows(call: Call, saved: Saved, upstream: Tensor) -> Tensor:
    from .runtime import rows

    z, t, y, sizes = _of_rows(call)
    count, classes = z.shape
    g = torch.empty((count, classes), dtype=z.dtype, device=z.device)
    along, step = _strided(upstream)
    rows.gradients[_grid(count, sizes)](
        *(z, t, y, _contiguous(call.formula_weight), _contiguous(call.factor), saved.statistics),
        *(g, saved.divisor, along, call.kernel.constants_on(z.device), count, classes),
        *(z.stride(0), 0 if t is None else t.stride(0), step, call.ignored),
        GRADIENT=call.kernel.gradient,
        **sizes,
    )
    if call.input.dim() <= 2:
        return g.view(call.input.shape)
    shape = call.input.shape
    return g.view(shape[0], *shape[2:], shape[1]).movedim(-1, 1)


def _of_rows(call: Call) -> tuple[Tensor, Tensor | None, Tensor | None, dict[str, Any]]:
    """Return logits and targets as (rows, classes), class indices, and the sizes of a program."""
    z = _rows_of(call.input)
    y = call.target.reshape(-1).contiguous() if call.has_index else None
    t = None if call.has_index else _rows_of(call.target)
    block = min(_TILE, 1 << (z.shape[1] - 1).bit_length())
    sizes = {"ROWS": _TILE // block, "BLOCK": block, "num_warps": _WARPS, **OPTIONS}
    if call.kernel.exact:
        sizes["enable_fp_fusion"] = False
    return z, t, y, sizes


def _grid(count: int, sizes: dict[str, Any]) -> tuple[int]:
    return (-(-count // sizes["ROWS"]),)


def _contiguous(x: Tensor | None) -> Tensor | None:
    return None if x is None else x.contiguous()


def _rows_of(input: Tensor) -> Tensor:
    """Return (rows, classes) with contiguous classes, a view if they are contiguous already."""
    if input.dim() == 1:
        return input.contiguous().unsqueeze(0)
    z = input.movedim(1, -1) if input.dim() > 2 else input
    z = z.reshape(-1, z.shape[-1])
    return z if z.stride(1) == 1 else z.contiguous()


def _total_weight(call: Call, y: Tensor, classes: int) -> Tensor:
    """Return the sum of the rows' weights; a wrong index fails an assertion on the device."""
    from .runtime import rows

    block = 4096
    programs = -(-len(y) // block)
    parts = torch.empty(programs, dtype=torch.float32, device=y.device)
    rows.weigh[(programs,)](
        *(y, _contiguous(call.weight), parts, len(y), classes, call.ignored),
        BLOCK=block,
        num_warps=_WARPS,
        **OPTIONS,
        debug=True,
    )
    return parts.sum() if programs > 1 else parts.squeeze(0)


# --- lists of classes ----------------------------------------------------------------------------


def _value_of_lists(call: Call) -> Tensor:
    from .runtime import lists

    z, y = call.input.contiguous(), call.target.contiguous()
    dtype = call.dtype if call.reduction == "none" else torch.float32
    each = torch.empty(len(z), dtype=dtype, device=z.device)
    lists.values[(len(z),)](
        *(z, y, each, call.kernel.constants_on(z.device), z.shape[1]),
        VALUE=call.kernel.value,
        **_of_lists(z.shape[1]),
    )
    if call.reduction == "none":
        return each
    return (each.mean() if call.reduction == "mean" else each.sum()).to(call.dtype)


def _gradient_of_lists(call: Call, upstream: Tensor) -> Tensor:
    from .runtime import lists

    z, y = call.input.contiguous(), call.target.contiguous()
    g = torch.empty_like(z)
    along, step = _strided(upstream)
    lists.gradients[(len(z),)](
        *(z, y, g, along, call.kernel.constants_on(z.device), z.shape[1], step),
        1.0 / len(z) if call.reduction == "mean" else 1.0,
        GRADIENT=call.kernel.gradient,
        **_of_lists(z.shape[1]),
    )
    return g


def _of_lists(classes: int) -> dict[str, Any]:
    block = 1 << (classes - 1).bit_length()
    return {"BLOCK": block, "num_warps": _WARPS if block >= 1024 else 1, "debug": True, **OPTIONS}
