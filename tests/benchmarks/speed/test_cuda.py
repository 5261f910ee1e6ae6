"""Targets of a GPU: which there are, and how the kernels are asked whether they compute a loss."""

from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from lossbench.benchmarks.errors import UserError
from lossbench.benchmarks.speed import cuda
from lossbench.losses import Loss, kernels, registry


class Kernel(torch.autograd.Function):
    """Stands in for a kernel."""

    @staticmethod
    def forward(_ctx, x):
        return x.sum()

    @staticmethod
    def backward(_ctx, upstream):
        return upstream.expand(3)


@pytest.mark.parametrize("has_kernel", [True, False])
def test_the_kernels_are_asked(has_kernel: bool, monkeypatch) -> None:
    closed = []

    @contextmanager
    def closed_forms_only():
        closed.append(True)
        yield
        closed.clear()

    def loss(input, _target):
        return Kernel.apply(input) if has_kernel and not closed else input.sum()

    monkeypatch.setattr(kernels, "closed_forms_only", closed_forms_only)
    assert cuda.computed_by_kernel(loss, torch.ones(3), torch.ones(3)) == has_kernel


def test_every_loss_has_targets_where_there_is_a_gpu(monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    names = [target.name for target in cuda.cuda_targets()]
    assert len(set(names)) == len(names)
    for loss in registry.names():
        for dtype in ("float32", "bfloat16"):
            assert any(name.startswith(f"{loss} (") and dtype in name for name in names)


def test_a_loss_without_a_kernel_is_left_out(monkeypatch) -> None:
    monkeypatch.setattr(cuda, "loss_inputs", lambda *_: (torch.ones(3), torch.ones(3)))
    monkeypatch.setattr(cuda, "computed_by_kernel", lambda *_: False)
    with pytest.raises(UserError, match=r"mse has no kernel for torch\.float32 on CUDA"):
        cuda.share_of_copy("mse", (3,), torch.float32, 0.01)


def test_a_loss_that_takes_twice_as_long_is_measured_so(monkeypatch) -> None:
    """On a device that is stood in for, the loss takes two seconds and all else one."""
    ours = []

    def forward_backward(loss, *inputs, original=cuda.forward_backward):
        work = original(loss, *inputs)
        if isinstance(loss, Loss):
            ours.append(work)
        return work

    def device_seconds(work, calls):
        work()
        return calls * (2.0 if work in ours else 1.0)

    plain = cuda.loss_inputs
    monkeypatch.setattr(cuda, "loss_inputs", lambda *a: plain(*a[:4]))
    monkeypatch.setattr(cuda, "computed_by_kernel", lambda *_: True)
    monkeypatch.setattr(cuda, "forward_backward", forward_backward)
    monkeypatch.setattr(cuda, "device_seconds", device_seconds)
    monkeypatch.setattr(torch, "ones", lambda n, **_: torch.zeros(n))
    monkeypatch.setattr(torch, "compile", lambda function: function)
    liger = SimpleNamespace(apply=lambda x, y, _: [F.cross_entropy(x, y)])
    monkeypatch.setattr(cuda, "liger", lambda: liger)
    for name in ("mse", "probability-sum", "nll", "poly-1", "multilabel-margin"):
        shape = (8,) if registry.entry(name).task == "binary" else (8, 3)
        assert cuda.beside_plain(name, shape, torch.float32, 0).median == 2
        assert cuda.share_of_copy(name, shape, torch.float32, 0).median == 0.5
    assert cuda.beside_compiled((8, 3), torch.float32, 0).median == 2
    assert cuda.beside_liger((8, 3), torch.float32, 0).median == 2
