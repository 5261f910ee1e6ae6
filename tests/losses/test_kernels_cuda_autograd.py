"""The kernels on CUDA under autograd, and what only a GPU shows: waiting, memory, errors."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from lossbench import losses
from lossbench.losses import functional, kernels
from lossbench.losses.kernels import cuda

from .cuda_cases import (
    CLOSE,
    DEVICE,
    USED,
    by_closed_form,
    classes_of,
    cross_entropy,
    each_dtype,
    each_reduction,
    families,
    functional_bce,
    functional_focal,
    numbers,
    on_a_gpu,
    shares,
    where_they_run,
)

pytestmark = [where_they_run, pytest.mark.usefixtures("on_cuda_switched_on")]


@each_dtype
def test_a_graph_that_is_kept_gives_the_same_gradient_again(dtype: torch.dtype) -> None:
    for family in families(numbers((8, 3), dtype)):
        z = numbers((8, 3), dtype).requires_grad_()
        loss = family(z)
        (first,) = torch.autograd.grad(loss, z, retain_graph=True)
        copy = first.clone()
        first.zero_()
        (second,) = torch.autograd.grad(2 * loss, z, retain_graph=True)
        torch.testing.assert_close(second, 2 * copy)
        (third,) = torch.autograd.grad(loss, z)
        torch.testing.assert_close(third, copy)
        with pytest.raises(RuntimeError, match="backward through the graph a second time"):
            torch.autograd.grad(loss, z)


@each_dtype
def test_upstream_gradients_multiply(dtype: torch.dtype) -> None:
    z = numbers((8, 3), dtype)
    for loss in families(z):
        for factor in (-1.0, 0.3, 0.0):
            leaf = z.clone().requires_grad_()
            (factor * loss(leaf)).backward()
            _, truth = by_closed_form(loss, z, dtype)
            close = {**CLOSE[dtype], "rtol": 2 * CLOSE[dtype]["rtol"]}
            # What multiplies it is rounded as well.
            factor = torch.tensor(factor, dtype=dtype).item()
            torch.testing.assert_close(leaf.grad.double(), factor * truth, **close)  # type: ignore[union-attr]


def test_gradients_are_added_up_in_a_leaf() -> None:
    z = numbers((8, 3)).requires_grad_()
    loss = families(z)[0]
    (expected,) = torch.autograd.grad(loss(z), z)
    for factor in (1.0, 2.0, -1.0):
        (factor * loss(z)).backward()
    torch.testing.assert_close(z.grad, 2 * expected)


def test_a_gradient_scaler_reaches_float16() -> None:
    """What is below float16's range before it is multiplied by the scaler's factor."""
    z = numbers((100, 4000), torch.float16)
    y = classes_of(z)
    leaf = z.clone().requires_grad_()
    with torch.autocast(DEVICE, dtype=torch.float16):
        loss = functional.cross_entropy(leaf, y)
    assert loss.dtype == torch.float32
    assert loss.grad_fn.name() == USED  # type: ignore[union-attr]
    (loss * 65536).backward()
    _, truth = by_closed_form(cross_entropy(y), z, torch.float32)
    torch.testing.assert_close(leaf.grad.double(), 65536 * truth, rtol=2**-10, atol=2.0**-24)  # type: ignore[union-attr]


@each_dtype
def test_autocast_leaves_the_loss_wide(dtype: torch.dtype) -> None:
    z = numbers((8, 3), dtype)
    for loss in families(z):
        leaf = z.clone().requires_grad_()
        with torch.autocast(DEVICE, dtype=torch.bfloat16):
            value = loss(leaf)
        assert value.dtype == torch.float32
        assert value.grad_fn.name() == USED  # type: ignore[union-attr]
        truth, gradient = by_closed_form(loss, z, torch.float32)
        torch.testing.assert_close(value.detach().double(), truth, rtol=4e-6, atol=1e-7)
        (found,) = torch.autograd.grad(value, leaf, retain_graph=True)
        torch.testing.assert_close(found.double(), gradient, **CLOSE[dtype])
        (found,) = torch.autograd.grad(value, leaf, create_graph=True)
        torch.testing.assert_close(found.detach().double(), gradient, **CLOSE[dtype])
        assert found.requires_grad


@each_reduction
def test_second_derivatives_are_those_of_the_closed_forms(reduction: str) -> None:
    z = numbers((3, 4))
    t, y = shares((3, 4)), classes_of(z)
    for loss in (
        cross_entropy(y, shares((4,)), reduction=reduction),
        cross_entropy(y, reduction=reduction, label_smoothing=0.1),
        cross_entropy(y, shares((4,)), reduction=reduction, label_smoothing=0.1),
        cross_entropy(t, shares((4,)), reduction=reduction, label_smoothing=0.1),
        functional_bce(t, reduction=reduction, weight=t, pos_weight=t[0]),
        functional_focal(t, reduction),
    ):
        leaf = z.clone().requires_grad_()
        value = loss(leaf)
        assert value.grad_fn.name() == USED  # type: ignore[union-attr]
        (gradient,) = torch.autograd.grad(value.sum(), leaf, create_graph=True)
        columns = [torch.autograd.grad(g, leaf, retain_graph=True)[0] for g in gradient.flatten()]
        with kernels.closed_forms_only():
            truth = torch.func.hessian(lambda z, f=loss: f(z).sum())(z.double())
        found = torch.stack(columns).reshape(truth.shape)
        torch.testing.assert_close(found.double(), truth, rtol=1e-5, atol=1e-6)


def test_upstream_has_a_derivative_too() -> None:
    z, u = numbers((5, 3)).requires_grad_(), numbers((5,)).requires_grad_()
    loss = cross_entropy(classes_of(z), reduction="none")
    (gradient,) = torch.autograd.grad(loss(z), z, u, create_graph=True)
    (found,) = torch.autograd.grad(gradient.sum(), u)
    with kernels.closed_forms_only():
        (gradient,) = torch.autograd.grad(loss(z), z, u, create_graph=True)
        (expected,) = torch.autograd.grad(gradient.sum(), u)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


@each_dtype
@each_reduction
@pytest.mark.parametrize("target", [classes_of, lambda z: shares((4, 3), z.dtype)])
def test_batches_of_upstream_gradients(
    dtype: torch.dtype, reduction: str, target: Callable[[Tensor], Tensor]
) -> None:
    z = numbers((4, 3), dtype).requires_grad_()
    value = functional.cross_entropy(z, target(z), reduction=reduction)
    upstream = numbers((5, *value.shape), dtype)
    (found,) = torch.autograd.grad(value, z, upstream, is_grads_batched=True, retain_graph=True)
    each = [torch.autograd.grad(value, z, u, retain_graph=True)[0] for u in upstream]
    torch.testing.assert_close(found, torch.stack(each), **CLOSE[dtype])


def test_logits_changed_after_the_loss_are_noticed() -> None:
    leaf = numbers((5, 3)).requires_grad_()
    z = leaf * 1
    loss = families(z)[0](z)
    with torch.no_grad():
        z.add_(1.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        torch.autograd.grad(loss, leaf)


def test_without_a_gradient_there_is_only_a_value() -> None:
    z = numbers((8, 3))
    for loss in families(z):
        expected, _ = by_closed_form(loss, z, torch.float32)
        assert not loss(z).requires_grad
        for mode in (torch.no_grad, torch.inference_mode):
            with mode():
                value = loss(z.clone().requires_grad_())
                torch.testing.assert_close(value.double(), expected)


class Odd(Tensor):
    """A subclass, whose operations somebody may have changed."""


def test_whoever_intercepts_operations_sees_the_closed_forms() -> None:
    z, t = numbers((3, 4)), shares((3, 4))
    y = torch.tensor([0, 3, 1], device=DEVICE)

    def both(z: Tensor, t: Tensor = t) -> Tensor:
        return functional.cross_entropy(z, y) + functional.binary_cross_entropy_with_logits(z, t)

    leaf = z.clone().requires_grad_()
    (expected,) = torch.autograd.grad(both(leaf), leaf)
    torch.testing.assert_close(torch.func.grad(both)(z), expected)
    torch.testing.assert_close(torch.func.vmap(torch.func.grad(both))(z[None])[0], expected)
    v = torch.ones_like(z)
    torch.testing.assert_close(
        torch.func.jvp(both, (z,), (v,))[1], (expected * v).sum(), rtol=1e-5, atol=1e-6
    )
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(z, v)
        tangent = torch.autograd.forward_ad.unpack_dual(both(dual)).tangent
        torch.testing.assert_close(tangent, (expected * v).sum(), rtol=1e-5, atol=1e-6)
    compiled = torch.compile(both, fullgraph=True, backend="aot_eager")
    (found,) = torch.autograd.grad(compiled(leaf), leaf)
    torch.testing.assert_close(found, expected)
    odd = z.as_subclass(Odd).requires_grad_()
    assert type(both(odd)) is Odd
    with FakeTensorMode() as mode:
        fake_z, fake_y = mode.from_tensor(z), mode.from_tensor(y)
        assert functional.cross_entropy(fake_z, fake_y).shape == ()
    soft = t.clone().requires_grad_()
    (by_target,) = torch.autograd.grad(both(z, soft), soft)
    assert by_target.abs().sum() > 0
    assert functional.cross_entropy(z.double().requires_grad_(), y).grad_fn.name() != USED  # type: ignore[union-attr]
    with kernels.closed_forms_only():
        assert functional.cross_entropy(leaf, y).grad_fn.name() != USED  # type: ignore[union-attr]


def test_checkpoints_compute_the_loss_twice() -> None:
    from torch.utils.checkpoint import checkpoint

    z = numbers((6, 5))
    for loss in families(z):
        leaf = z.clone().requires_grad_()
        (expected,) = torch.autograd.grad(loss(3 * leaf), leaf)
        value = checkpoint(lambda x, f=loss: f(3 * x), leaf, use_reentrant=False)
        (found,) = torch.autograd.grad(value, leaf)
        torch.testing.assert_close(found, expected)


# --- on a GPU alone ------------------------------------------------------------------------------


@on_a_gpu
@each_dtype
def test_nothing_waits_for_the_device_and_it_can_be_captured(dtype: torch.dtype) -> None:
    z = numbers((64, 1000), dtype).requires_grad_()
    y = classes_of(z)
    losses_of = families(z)

    def step() -> list[Tensor]:
        return [
            x for f in losses_of for v in (f(z),) for x in (v.detach(), *torch.autograd.grad(v, z))
        ]

    step()
    torch.cuda.set_sync_debug_mode("error")
    try:
        expected = [x.clone() for x in step()]
    finally:
        torch.cuda.set_sync_debug_mode("default")
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        found = step()
    for _ in range(2):
        for x in found:
            x.zero_()
        graph.replay()
        for a, b in zip(found, expected, strict=True):
            assert torch.equal(a, b)
    del y


@on_a_gpu
def test_the_logits_are_held_once_beside_their_gradient() -> None:
    z = numbers((256, 32768)).requires_grad_()
    y = classes_of(z)
    torch.autograd.grad(functional.cross_entropy(z, y), z)
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    torch.autograd.grad(functional.cross_entropy(z, y), z)
    most = torch.cuda.max_memory_allocated() - before
    assert most <= 1.01 * z.numel() * z.element_size()


@on_a_gpu
def test_more_numbers_than_32_bits_count() -> None:
    if torch.cuda.mem_get_info()[0] < 24e9:
        pytest.skip("not enough memory")
    classes = 131072
    z = numbers((3, classes), torch.bfloat16).repeat(6000, 1)[: 2**31 // classes + 3]
    z = z.requires_grad_()
    y = torch.arange(len(z), device=DEVICE) % classes
    loss = functional.cross_entropy(z, y, reduction="sum")
    (gradient,) = torch.autograd.grad(loss, z)
    truth = by_closed_form(cross_entropy(y[-4:], reduction="sum"), z[-4:], torch.bfloat16)[1]
    torch.testing.assert_close(gradient[-4:].double(), truth, **CLOSE[torch.bfloat16])


@on_a_gpu
def test_a_target_that_is_no_class_is_an_error_on_the_device() -> None:
    program = (
        "import torch; from lossbench.losses import functional\n"
        "z = torch.zeros(3, 5, device='cuda', requires_grad=True)\n"
        "functional.cross_entropy(z, torch.tensor([0, 5, 1], device='cuda')).backward()\n"
        "torch.cuda.synchronize()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode != 0
    assert "assert" in done.stderr


@on_a_gpu
def test_the_backend_says_what_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    found = losses.backend("cuda")
    assert found.name == "kernels"
    assert found.why.startswith("Triton 3")
    cuda._backend.cache_clear()
    monkeypatch.setenv("LOSSES_KERNELS", "0")
    assert losses.backend("cuda").why == "LOSSES_KERNELS=0 switches the kernels off"
    z = numbers((3, 4)).requires_grad_()
    assert families(z)[0](z).grad_fn.name() != USED  # type: ignore[union-attr]
