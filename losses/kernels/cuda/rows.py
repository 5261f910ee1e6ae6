"""Cross-entropy's kernels on torch's tensors: layouts, reductions, and which kernel for a row."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from .call import OPTIONS, Call, Computed


class Plan(NamedTuple):
    """Which kernel computes a row: 'whole', 'twice' or 'shared'; how many numbers a program holds
    at a time, in how many warps, and the registers that a thread may have."""

    way: str
    block: int
    warps: int
    registers: int | None = None


# Where it is set it is the plan, for measurements.
chosen: Plan | None = None
# Classes that one program can hold well, and parts of a row that can wait for each other.
_WHOLE, _PARTS = 16384, 32
# Numbers that a thread holds.
_HELD = 32
_TILE = 4096


def plan_of(classes: int, smooth: bool, narrow: bool, by_itself: bool = True) -> Plan:
    """The fastest on an H200, of those that were measured for 32,768 and 131,072 classes. Numbers
    of two bytes come so fast that arithmetic takes longer, and reading them twice costs less than
    waiting for each other; and only a kernel that runs `by_itself` has programs that wait."""
    if chosen is not None:
        return chosen
    block = 1 << (classes - 1).bit_length()
    if block <= _WHOLE:
        warps = max(_TILE, block) // (32 * _HELD)
        # So that as many programs fit a multiprocessor as its registers hold rows.
        return Plan("whole", block, warps, 64 if block >= _TILE else None)
    if narrow:
        return Plan("twice", 4096, 4)
    if smooth or not by_itself or classes > _PARTS * 8192:
        return Plan("twice", 16384, 16)
    return Plan("shared", 4096, 4, 64) if classes <= 65536 else Plan("shared", 8192, 8, 64)


def _on_the_default_stream(z: Tensor) -> bool:
    """Where no other kernel can run beside it that has been started in the same way."""
    cuda: Any = torch.cuda
    return not z.is_cuda or bool(cuda.current_stream(z.device) == cuda.default_stream(z.device))


def compute(call: Call, gradient: bool, upstream: Tensor | None) -> Computed:
    from .source import softmax

    input = call.input
    z = _rows_of(input)
    rows, classes = z.shape
    y = call.target.reshape(-1).contiguous()
    weight = None if call.weight is None else call.weight.contiguous()
    smoothing = call.settings[0]
    total = _total_weight(call, y, weight, classes)
    divisor = total if call.reduction == "mean" else None
    dtype = call.dtype if call.reduction == "none" else torch.float32
    each = torch.empty(rows, dtype=dtype, device=z.device)
    g = torch.empty((rows, classes), dtype=z.dtype, device=z.device) if gradient else None
    along = upstream.reshape(-1) if upstream is not None else None
    tensors = (z, y, weight, each, g, divisor, along)
    stride = along.stride(0) if along is not None and along.numel() > 1 else 0
    numbers = (rows, classes, z.stride(0), call.ignored)
    plan = plan_of(classes, smoothing > 0, z.element_size() < 4, _on_the_default_stream(z))
    sizes: dict[str, Any] = {"BLOCK": plan.block, "num_warps": plan.warps, **OPTIONS}
    if plan.registers is not None:
        sizes["maxnreg"] = plan.registers
    if plan.way == "shared":
        team = -(-classes // plan.block)
        board = torch.zeros(1 + rows * team, dtype=torch.int64, device=z.device)
        softmax.rows_shared[(rows * team,)](*tensors, board, *numbers, stride, **sizes, TEAM=team)
    elif plan.way == "twice":
        softmax.rows_twice[(rows,)](
            *tensors, *numbers, smoothing, stride, **sizes, SMOOTH=smoothing > 0
        )
    else:
        at_once = max(1, _TILE // plan.block)
        softmax.whole_rows[(-(-rows // at_once),)](
            *tensors,
            *numbers,
            smoothing,
            stride,
            **sizes,
            SMOOTH=smoothing > 0,
            ROWS=at_once,
        )
    loss = _reduced(call, each, divisor) if upstream is None else None
    return loss, None if g is None else _laid_out(g, input)


def _rows_of(input: Tensor) -> Tensor:
    """(rows, classes), the classes of a row next to each other; where they lie so, no copy."""
    if input.dim() == 1:
        return input.contiguous().unsqueeze(0)
    z = input.movedim(1, -1) if input.dim() > 2 else input
    z = z.reshape(-1, z.shape[-1])
    return z if z.stride(1) == 1 else z.contiguous()


def _laid_out(g: Tensor, input: Tensor) -> Tensor:
    """Rows in input's shape."""
    if input.dim() <= 2:
        return g.view(input.shape)
    return g.view(input.shape[0], *input.shape[2:], input.shape[1]).movedim(-1, 1)


def _total_weight(call: Call, y: Tensor, weight: Tensor | None, classes: int) -> Tensor:
    """What all rows weigh. An index that is no class is an assertion's failure on the device."""
    from .source import softmax

    block = 4096
    programs = -(-len(y) // block)
    parts = torch.empty(programs, dtype=torch.float32, device=y.device)
    softmax.weigh[(programs,)](
        y,
        weight,
        parts,
        len(y),
        classes,
        call.ignored,
        BLOCK=block,
        num_warps=8,
        **OPTIONS,
        debug=True,
    )
    return parts.sum() if programs > 1 else parts.squeeze(0)


def _reduced(call: Call, each: Tensor, divisor: Tensor | None) -> Tensor:
    if call.reduction == "none":
        return each.view(call.target.shape)
    total = each.sum()
    return (total if divisor is None else total / divisor).to(call.dtype)
