"""A loss that a kernel on CUDA computed, as a function that autograd knows.

It does what source/node.cpp does on the CPU: the gradient that the kernel found is given away where
nobody can ask for it again, and where a graph of the backward pass is being built the closed forms
give the gradient, as a function of the logits.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..double_backward import differentiable_gradient
from ..switches import without_cuda_kernels
from . import rows, singles
from .call import Call, Computed

on_device: Any = torch.cuda.device_of
"""The context in which kernels are started: on the device of a tensor."""


def compute(call: Call, gradient: bool, upstream: Tensor | None = None) -> Computed:
    """The loss and, if asked for, its gradient. With `upstream`, the gradient along that alone."""
    with on_device(call.input):
        of = rows.compute if call.form < 0 else singles.compute
        return of(call, gradient, upstream)


def _as(x: Tensor, like: Tensor) -> bool:
    """Whether x is on the device of `like`, and as plain."""
    keys: Any = torch._C._dispatch_keys
    return x.device == like.device and bool(keys(x) == keys(like))


def given_away() -> bool:
    """Whether the graph that is being walked is thrown away behind us."""
    kept: Any = getattr(torch._C._autograd, "_get_current_graph_task_keep_graph", None)
    return kept is not None and not kept()


class Loss(torch.autograd.Function):
    """The node; its name in a graph is LossBackward, as that of the CPU's."""

    @staticmethod
    def forward(ctx: Any, input: Tensor, call: Call) -> Tensor:
        ctx.set_materialize_grads(False)
        call = call._replace(input=input.detach())
        loss, ctx.gradient = compute(call, gradient=not call.late)
        ctx.save_for_backward(input, *call.tensors[1:])
        ctx.late = call.late
        ctx.autocast = call.dtype != input.dtype
        nothing = torch.empty(0, dtype=input.dtype)
        ctx.call = call._replace(input=nothing, target=nothing, weight=None, third=None)
        assert loss is not None
        return loss

    @staticmethod
    def backward(ctx: Any, upstream: Tensor | None) -> tuple[Tensor | None, None]:
        if upstream is None:
            return None, None
        if torch.is_grad_enabled():
            return _again(ctx, upstream), None
        if ctx.late:
            return _late(ctx, upstream), None
        return _along(ctx, upstream), None


def _late(ctx: Any, upstream: Tensor) -> Tensor | None:
    input, target, weight, third = ctx.saved_tensors
    input = input.detach()
    call: Call = ctx.call._replace(input=input, target=target, weight=weight, third=third)
    if _as(upstream, input):
        return compute(call, gradient=True, upstream=upstream)[1]
    gradient = compute(call._replace(input=input.float()), gradient=True)[1]
    assert gradient is not None
    # A loss a row has one number where the logits have a dimension of classes.
    if 0 < upstream.dim() < gradient.dim() or (call.form < 0 and gradient.dim() == 1):
        upstream = upstream.unsqueeze(min(1, gradient.dim() - 1))
    return (gradient * upstream).to(input.dtype)


def _along(ctx: Any, upstream: Tensor) -> Tensor:
    gradient: Tensor | None = ctx.gradient
    if gradient is None:
        # Given away: saved tensors are gone too, and torch says so in its own words.
        _ = ctx.saved_tensors
        raise RuntimeError("Trying to backward through the graph a second time")
    if not _as(upstream, gradient):
        return gradient * upstream
    own = given_away()
    if own:
        ctx.gradient = None
    with on_device(gradient):
        return singles.scale(gradient, upstream, in_place=own)


def _again(ctx: Any, upstream: Tensor) -> Tensor:
    """The gradient from the closed forms, as a function of the logits and of `upstream`."""
    call: Call = ctx.call
    tensors = ctx.saved_tensors
    if call.form < 0:
        tensors = tensors[:3]
    device = tensors[0].device.type
    # The loss has to have the dtype that it had.
    with without_cuda_kernels(), torch.autocast(device, enabled=ctx.autocast):
        return differentiable_gradient(
            call.form, upstream, tensors, call.ignored, call.reduction, call.settings
        )
