"""Targets of a GPU: which there are, and how the kernels are asked whether they compute a loss."""

from contextlib import contextmanager

import pytest
import torch

from lossbench.benchmarks.errors import UserError
from lossbench.benchmarks.speed import cuda
from lossbench.losses import kernels, registry


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


def test_the_measures_run_where_a_device_is_stood_in_for(monkeypatch) -> None:
    plain = cuda.loss_inputs
    monkeypatch.setattr(cuda, "loss_inputs", lambda *a: plain(*a[:4]))
    monkeypatch.setattr(cuda, "computed_by_kernel", lambda *_: True)
    monkeypatch.setattr(cuda, "device_seconds", lambda work, calls: (work(), float(calls))[1])
    monkeypatch.setattr(torch, "ones", lambda n, **_: torch.zeros(n))
    for name in ("mse", "probability-sum", "nll", "poly-1", "multilabel-margin"):
        shape = (8,) if registry.entry(name).task == "binary" else (8, 3)
        assert cuda.beside_plain(name, shape, torch.float32, 0).median == 1
        assert cuda.share_of_copy(name, shape, torch.float32, 0).median == 1
