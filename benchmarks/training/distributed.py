"""Collectives for data-parallel runs: statistics are those of the global batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel

from lossbench.benchmarks.errors import UserError


def world_size() -> int:
    """Return the number of processes of the run; 1 without a process group."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Return the rank of this process, from 0."""
    return dist.get_rank() if world_size() > 1 else 0


def broadcast(value: Any) -> Any:
    """Return rank 0's value on every rank."""
    if world_size() == 1:
        return value
    values = [value]
    dist.broadcast_object_list(values, src=0)
    return values[0]


def any_rank(value: bool) -> bool:
    """Return whether the value is true on any rank."""
    if world_size() == 1:
        return value
    votes = torch.tensor(int(value))
    dist.all_reduce(votes, dist.ReduceOp.MAX)
    return bool(votes)


def all_gather(part: Tensor) -> Tensor:
    """Concatenate the tensors of all ranks, which have the same shape."""
    parts = [torch.empty_like(part) for _ in range(world_size())]
    dist.all_gather(parts, part.contiguous())
    return torch.cat(parts)


def rank_slice(batch_size: int) -> slice:
    """Return the examples of a batch that this rank takes.

    Raises:
        UserError: the batch cannot be divided evenly, so that the mean of the ranks' means would
            not be the mean of the batch.
    """
    if batch_size % world_size():
        raise UserError(
            f"--batch-size {batch_size}: {world_size()} processes take equal parts of a batch; "
            f"choose a multiple of {world_size()}"
        )
    part = batch_size // world_size()
    return slice(rank() * part, (rank() + 1) * part)


def wrap_ddp(model: nn.Module, *, find_unused: bool = False) -> Callable[[Tensor], Tensor]:
    """Wrap a model in DistributedDataParallel; with one process return it as it is.

    Its batch normalization layers become `GlobalBatchNorm`, in place, with the same parameters
    and buffers.

    Args:
        model: the model.
        find_unused: whether some parameters may get no gradient.
    """
    if world_size() == 1:
        return model
    for name, module in list(model.named_modules()):
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)):
            parent, _, child = name.rpartition(".")
            setattr(model.get_submodule(parent), child, GlobalBatchNorm.from_local(module))
    on_cuda = next(model.parameters()).is_cuda
    devices = [torch.cuda.current_device()] if on_cuda else None
    return DistributedDataParallel(model, device_ids=devices, find_unused_parameters=find_unused)


class GlobalBatchNorm(_BatchNorm):
    """Batch normalization over the global batch, on any device (torch.nn.SyncBatchNorm needs CUDA).

    Its inputs are (M, C) or (M, C, ...).

    All ranks have the same number of examples.
    """

    @classmethod
    def from_local(cls, module: _BatchNorm) -> GlobalBatchNorm:
        """Return one that shares the parameters and buffers of `module`."""
        norm = cls(
            module.num_features,
            module.eps,
            module.momentum,
            module.affine,
            module.track_running_stats,
        )
        norm._parameters, norm._buffers = module._parameters, module._buffers
        return norm.train(module.training)

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return super().forward(input)
        others = (0, *range(2, input.dim()))
        channels = (-1, *(1 for _ in others[1:]))
        count = input.numel() / input.shape[1] * world_size()
        mean: Tensor = _AllReduceSum.apply(input.sum(others)) / count
        centered = input - mean.view(channels)
        variance: Tensor = _AllReduceSum.apply(centered.square().sum(others)) / count
        with torch.no_grad():
            self._update_running(mean, variance * count / (count - 1))
        normalized: Tensor = centered * torch.rsqrt(variance + self.eps).view(channels)
        if self.weight is None:
            return normalized
        return normalized * self.weight.view(channels) + self.bias.view(channels)

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() < 2:
            raise ValueError(f"expected an input of 2 or more dimensions, got {input.dim()}")

    def _update_running(self, mean: Tensor, variance: Tensor) -> None:
        if self.running_mean is None or self.running_var is None:
            return
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        momentum = self.momentum
        if momentum is None:  # a plain average over all batches
            momentum = 1 / float(self.num_batches_tracked)
        self.running_mean.lerp_(mean, momentum)
        self.running_var.lerp_(variance, momentum)


class _AllReduceSum(torch.autograd.Function):
    """Sum over all ranks; its backward sums their gradients."""

    @staticmethod
    def forward(_ctx: Any, part: Tensor) -> Tensor:
        total = part.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(_ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone()
        dist.all_reduce(total)
        return total
