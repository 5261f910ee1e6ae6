"""Kernels of losses of single logits on torch's tensors."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .call import OPTIONS, Call, Computed

FOCAL = "sigmoid_focal"
FORMS = ("bce_with_logits", "weighted_bce", FOCAL)
# Exponents gamma for which the focal loss multiplies.
POWERS = range(9)

_BLOCK = 2048
_WARPS = 8


def compute(call: Call, gradient: bool, upstream: Tensor | None) -> Computed:
    from .source import elements

    z = call.input.contiguous()
    t = call.target.contiguous()
    count = z.numel()
    programs = -(-count // _BLOCK)
    extra, extra_kind, extra_period = _broadcast(call.extra, z)
    weight, weight_kind, weight_period = _broadcast(call.weight, z)
    none = call.reduction == "none"
    each = torch.empty_like(z, dtype=call.dtype) if none else None
    sums = None if none else torch.empty(programs, dtype=torch.float32, device=z.device)
    g = torch.empty_like(z) if gradient else None
    along, stride = _strided(upstream)
    gamma, alpha = call.settings if call.form == FOCAL else (0.0, 0.0)
    options: dict[str, Any] = {
        "FOCAL": call.form == FOCAL,
        "GAMMA": int(gamma),
        "BALANCED": alpha >= 0,
        "EXTRA": extra_kind,
        "WEIGHT": weight_kind,
    }
    elements.elementwise[(programs,)](
        z,
        t,
        extra,
        weight,
        each,
        sums,
        g,
        along,
        count,
        extra_period,
        weight_period,
        stride,
        1.0 / count if call.reduction == "mean" else 1.0,
        float(alpha),
        **options,
        BLOCK=_BLOCK,
        num_warps=_WARPS,
        **OPTIONS,
    )
    if upstream is not None:
        return None, g
    return (each if sums is None else sums.sum().to(call.dtype)), g


def scale(gradient: Tensor, upstream: Tensor, in_place: bool) -> Tensor:
    """Return gradient * upstream for a scalar on the device; in place a factor of 1 is free."""
    from .source import elements

    # The layout does not matter.
    to = gradient if in_place else torch.empty_like(gradient)
    block = 4096
    programs = min(-(-gradient.numel() // block), 2048)
    elements.scaled[(programs,)](
        gradient,
        to,
        upstream,
        gradient.numel(),
        IN_PLACE=in_place,
        BLOCK=block,
        num_warps=8,
        **OPTIONS,
    )
    return to


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


def _strided(upstream: Tensor | None) -> tuple[Tensor | None, int]:
    """Return the upstream gradient and its stride, 0 where all elements are the same."""
    if upstream is None:
        return None, 0
    if upstream.numel() == 1 or not any(upstream.stride()):
        return upstream, 0
    return upstream.contiguous(), 1
