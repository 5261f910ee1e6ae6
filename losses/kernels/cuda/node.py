"""Autograd node of a loss that a CUDA kernel computed; source/node.cpp is that of the CPU.

The last backward pass returns the kernel's gradient without a copy. With create_graph=True the
closed forms compute a differentiable gradient.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..switches import without_cuda_kernels
from . import rows, singles
from .call import CROSS_ENTROPY, Call, Computed

on_device: Any = torch.cuda.device_of
"""Context that makes the device of a tensor current."""


def compute(call: Call, gradient: bool, upstream: Tensor | None = None) -> Computed:
    """Compute the loss and, if requested, its gradient; with `upstream`, only the gradient."""
    with on_device(call.input):
        of = rows.compute if call.form == CROSS_ENTROPY else singles.compute
        return of(call, gradient, upstream)


def _is_like(x: Tensor, like: Tensor) -> bool:
    """Return whether x has the device and dispatch keys of `like`."""
    keys: Any = torch._C._dispatch_keys
    return x.device == like.device and bool(keys(x) == keys(like))


def frees_graph() -> bool:
    """Return whether this backward pass frees its graph."""
    kept: Any = getattr(torch._C._autograd, "_get_current_graph_task_keep_graph", None)
    return kept is not None and not kept()


class Loss(torch.autograd.Function):
    """Autograd node; its name is LossBackward, as on the CPU."""

    @staticmethod
    def forward(ctx: Any, input: Tensor, call: Call) -> Tensor:
        ctx.set_materialize_grads(False)
        call = call._replace(input=input.detach())
        loss, ctx.gradient = compute(call, gradient=not call.late)
        ctx.save_for_backward(input, *call.tensors[1:])
        ctx.late = call.late
        ctx.autocast = call.dtype != input.dtype
        nothing = torch.empty(0, dtype=input.dtype)
        ctx.call = call._replace(input=nothing, target=nothing, weight=None, extra=None)
        assert loss is not None
        return loss

    @staticmethod
    def backward(ctx: Any, upstream: Tensor | None) -> tuple[Tensor | None, None]:
        if upstream is None:
            return None, None
        if torch.is_grad_enabled():
            return _double_backward(ctx, upstream), None
        if ctx.late:
            return _recomputed(ctx, upstream), None
        return _scaled(ctx, upstream), None


def _recomputed(ctx: Any, upstream: Tensor) -> Tensor | None:
    input, target, weight, extra = ctx.saved_tensors
    input = input.detach()
    call: Call = ctx.call._replace(input=input, target=target, weight=weight, extra=extra)
    if _is_like(upstream, input):
        return compute(call, gradient=True, upstream=upstream)[1]
    gradient = compute(call._replace(input=input.float()), gradient=True)[1]
    assert gradient is not None
    # One loss per row: the class dimension of the logits is missing.
    if 0 < upstream.dim() < gradient.dim() or (call.form == CROSS_ENTROPY and gradient.dim() == 1):
        upstream = upstream.unsqueeze(min(1, gradient.dim() - 1))
    return (gradient * upstream).to(input.dtype)


def _scaled(ctx: Any, upstream: Tensor) -> Tensor:
    gradient: Tensor | None = ctx.gradient
    if gradient is None:
        # Freed: reading the saved tensors raises torch's own error.
        _ = ctx.saved_tensors
        raise RuntimeError("Trying to backward through the graph a second time")
    if not _is_like(upstream, gradient):
        return gradient * upstream
    own = frees_graph()
    if own:
        ctx.gradient = None
    with on_device(gradient):
        return singles.scale(gradient, upstream, in_place=own)


def _double_backward(ctx: Any, upstream: Tensor) -> Tensor:
    """Compute the gradient by the closed forms, differentiable by the logits and `upstream`."""
    call: Call = ctx.call
    input, target, weight, extra = ctx.saved_tensors
    # The loss needs the dtype of the forward pass.
    with without_cuda_kernels(), torch.autocast(input.device.type, enabled=ctx.autocast):
        loss = call.again(input, target, weight, extra, call.ignored, call.reduction)
    gradient: Tensor
    (gradient,) = torch.autograd.grad(loss, input, upstream, create_graph=True)
    return gradient
