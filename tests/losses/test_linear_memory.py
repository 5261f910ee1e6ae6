"""The memory of the cross-entropy of a linear layer: an eighth of the logits'."""

import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from lossbench.losses import kernels
from lossbench.losses.functional import linear_cross_entropy

from .cases import each_reduction


class Allocated(TorchDispatchMode):
    """Counts the bytes of the tensors that operations make; `peak` is the most at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self.known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = {x.untyped_storage()._cdata for x in tensors_of((args, kwargs))}
        found = func(*args, **(kwargs or {}))
        for x in tensors_of(found):
            storage = x.untyped_storage()
            if storage._cdata not in given | self.known:
                self.known.add(storage._cdata)
                self.now += storage.nbytes()
                self.peak = max(self.peak, self.now)
                weakref.finalize(storage, self._freed, storage._cdata, storage.nbytes())
        return found

    def _freed(self, storage: int, size: int) -> None:
        self.known.discard(storage)
        self.now -= size


def tensors_of(tree: Any) -> list[Tensor]:
    return [x for x in tree_leaves(tree) if isinstance(x, Tensor)]


def counted(step: Callable[[], Any]) -> int:
    with Allocated() as memory:
        kept = step()
    del kept
    return memory.peak


def profiled(step: Callable[[], Any]) -> int:
    """As `counted`, where a kernel computes: a mode switches the kernels off."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        kept = step()
    del kept
    events: Any = record.profiler.kineto_results.events()  # type: ignore[union-attr]
    now = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        if event.name() == "[memory]":
            now += event.nbytes()
            peak = max(peak, now)
    return peak


def check(
    measured: Callable[[Callable[[], Any]], int],
    shape: tuple[int, int, int],
    reduction: str = "mean",
    dtype: torch.dtype = torch.float32,
    soft: bool = False,
    several: tuple[int, ...] = (),
    **options: Any,
) -> None:
    """Measure forward without a graph, forward, and forward + backward."""
    rows, features, classes = shape
    x = torch.randn(rows, features, dtype=dtype, requires_grad=True)
    w = torch.randn(classes, *several, features, dtype=dtype, requires_grad=True)
    b = torch.randn(classes, *several, dtype=dtype, requires_grad=True)
    target = torch.randint(classes, (rows, *several))
    if soft:
        target = torch.rand(rows, classes, *several, dtype=dtype)
    options = {"linear_bias": b, "weight": torch.rand(classes, dtype=dtype), **options}

    def loss() -> Tensor:
        return linear_cross_entropy(x, w, target, reduction=reduction, **options)

    def step() -> Tensor:
        found = loss()
        found.backward(torch.ones_like(found))
        return found

    losses = target.numel() // (classes if soft else 1)
    # The registers of a program of torch's operations are as large for small shapes.
    eighth = losses * classes * dtype.itemsize / 8 + 4096
    output = losses * dtype.itemsize if reduction == "none" else 0
    gradients = sum(each.nbytes for each in (x, w, b))
    # In float16 and with 'none' the forward pass makes no gradients.
    early = reduction != "none" and dtype != torch.float16
    with torch.no_grad():
        assert measured(loss) <= output + eighth
    assert measured(loss) <= output + early * gradients + eighth
    assert measured(step) <= output + gradients + eighth


def test_forward_and_backward_need_an_eighth_of_the_logits() -> None:
    x, w = torch.randn(136, 2, requires_grad=True), torch.randn(300, 2, requires_grad=True)
    y = torch.randint(300, (136,))
    allowed = x.nbytes + w.nbytes + 136 * 300 * 4 / 8
    assert counted(lambda: linear_cross_entropy(x, w, y).backward()) <= allowed


SHAPE = (320, 4, 300)


@pytest.mark.slow
@each_reduction
@pytest.mark.parametrize("soft", [False, True], ids=["index", "distribution"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
def test_closed_forms(reduction: str, soft: bool, dtype: torch.dtype) -> None:
    check(counted, SHAPE, reduction, dtype, soft)


@pytest.mark.slow
@pytest.mark.parametrize("soft", [False, True], ids=["index", "distribution"])
def test_closed_forms_of_all_options(soft: bool) -> None:
    options = {"label_smoothing": 0.1, "z_loss": 0.1, "softcap": 3.0}
    check(counted, (600, 4, 300), soft=soft, **options)


@pytest.mark.slow
def test_closed_forms_of_several_losses_of_a_row() -> None:
    check(counted, (80, 4, 300), several=(2, 2))


@pytest.mark.slow
@pytest.mark.usefixtures("switched_on")
@each_reduction
@pytest.mark.parametrize("soft", [False, True], ids=["index", "distribution"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
def test_kernels(
    reduction: str, soft: bool, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernels, "_backend", kernels.Backend("kernels", "for a test"))
    # In bfloat16 torch's product of matrices takes several 100 KiB of its own.
    check(profiled, (1024, 16, 16000), reduction, dtype, soft)


@pytest.mark.slow
@each_reduction
def test_checkpoints_keep_the_inputs_alone(reduction: str) -> None:
    from torch.utils.checkpoint import checkpoint

    x, w = torch.randn(160, 4, requires_grad=True), torch.randn(300, 4, requires_grad=True)
    y = torch.randint(300, (160,))

    def loss(x: Tensor, w: Tensor) -> Tensor:
        return linear_cross_entropy(x, w, y, reduction=reduction).sum()

    def step() -> None:
        checkpoint(loss, x, w, use_reentrant=False).backward()

    assert counted(step) <= x.nbytes + w.nbytes + 160 * 300 * 4 / 8
