"""What several processes with a share of every batch each have to say to each other, so that
whatever is computed and measured is that of the whole batch, as of one process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from lossbench.benchmarks.errors import UserError


def world_size() -> int:
    """How many processes take part in a run; 1 outside `group`."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """The number of this process, from 0; the leader's is 0."""
    return dist.get_rank() if world_size() > 1 else 0


def broadcast(value: Any) -> Any:
    """The leader's value, in every process. What the others give does not matter."""
    if world_size() == 1:
        return value
    values = [value]
    dist.broadcast_object_list(values, src=0)
    return values[0]


def any_rank(yes: bool) -> bool:
    """Whether it is so in any process."""
    if world_size() == 1:
        return yes
    votes = torch.tensor(int(yes))
    dist.all_reduce(votes, dist.ReduceOp.MAX)
    return bool(votes)


def all_gather(share: Tensor) -> Tensor:
    """The tensors of all processes, which have one shape, behind each other, by number."""
    if world_size() == 1:
        return share
    parts = [torch.empty_like(share) for _ in range(world_size())]
    dist.all_gather(parts, share.contiguous())
    return torch.cat(parts)


def rank_slice(batch: int) -> slice:
    """The examples of a batch of `batch` that this process takes.

    Raises UserError if the processes cannot take as many each: their means would weigh examples
    differently.
    """
    if batch % world_size():
        raise UserError(
            f"--batch-size {batch}: {world_size()} processes take equal shares of a batch; choose "
            f"a multiple of {world_size()}"
        )
    part = batch // world_size()
    return slice(rank() * part, (rank() + 1) * part)


def wrap_ddp(model: nn.Module) -> Callable[[Tensor], Tensor]:
    """What computes the outputs of `model` and, behind backward, the gradients of the mean over
    all processes; `model` itself if there is but one process. Batch normalisation becomes one of
    the whole batch, in place, with the same parameters and buffers."""
    if world_size() == 1:
        return model
    for name, module in list(model.named_modules()):
        if isinstance(module, nn.BatchNorm2d):
            parent = model.get_submodule(name.rpartition(".")[0])
            setattr(parent, name.rpartition(".")[2], GlobalBatchNorm2d.of(module))
    on_cuda = next(model.parameters()).is_cuda
    devices = [torch.cuda.current_device()] if on_cuda else None
    return DistributedDataParallel(model, device_ids=devices)


class GlobalBatchNorm2d(nn.BatchNorm2d):
    """torch.nn.BatchNorm2d over the shares of all processes, on any device (torch.nn.SyncBatchNorm
    knows CUDA alone). Shares have the same number of examples."""

    @classmethod
    def of(cls, module: nn.BatchNorm2d) -> GlobalBatchNorm2d:
        """With the parameters and buffers of `module`, which are not copied."""
        whole = cls(
            module.num_features,
            module.eps,
            module.momentum,
            module.affine,
            module.track_running_stats,
        )
        whole._parameters, whole._buffers = module._parameters, module._buffers
        return whole.train(module.training)

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return super().forward(input)
        count = input.numel() / input.shape[1] * world_size()
        mean: Tensor = _Total.apply(input.sum((0, 2, 3))) / count
        centred = input - mean[:, None, None]
        variance: Tensor = _Total.apply(centred.square().sum((0, 2, 3))) / count
        with torch.no_grad():
            self._remember(mean, variance * count / (count - 1))
        normal: Tensor = centred * torch.rsqrt(variance + self.eps)[:, None, None]
        if self.weight is None:
            return normal
        return normal * self.weight[:, None, None] + self.bias[:, None, None]

    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        if self.running_mean is None or self.running_var is None:
            return
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        share = self.momentum
        if share is None:  # a plain average over all batches
            share = 1 / float(self.num_batches_tracked)
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance, share)


class _Total(torch.autograd.Function):
    """The sum over all processes, whose derivative is the sum of theirs."""

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
