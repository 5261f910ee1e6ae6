"""The logits of a linear layer and their cross-entropy, all at once or a few rows at a time.

Of the logits Z = X W^T + b, a few rows at a time are in memory, and the gradient of the loss by
these rows, G, takes their place. It gives these rows of dL/dX = G W, and is a part of the sums
dL/dW = G^T X and dL/db = G^T 1.
"""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import forward_ad

from . import checks, kernels
from .arguments import upcast
from .cross_entropies import cross_entropy_named

NAME = "linear_cross_entropy"
SMALL = 2**16
"""Logits of no more bytes are computed all at once, which is faster."""


class Rule(NamedTuple):
    """Settings of the loss of the logits.

    Attributes:
        dtype: the loss's.
        rows: how many rows of logits may be in memory; None: as many as fit.
    """

    reduction: str
    ignore_index: int
    label_smoothing: float
    z_loss: float
    softcap: float | None
    dtype: torch.dtype
    rows: int | None

    def loss(self, logits: Tensor, target: Tensor, weight: Tensor | None, reduction: str) -> Tensor:
        return cross_entropy_named(
            *(NAME, logits, target, weight, self.ignore_index, reduction),
            *(self.label_smoothing, self.z_loss, self.softcap),
        )


class Data(NamedTuple):
    """The tensors of a call; `weight` is that of the classes."""

    input: Tensor
    linear_weight: Tensor
    linear_bias: Tensor | None
    target: Tensor
    weight: Tensor | None


def without_autocast(x: Tensor) -> AbstractContextManager[Any]:
    on = checks.under_autocast(x)
    return torch.autocast(x.device.type, enabled=False) if on else nullcontext()


# --- all at once ---------------------------------------------------------------------------------


def full_logits_loss(rule: Rule, data: Data) -> Tensor:
    """Compute the loss by torch's linear layer and `cross_entropy`."""
    input, linear_weight, linear_bias, target, weight = data
    bias = None if linear_bias is None else linear_bias.flatten()
    logits = F.linear(input, linear_weight.flatten(0, -2), bias)
    logits = logits.reshape(*input.shape[:-1], *linear_weight.shape[:-1])
    return rule.loss(logits.to(rule.dtype), target, weight, rule.reduction)


def divisible(logits: Tensor, data: Data) -> bool:
    """Return whether the logits are large, and no derivatives but the layer's may be wanted."""
    rest = (data.target, data.weight)
    return (
        _is_plain(*data)
        and data.input.dim() == 2
        and logits.numel() > logits.shape[1]
        and logits.numel() * logits.dtype.itemsize > SMALL
        and not (torch.is_grad_enabled() and any(x is not None and x.requires_grad for x in rest))
    )


def _is_plain(*tensors: Tensor | None) -> bool:
    """Return whether only reverse-mode autograd can apply.

    False under a compiler, a trace, a transform of torch.func or forward mode, and for subclasses.
    """
    if torch.compiler.is_compiling() or forward_ad._current_level >= 0:
        return False
    c: Any = torch._C
    return (
        not c._is_tracing()
        and not c._dispatch_tls_is_dispatch_key_included(
            c.DispatchKey.FuncTorchDynamicLayerFrontMode
        )
        and all(
            x is None
            or (type(x) in (Tensor, nn.Parameter) and not c._functorch.is_legacy_batchedtensor(x))
            for x in tensors
        )
    )


# --- a few rows at a time ------------------------------------------------------------------------

Wanted = tuple[bool, bool, bool]
"""Of which of input, linear_weight and linear_bias the gradients are wanted."""
NONE: Wanted = (False, False, False)


def chunked_loss(rule: Rule, data: Data) -> Tensor:
    """Compute the loss from a few rows of logits at a time."""
    if not torch.is_grad_enabled():
        return _chunked_loss(rule, data, NONE)[0]
    return _LinearCrossEntropy.apply(rule, *data)  # type: ignore[no-any-return]


class _LinearCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rule: Rule, *tensors: Any) -> Tensor:
        data = Data(*tensors)
        # In float16 a gradient without the factor of the gradient scaler would underflow.
        ctx.late = rule.reduction == "none" or data.input.dtype == torch.float16
        loss, gradients = _chunked_loss(rule, data, NONE if ctx.late else ctx.needs_input_grad[1:4])
        ctx.rule = rule
        ctx.save_for_backward(*data, *gradients)
        return loss

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> Any:
        # Once: under torch.utils.checkpoint they are computed anew for it.
        saved = ctx.saved_tensors
        data, gradients = Data(*saved[:5]), saved[5:]
        wanted = ctx.needs_input_grad[1:4]
        with without_autocast(data.input):
            # A gradient that was computed in the forward pass is not a function of the inputs.
            if torch.is_grad_enabled() or not _is_plain(upstream):
                gradients = _differentiable(ctx.rule, data, wanted, upstream)
            elif ctx.late:
                gradients = _chunked_loss(ctx.rule, data, wanted, upstream)[1]
            elif _frees_graph():
                gradients = [g if g is None else g.mul_(upstream) for g in gradients]
            else:
                gradients = [g if g is None else g * upstream for g in gradients]
        return None, *gradients, None, None


def _frees_graph() -> bool:
    """Return whether the current backward pass frees its graph, so that no other can follow."""
    kept: Any = getattr(torch._C._autograd, "_get_current_graph_task_keep_graph", None)
    return kept is not None and not kept()


def _differentiable(
    rule: Rule, data: Data, wanted: Wanted, upstream: Tensor
) -> list[Tensor | None]:
    """Compute the gradients as differentiable tensors."""
    names = [name for name, each in zip(Data._fields, wanted, strict=False) if each]

    def loss(*layer: Tensor) -> Tensor:
        return full_logits_loss(rule, data._replace(**dict(zip(names, layer, strict=True))))

    vjp: Any = torch.func.vjp(loss, *(getattr(data, name) for name in names))[1]
    found = dict(zip(names, vjp(upstream), strict=True))
    return [found.get(name) for name in Data._fields[:3]]


def _chunked_loss(
    rule: Rule, data: Data, wanted: Wanted, upstream: Tensor | None = None
) -> tuple[Tensor, list[Tensor | None]]:
    """Compute the loss, and the wanted gradients times `upstream`, by default 1."""
    chunked = _ChunkedLoss(rule, data, wanted)
    divisor = _divisor(rule, data) if rule.reduction == "mean" else 1
    factor = None
    if any(wanted):
        factor = chunked.each.new_ones(()) if upstream is None else upstream.to(chunked.each.dtype)
        if rule.reduction != "none":
            factor = (factor / divisor).expand(chunked.each.shape)
        factor = factor.reshape(chunked.each.shape)
    # The graph of a few rows is none of the caller's: no checkpoint or offload keeps it.
    with torch.autograd.graph.saved_tensors_hooks(_itself, _itself):
        chunked.run(factor)
    if rule.reduction == "none":
        loss = chunked.each.reshape(len(data.input), *data.linear_weight.shape[1:-1])
    else:
        loss = chunked.each.sum() / divisor
    return loss.to(rule.dtype), chunked.gradients()


def _itself(x: Tensor) -> Tensor:
    return x


def _divisor(rule: Rule, data: Data) -> Tensor | int:
    """Return what a mean divides by: the weight of the class indices, or the number of rows."""
    target, weight = data.target, data.weight
    if target.is_floating_point():
        return target.numel() // target.shape[1]
    kept = target != rule.ignore_index
    if weight is None:
        return kept.sum()
    return (upcast(weight, rule.dtype)[torch.where(kept, target, 0).long()] * kept).sum()


class _ChunkedLoss:
    """One pass over the logits. Every x has K losses, each with a layer of its own.

    Attributes:
        each: the losses, (N, K).
        dx, dw, db: the wanted gradients, (N, D), (C, K, D) and (C, K).
    """

    def __init__(self, rule: Rule, data: Data, wanted: Wanted) -> None:
        self.rule, self.data, x = rule, data, data.input
        classes, *several, features = data.linear_weight.shape
        losses = math.prod(several)
        shape = classes, losses, features
        dtype = torch.promote_types(rule.dtype, torch.float32)
        soft = data.target.is_floating_point()
        self.w = data.linear_weight.reshape(shape)
        self.b = None if data.linear_bias is None else data.linear_bias.reshape(classes, losses)
        self.target = data.target.reshape(len(x), *([classes] if soft else []), losses)
        self.weight = None if data.weight is None else upcast(data.weight, rule.dtype)
        self.each = x.new_empty(len(x), losses, dtype=dtype)
        self.dx = x.new_zeros(len(x), features) if wanted[0] else None
        self.dw = x.new_zeros(shape) if wanted[1] else None
        self.db = x.new_zeros(classes, losses, dtype=dtype) if wanted[2] else None

    def run(self, factor: Tensor | None) -> None:
        """Compute the losses and the gradients of their sum, each loss times its factor (N, K)."""
        count, losses = self.each.shape
        part, block = self._sizes()
        buffer = self.w.new_empty(part, len(self.w))
        for k in range(losses):
            for begin in range(0, count, part):
                rows = slice(begin, min(begin + part, count))
                logits = self._logits(buffer[: rows.stop - begin], rows, k)
                for first in range(begin, rows.stop, block):
                    few = slice(first, min(first + block, rows.stop))
                    self._loss(logits[first - begin : few.stop - begin], few, k, factor)
                self._add(logits, rows, k)

    def _sizes(self) -> tuple[int, int]:
        """Return how many rows have logits in memory, and of how many the loss is computed.

        The closed forms, which need many numbers per logit and time per call, get half of the
        memory that there is, and kernels an eighth; one row at the least.
        """
        count, size = len(self.each), self.w.itemsize
        bytes_per_class = self.each.numel() * size // 8
        numbers, share = 4, 8
        if not _has_kernel(self.w.device):
            numbers, share = (15 if self.rule.softcap is None else 64), 2
        taken = numbers * self.each.itemsize
        block = max(1, bytes_per_class // share // taken)
        part = self.rule.rows or max(1, (bytes_per_class - block * taken) // size)
        # Parts of about the same size.
        part = math.ceil(count / math.ceil(count / part))
        return part, min(part, block)

    def _logits(self, to: Tensor, rows: slice, k: int) -> Tensor:
        x, w = self.data.input[rows], self.w[:, k].t()
        if self.b is None:
            return torch.mm(x, w, out=to)
        return torch.addmm(self.b[:, k], x, w, out=to)

    def _loss(self, logits: Tensor, rows: slice, k: int, factor: Tensor | None) -> None:
        """Compute the losses of a few rows; the gradient by their logits takes the logits' place.

        The loss is computed in float32 where the logits are narrower.
        """
        z = logits.to(self.each.dtype)
        arguments = self.target[rows, ..., k], self.weight, "none"
        if factor is None:
            self.each[rows, k] = self.rule.loss(z, *arguments)
            return
        z = z.detach().requires_grad_()
        with torch.enable_grad():
            each = self.rule.loss(z, *arguments)
        (gradient,) = torch.autograd.grad(each, z, factor[rows, k])
        self.each[rows, k] = each.detach()
        logits.copy_(gradient)
        if self.db is not None:
            self.db[:, k] += gradient.sum(0)

    def _add(self, gradient: Tensor, rows: slice, k: int) -> None:
        """Add what the gradient by the logits of some rows contributes."""
        if self.dx is not None:
            self.dx[rows].addmm_(gradient, self.w[:, k])
        if self.dw is not None:
            self.dw[:, k].addmm_(gradient.t(), self.data.input[rows])

    def gradients(self) -> list[Tensor | None]:
        bias = self.data.linear_bias
        return [
            self.dx,
            None if self.dw is None else self.dw.reshape(self.data.linear_weight.shape),
            None if self.db is None or bias is None else self.db.reshape(bias.shape).to(bias.dtype),
        ]


def _has_kernel(device: torch.device) -> bool:
    """Return whether a kernel computes the loss. Modes that intercept operations prevent it."""
    c: Any = torch._C
    modes = c._is_torch_function_mode_enabled() or c._len_torch_dispatch_stack()
    return kernels.backend(device).name == "kernels" and not modes
