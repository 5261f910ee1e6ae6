"""The kernels on CUDA: each is its closed form in float64, for any dtype, size, layout and option.

Where Triton interprets its programs (TRITON_INTERPRET=1) the same tests run without a GPU, on
tensors of the CPU; see test_kernels_interpreted.py.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

import losses
from losses import functional, kernels
from losses.kernels import cuda
from losses.kernels.cuda import rows
from losses.kernels.cuda.rows import Plan

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
DEVICE = "cpu" if INTERPRETED else "cuda"
INF, NAN = float("inf"), float("nan")
USED = "LossBackward"
DTYPES = (torch.float32, torch.bfloat16, torch.float16)
# The rounding of the dtype, and of float32 on the way; the interpreter cuts bfloat16 off.
CLOSE = {
    torch.float32: {"rtol": 4e-6, "atol": 1e-7},
    torch.bfloat16: {"rtol": 2**-7 if INTERPRETED else 2**-8, "atol": 1e-7},
    torch.float16: {"rtol": 2**-10, "atol": 2**-24},
}
Loss = Callable[..., Tensor]
T = TypeVar("T")
pytestmark = pytest.mark.skipif(
    not INTERPRETED and not torch.cuda.is_available(), reason="there is no CUDA device"
)
on_a_gpu = pytest.mark.skipif(INTERPRETED, reason="there is no CUDA device")
FEWER = DTYPES[::2] if INTERPRETED else DTYPES
each_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=str)
fewer_dtypes = pytest.mark.parametrize("dtype", FEWER, ids=str)
each_reduction = pytest.mark.parametrize("reduction", ["mean", "sum", "none"])


@pytest.fixture(autouse=True)
def switched_on(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    if INTERPRETED:
        # Without those of the CPU, which come first.
        monkeypatch.setattr(kernels, "_native", kernels._ClosedForms())
        monkeypatch.setattr(cuda, "DEVICE", "cpu")
        monkeypatch.setattr(cuda, "_backend", lambda _: kernels.Backend("kernels", "for a test"))
        monkeypatch.setattr(kernels, "_on_cuda", lambda input: isinstance(input, Tensor))
        yield
        return
    monkeypatch.setenv("LOSSES_KERNELS", "1")
    cuda._backend.cache_clear()
    yield
    cuda._backend.cache_clear()


def some(cases: Iterable[T]) -> list[T]:
    """All of them; of what the interpreter, which is slow, is to do every fourth."""
    return list(cases)[:: 4 if INTERPRETED else 1]


def numbers(shape: tuple[int, ...], dtype: torch.dtype = torch.float32, seed: int = 0) -> Tensor:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    return x.to(DEVICE, dtype)


def shares(shape: tuple[int, ...], dtype: torch.dtype = torch.float32, seed: int = 1) -> Tensor:
    x = torch.rand(shape, generator=torch.Generator().manual_seed(seed))
    return x.to(DEVICE, dtype)


def classes_of(z: Tensor, ignored: bool = True, seed: int = 3) -> Tensor:
    shape = z.shape[:1] + z.shape[2:] if z.dim() > 1 else ()
    y = (shares(tuple(shape), seed=seed) * z.shape[min(1, z.dim() - 1)]).long()
    return torch.where(shares(tuple(shape)) < 0.25, -100, y) if ignored and shape else y


def upstream_of(value: Tensor) -> Tensor:
    """1 of a reduced loss, as nearly always."""
    return torch.ones_like(value) if value.dim() == 0 else numbers(tuple(value.shape), value.dtype)


def by_kernel(loss: Loss, z: Tensor) -> tuple[Tensor, Tensor]:
    z = z.detach().requires_grad_()
    before = z.detach().clone()
    value = loss(z)
    assert value.grad_fn is not None
    assert value.grad_fn.name() == USED
    (gradient,) = torch.autograd.grad(value, z, upstream_of(value.detach()))
    assert torch.equal(torch.nan_to_num(z.detach()), torch.nan_to_num(before))
    assert gradient.dtype == z.dtype
    assert gradient.shape == z.shape
    if not INTERPRETED:
        with torch.no_grad():
            torch.testing.assert_close(loss(z), value.detach(), equal_nan=True, rtol=0, atol=0)
    return value.detach(), gradient


def by_closed_form(loss: Loss, z: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    exact = z.detach().double().requires_grad_()
    with kernels.closed_forms_only():
        value = loss(exact)
    upstream = upstream_of(value.detach().to(dtype)).double()
    return value.detach(), torch.autograd.grad(value, exact, upstream)[0]


def assert_same(loss: Loss, z: Tensor, **close: Any) -> None:
    mine = by_kernel(loss, z)
    truth = by_closed_form(loss, z, mine[0].dtype)
    for ours, theirs in zip(mine, truth, strict=True):
        close = close or CLOSE[z.dtype]
        torch.testing.assert_close(ours.double(), theirs, equal_nan=True, **close)


def cross_entropy(y: Tensor, w: Tensor | None = None, **options: Any) -> Loss:
    def loss(z: Tensor) -> Tensor:
        weight = None if w is None else w.to(z.dtype)
        return functional.cross_entropy(z, y, weight, **options)

    return loss


# --- cross-entropy -------------------------------------------------------------------------------

ROWS = [
    *[(5,), (1, 1), (3, 2), (130, 3), (64, 10), (5, 32), (5, 33), (7, 1000), (3, 4097), (2, 5000)],
    *[(2, 3, 4, 5), (1, 21, 6, 7), (2, 40, 3), (2, 7, 1), (2, 50, 1, 1)],
]


@pytest.mark.parametrize("shape", ROWS, ids=str)
@fewer_dtypes
def test_cross_entropy_is_its_closed_form(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    z = 4 * numbers(shape, dtype)
    y = classes_of(z)
    w = shares((shape[min(1, len(shape) - 1)],), dtype) + 0.1
    for reduction, options in some(
        itertools.product(("mean", "sum", "none"), ({}, {"w": w}, {"label_smoothing": 0.1}))
    ):
        assert_same(cross_entropy(y, reduction=reduction, **options), z)


PLANS = [
    *[Plan("whole", 1024, 4), Plan("twice", 512, 4)],
    *[Plan("shared", 64, 2), Plan("shared", 1024, 4, 64), Plan("shared", 256, 8)],
]


@pytest.mark.parametrize("plan", PLANS, ids=str)
@pytest.mark.parametrize("classes", [63, 1000])
@fewer_dtypes
def test_each_way_through_a_row_is_the_closed_form(
    plan: Plan, classes: int, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    if INTERPRETED and plan.way == "shared" and classes > plan.block:
        pytest.skip("the interpreter has one program run after the other: none can wait")
    monkeypatch.setattr(rows, "chosen", plan)
    z = 4 * numbers((6, classes), dtype)
    z[1, 5], z[2, 7], z[3], z[4, -1] = NAN, -INF, -INF, INF
    y = classes_of(z)
    # The largest in the first part of the row, and in the last.
    z[0, 1], z[5, -3], y[0], y[5] = 16, 17, 3, 2
    w = shares((classes,), dtype) + 0.1
    options: list[dict[str, Any]] = [{"w": w}]
    if plan.way != "shared":
        options.append({"label_smoothing": 0.1})
    for each in options:
        assert_same(cross_entropy(y, reduction="none", **each), z)
        assert_same(cross_entropy(y[::5], **each), z[::5])


@pytest.mark.parametrize("classes", some([32768, 33000, 50257, 131072]))
@fewer_dtypes
def test_long_rows(classes: int, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    z = 4 * numbers((3, classes), dtype)
    plans = [rows.plan_of(classes, False, dtype.itemsize < 4), Plan("twice", 8192, 16)]
    for plan in plans:
        if INTERPRETED and plan.way == "shared":
            continue
        monkeypatch.setattr(rows, "chosen", plan)
        assert_same(cross_entropy(classes_of(z)), z)
        assert_same(cross_entropy(classes_of(z, ignored=False), reduction="none"), z)


@pytest.mark.parametrize("classes", [3, 40])
def test_the_edges_of_cross_entropy(classes: int) -> None:
    edges = torch.tensor([0.0, 1e-45, 30.0, -30.0, 88.0, -104.0, 1e4, -1e4, INF, -INF, NAN])
    pairs = torch.cartesian_prod(edges, edges)
    z = torch.zeros(len(pairs), classes)
    z[:, 0], z[:, -1] = pairs[:, 0], pairs[:, 1]
    for y in (0, 1, classes - 1):
        index = torch.full((len(z),), y, device=DEVICE)
        loss = cross_entropy(index, reduction="none")
        # In float32: float64 has room for what overflows or vanishes there.
        z = z.to(DEVICE)
        mine = by_kernel(loss, z)
        leaf = z.clone().requires_grad_()
        with kernels.closed_forms_only():
            value = loss(leaf)
        truth = value.detach(), torch.autograd.grad(value, leaf, upstream_of(value.detach()))[0]
        for ours, theirs in zip(mine, truth, strict=True):
            torch.testing.assert_close(ours, theirs, equal_nan=True, rtol=6e-6, atol=2.0**-126)


def test_float32_keeps_the_digits_of_small_losses() -> None:
    gaps = torch.tensor([0.5, 3.0, 8.0, 20.0, 40.0, 60.0, 80.0])
    z = torch.stack([torch.zeros_like(gaps), gaps], 1).to(DEVICE)
    for y in (0, 1):
        index = torch.full((len(z),), y, device=DEVICE)
        assert_same(cross_entropy(index, reduction="none"), z, rtol=8e-7, atol=0)
    assert_same(functional_bce(torch.ones(7, device=DEVICE)), z[:, 1], rtol=8e-7, atol=0)
    assert_same(functional_bce(torch.zeros(7, device=DEVICE)), z[:, 1], rtol=8e-7, atol=0)


def test_what_is_ignored_has_no_gradient() -> None:
    z = numbers((4, 7))
    z[1], z[2, 3] = NAN, INF
    y = torch.tensor([2, -100, -100, 1], device=DEVICE)
    for reduction in ("mean", "sum", "none"):
        assert_same(cross_entropy(y, reduction=reduction), z)
        assert_same(cross_entropy(y, reduction=reduction, label_smoothing=0.1), z)
    assert_same(cross_entropy(torch.full_like(y, -100)), z)
    assert_same(cross_entropy(torch.where(y < 0, 3, y), ignore_index=3), z)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int16, torch.int32], ids=str)
def test_indices_may_be_any_integers(dtype: torch.dtype) -> None:
    z = numbers((6, 4))
    y = torch.tensor([0, 1, 2, 3, 0, 1], device=DEVICE)
    expected = by_kernel(cross_entropy(y), z)
    found = by_kernel(cross_entropy(y.to(dtype)), z)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_cross_entropy_takes_any_layout() -> None:
    z = 4 * numbers((3, 21, 6, 10))
    y = classes_of(z)
    for change in (
        lambda x: x.contiguous(memory_format=torch.channels_last),
        lambda x: x.transpose(2, 3).contiguous().transpose(2, 3),
        lambda x: x[:1].expand(3, 21, 6, 10),
    ):
        assert_same(cross_entropy(y), change(z))
    for part in (slice(1, None), slice(None, None, 2)):
        assert_same(cross_entropy(y[part, 1:, ::2]), z[part, :, 1:, ::2])
    flat = numbers((50, 41))
    for change in (lambda x: x[3:, 1:], lambda x: x[::2, ::3], lambda x: x.t(), lambda x: x[:, :1]):
        assert_same(cross_entropy(classes_of(change(flat))), change(flat))
        assert_same(cross_entropy(classes_of(change(flat)), reduction="none"), change(flat))


# --- losses of single numbers --------------------------------------------------------------------


def functional_bce(t: Tensor, **options: Any) -> Loss:
    def loss(z: Tensor) -> Tensor:
        tensors = {k: x.to(z.dtype) for k, x in options.items() if isinstance(x, Tensor)}
        reduction = options.get("reduction", "none")
        return functional.binary_cross_entropy_with_logits(
            z, t.to(z.dtype), reduction=reduction, **tensors
        )

    return loss


def functional_focal(
    t: Tensor, reduction: str = "none", alpha: float = 0.25, gamma: float = 2
) -> Loss:
    return lambda z: functional.sigmoid_focal_loss(z, t.to(z.dtype), alpha, gamma, reduction)


@pytest.mark.parametrize("size", [1, 7, 127, 2048, 2049, 5000])
@fewer_dtypes
@each_reduction
def test_losses_of_single_numbers(size: int, dtype: torch.dtype, reduction: str) -> None:
    z, t = 4 * numbers((size,), dtype), shares((size,), dtype)
    close = {**CLOSE[dtype], "atol": 4e-7} if dtype == torch.float32 else CLOSE[dtype]
    for target in (t, t.round()):
        assert_same(functional_bce(target, reduction=reduction), z, **close)
        assert_same(functional_focal(target, reduction), z, **close)


@fewer_dtypes
@each_reduction
def test_weights_are_broadcast(dtype: torch.dtype, reduction: str) -> None:
    z, t = numbers((5, 6), dtype), shares((5, 6), dtype)
    for shape in ((), (1,), (6,), (5, 1), (1, 6), (5, 6), (1, 1)):
        w = shares(shape, dtype) + 0.25
        for options in ({"weight": w}, {"pos_weight": 2 * w}, {"weight": w, "pos_weight": 2 * w}):
            assert_same(functional_bce(t, reduction=reduction, **options), z)


@pytest.mark.parametrize("gamma", [0.0, 1.0, 2.0, 3.0, 5.0])
@pytest.mark.parametrize("alpha", [-1, 0.0, 0.25, 1.0])
def test_focal_has_any_power(gamma: float, alpha: float) -> None:
    z, t = 10 * numbers((500,)), shares((500,)).round()
    assert_same(functional_focal(t, "none", alpha, gamma), z, rtol=1e-5, atol=2.0**-120)
    z = z.requires_grad_()
    other = functional.sigmoid_focal_loss(z, t, alpha, 1.7, "mean")
    assert other.grad_fn.name() != USED  # type: ignore[union-attr]


def test_the_edges_of_single_numbers() -> None:
    edges = [0.0, -0.0, 1e-45, -1e-45, 1e-38, 20.0, -20.0, 88.0, -88.0, 104.0, -104.0, 1e4, -1e4]
    z = torch.tensor([*edges, 3e38, -3e38, INF, -INF, NAN], device=DEVICE)
    for t, of in itertools.product((0.0, 1.0, 0.25), (functional_bce, functional_focal)):
        loss = of(torch.full_like(z, t))
        if t == 0.25:
            z = z[z.isfinite()]
            loss = of(torch.full_like(z, t))
        leaf = z.clone().requires_grad_()
        with kernels.closed_forms_only():
            value = loss(leaf)
        truth = value.detach(), torch.autograd.grad(value, leaf, upstream_of(value.detach()))[0]
        for ours, theirs in zip(by_kernel(loss, z), truth, strict=True):
            torch.testing.assert_close(ours, theirs, equal_nan=True, rtol=6e-6, atol=2.0**-126)


def test_single_numbers_take_any_layout() -> None:
    z, t = 4 * numbers((9, 14)), shares((9, 14))
    layouts: list[Callable[[Tensor], Tensor]] = [
        lambda x: x[1:, 3:],
        lambda x: x.t(),
        lambda x: x[::2, ::3],
        lambda x: x.unsqueeze(1).expand(9, 2, 14),
        lambda x: x[0, 0],
    ]
    for a, b in itertools.product(layouts, repeat=2):
        if a(z).shape == b(t).shape:
            assert_same(functional_bce(b(t)), a(z))


# --- autograd ------------------------------------------------------------------------------------


def families(z: Tensor) -> list[Loss]:
    """Of logits (N, C)."""
    t = shares(tuple(z.shape), z.dtype)
    return [
        cross_entropy(classes_of(z)),
        functional_bce(t, reduction="mean"),
        functional_focal(t, "mean"),
    ]


@each_dtype
def test_a_graph_that_is_kept_gives_the_same_gradient_again(dtype: torch.dtype) -> None:
    for k in range(3):
        z = numbers((8, 3), dtype).requires_grad_()
        loss = families(z)[k](z)
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
def test_batches_of_upstream_gradients(dtype: torch.dtype, reduction: str) -> None:
    z = numbers((4, 3), dtype).requires_grad_()
    value = functional.cross_entropy(z, classes_of(z), reduction=reduction)
    upstream = numbers((5, *value.shape), dtype)
    (found,) = torch.autograd.grad(value, z, upstream, is_grads_batched=True, retain_graph=True)
    each = [torch.autograd.grad(value, z, u, retain_graph=True)[0] for u in upstream]
    torch.testing.assert_close(found, torch.stack(each), **CLOSE[dtype])


def test_logits_changed_after_the_loss_are_noticed_where_they_matter() -> None:
    leaf = numbers((5, 3)).requires_grad_()
    z = leaf * 1
    loss = families(z)[0](z)
    with torch.no_grad():
        z.add_(1.0)
    torch.autograd.grad(loss, leaf, retain_graph=True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        torch.autograd.grad(loss, leaf, create_graph=True)


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
def test_a_gradient_that_is_nobody_else_s_is_not_copied() -> None:
    z = numbers((256, 32768)).requires_grad_()
    loss = functional.cross_entropy(z, classes_of(z))
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    (3 * loss).backward()
    assert torch.cuda.max_memory_allocated() - before < 10_000


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
        "import torch; from losses import functional\n"
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
