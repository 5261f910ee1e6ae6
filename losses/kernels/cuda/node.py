"""Autograd node of a loss that a CUDA kernel computed; `glue/node.cpp` is that of the CPU.

As there, the gradient is computed in the backward pass, from the saved inputs and two numbers per
row. With create_graph=True the closed forms compute a differentiable gradient.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..switches import without_cuda_kernels
from . import launch
from .call import Call, Saved

on_device: Any = torch.cuda.device_of
"""Context that makes the device of a tensor current."""


def value(call: Call) -> Tensor:
    """Compute a loss without a graph."""
    with torch.no_grad(), on_device(call.input):
        return launch.value(call, save=False)[0]


class Loss(torch.autograd.Function):
    """Autograd node; its name is LossBackward, as on the CPU."""

    @staticmethod
    def forward(ctx: Any, input: Tensor, call: Call) -> Tensor:
        ctx.set_materialize_grads(False)
        call = call._replace(input=input.detach())
        with on_device(input):
            loss, saved = launch.value(call, save=True)
        ctx.save_for_backward(input, *call.tensors[1:], *saved)
        nothing = torch.empty(0, dtype=input.dtype)
        ctx.autocast = torch.is_autocast_enabled(input.device.type)
        ctx.call = call._replace(input=nothing, target=nothing, weight=None, extra=None)
        return loss

    @staticmethod
    def backward(ctx: Any, upstream: Tensor | None) -> tuple[Tensor | None, None]:
        if upstream is None:
            return None, None
        input, target, weight, extra, *saved = ctx.saved_tensors
        call: Call = ctx.call._replace(input=input, target=target, weight=weight, extra=extra)
        if torch.is_grad_enabled() or not _is_plain(upstream, input):
            return _differentiable(call, upstream, ctx.autocast), None
        call = call._replace(input=input.detach())
        with on_device(input):
            return launch.gradient(call, Saved(*saved), upstream), None


def _is_plain(x: Tensor, like: Tensor) -> bool:
    """Return whether x has the device and dispatch keys of `like`."""
    keys: Any = torch._C._dispatch_keys
    return x.device == like.device and bool(keys(x) == keys(like.detach()))


def _differentiable(call: Call, upstream: Tensor, autocast: bool) -> Tensor:
    """Return the gradient by the closed forms, differentiable where a graph is built."""
    graph = torch.is_grad_enabled()
    device = call.input.device.type
    # The loss needs the dtype of the forward pass.
    with torch.enable_grad(), without_cuda_kernels(), torch.autocast(device, enabled=autocast):
        loss = call.closed_form(*call.tensors, call.ignored, call.reduction)
    gradient: Tensor
    (gradient,) = torch.autograd.grad(loss, call.input, upstream, create_graph=graph)
    return gradient
