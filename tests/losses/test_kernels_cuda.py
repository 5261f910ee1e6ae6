"""The kernels on CUDA: each is its closed form in float64, for any dtype, size, layout, option."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from functools import partial

import pytest
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from lossbench.losses import kernels, registry
from lossbench.losses.kernels.cuda import launch

from .cuda_cases import (
    CLOSE,
    DEVICE,
    INF,
    NAN,
    Loss,
    assert_same,
    by_kernel,
    classes_of,
    cross_entropy,
    each_reduction,
    fewer_dtypes,
    functional_bce,
    functional_focal,
    numbers,
    shares,
    some,
    upstream_of,
    where_they_run,
)
from .kernel_cases import used_kernel

pytestmark = [where_they_run, pytest.mark.usefixtures("on_cuda_switched_on")]


# --- every loss ------------------------------------------------------------------------------


def every_loss() -> Iterator[object]:
    for name in registry.names():
        for kind in registry.entry(name).targets:
            yield pytest.param(name, kind, id=f"{name}-{kind}")


@pytest.mark.parametrize(("name", "kind"), list(every_loss()))
@fewer_dtypes
def test_every_loss_is_its_closed_form(
    name: str, kind: registry.Target, dtype: torch.dtype
) -> None:
    entry = registry.entry(name)
    for shape in ((300,),) if entry.task == "binary" else ((9, 3), (3, 70)):
        for reduction in ("mean", "none"):
            z = entry.input_from_logits(4 * numbers(shape)).to(dtype)
            labels = classes_of(torch.empty(shape[0], 2 if len(shape) == 1 else shape[1]), False)
            t = entry.target_from_labels(labels.to(DEVICE), z, kind)
            loss = entry.build(reduction=reduction)
            # With shares of all classes a gradient is a difference of what may be as large as they.
            assert_near(partial(of_target, loss, t), z, 4e-7 if kind == "distribution" else 1e-30)


def of_target(loss: Loss, t: Tensor, z: Tensor) -> Tensor:
    return loss(z, t.to(z.dtype) if t.is_floating_point() else t)


def assert_near(loss: Loss, z: Tensor, least: float) -> None:
    """Be as near the truth as the closed forms in this dtype, plus the dtype's rounding."""
    mine = values(loss, z)
    assert mine[2]
    with kernels.closed_forms_only():
        closed, truth = values(loss, z), values(loss, z.double())
    for ours, theirs, exact in zip(mine[:2], closed[:2], truth[:2], strict=True):
        room = 4 * (theirs.double() - exact).abs() + CLOSE[z.dtype]["rtol"] * exact.abs()
        bad = (ours.double() - exact).abs() > room + least
        assert not bad.any(), f"{ours[bad][:5]} instead of {exact[bad][:5]}"


def values(loss: Loss, z: Tensor) -> tuple[Tensor, Tensor, bool]:
    """Return value, gradient, and whether a kernel computed them."""
    z = z.detach().requires_grad_()
    value = loss(z)
    used = used_kernel(value.grad_fn)
    (gradient,) = torch.autograd.grad(value, z, upstream_of(value.detach()))
    return value.detach(), gradient, used


# --- cross-entropy -------------------------------------------------------------------------------

ROWS = [
    *[(5,), (1, 1), (3, 2), (130, 3), (64, 10), (5, 32), (5, 33), (7, 1000), (3, 4097), (2, 2049)],
    *[(2, 3, 4, 5), (1, 21, 6, 7), (2, 40, 3), (2, 7, 1), (2, 50, 1, 1)],
]


@pytest.mark.parametrize("shape", ROWS, ids=str)
@fewer_dtypes
def test_cross_entropy_is_its_closed_form(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    z = 4 * numbers(shape, dtype)
    y = classes_of(z)
    w = shares((shape[min(1, len(shape) - 1)],), dtype) + 0.1
    t = 3 * shares(shape, dtype).square() / len(w)
    for target, reduction, weight, smoothing in some(
        itertools.product((y, t), ("mean", "sum", "none"), (None, w), (0.0, 0.1))
    ):
        loss = cross_entropy(target, weight, reduction=reduction, label_smoothing=smoothing)
        # With shares of all classes the gradient is a difference of what may be as large as they.
        close = CLOSE[dtype] if target is y else {**CLOSE[dtype], "atol": 4e-7}
        assert_same(loss, z, **close)


@pytest.mark.parametrize("tile", [16, 128, 4096])
@fewer_dtypes
def test_blocks_of_any_size_are_the_closed_form(
    tile: int, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "_TILE", tile)
    z = 4 * numbers((6, 63), dtype)
    z[1, 5], z[2, 7], z[3], z[4, -1] = NAN, -INF, -INF, INF
    y = classes_of(z)
    # The largest in the first block of the row, and in the last.
    z[0, 1], z[5, -3], y[0], y[5] = 16, 17, 3, 2
    w = shares((63,), dtype) + 0.1
    for each in ({"w": w}, {"label_smoothing": 0.1}):
        assert_same(cross_entropy(y, reduction="none", **each), z)  # type: ignore[arg-type]
        assert_same(cross_entropy(y[::5], **each), z[::5])  # type: ignore[arg-type]


@pytest.mark.parametrize("classes", some([32768, 33000, 50257, 131072]))
@fewer_dtypes
def test_long_rows(classes: int, dtype: torch.dtype) -> None:
    z = 4 * numbers((3, classes), dtype)
    assert_same(cross_entropy(classes_of(z)), z)
    assert_same(cross_entropy(classes_of(z, ignored=False), reduction="none"), z)
    t = shares((3, classes), dtype) / classes
    assert_same(cross_entropy(t, shares((classes,), dtype), label_smoothing=0.1), z)


# A row at a time, in parts or whole, and many rows at a time.
@pytest.mark.parametrize(("classes", "tile"), [(40, 32), (40, 4096), (3, 4096)])
def test_the_edges_of_cross_entropy(
    classes: int, tile: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "_TILE", tile)
    edges = torch.tensor([0.0, 1e-45, 30.0, -30.0, 88.0, -104.0, 1e4, -1e4, INF, -INF, NAN])
    pairs = torch.cartesian_prod(edges, edges)
    z = torch.zeros(len(pairs), classes)
    z[:, 0], z[:, -1] = pairs[:, 0], pairs[:, 1]
    # In float32: float64 has room for what overflows or vanishes there.
    z = z.to(DEVICE)
    indices = [torch.full((len(z),), y, device=DEVICE) for y in (0, 1, classes - 1)]
    rows_of = [one_hot(y, classes).float() for y in indices]
    both = (rows_of[0] + rows_of[1]) / 2
    for target in (*some(indices), *some(rows_of), both):
        loss = cross_entropy(target, reduction="none")
        mine = by_kernel(loss, z)
        leaf = z.clone().requires_grad_()
        with kernels.closed_forms_only():
            value = loss(leaf)
        truth = value.detach(), torch.autograd.grad(value, leaf, upstream_of(value.detach()))[0]
        for ours, theirs in zip(mine, truth, strict=True):
            torch.testing.assert_close(ours, theirs, equal_nan=True, rtol=6e-6, atol=2.0**-126)


def test_float32_keeps_the_digits_of_small_losses() -> None:
    gaps = torch.tensor([0.5, 3.0, 8.0, 20.0, 40.0, 60.0, 80.0])
    # Differences from numbers below 256 are rounded, and beyond they are not.
    ends = [0.0, 0.3, 80.0, 255.9, 256.1, 1e4, 1e7, -80.0, -255.9, -256.1, -1e4]
    for end in ends:
        z = torch.stack([torch.full_like(gaps, end), end - gaps], 1).to(DEVICE)
        for y in (0, 1):
            index = torch.full((len(z),), y, device=DEVICE)
            assert_same(cross_entropy(index, reduction="none"), z, rtol=8e-7, atol=0)
    # From everywhere in the domain of the series.
    z = torch.linspace(-80, 80, 1001, device=DEVICE)
    for t in (torch.zeros_like(z), torch.ones_like(z)):
        assert_same(functional_bce(t), z, rtol=1e-6, atol=0)


def test_what_is_ignored_has_no_gradient() -> None:
    z = numbers((4, 7))
    z[1], z[2, 3] = NAN, INF
    y = torch.tensor([2, -100, -100, 1], device=DEVICE)
    for reduction in ("mean", "sum", "none"):
        assert_same(cross_entropy(y, reduction=reduction), z)
        assert_same(cross_entropy(y, reduction=reduction, label_smoothing=0.1), z)
        w = shares((7,))
        assert_same(cross_entropy(y, w, reduction=reduction, label_smoothing=0.1), z)
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
    t = shares((3, 21, 6, 10)) / 21
    for change in (lambda x: x.contiguous(memory_format=torch.channels_last), lambda x: x[:1]):
        assert_same(cross_entropy(change(t)), change(z), rtol=4e-6, atol=4e-7)
        assert_same(cross_entropy(change(t)), change(z.clone()).contiguous(), rtol=4e-6, atol=4e-7)
    flat = numbers((50, 41))
    for change in (lambda x: x[3:, 1:], lambda x: x[::2, ::3], lambda x: x.t(), lambda x: x[:, :1]):
        assert_same(cross_entropy(classes_of(change(flat))), change(flat))
        assert_same(cross_entropy(classes_of(change(flat)), reduction="none"), change(flat))


# --- losses of single numbers --------------------------------------------------------------------


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


@pytest.mark.parametrize("gamma", [0.0, 1.0, 1.7, 2.0, 5.0])
@pytest.mark.parametrize("alpha", [-1, 0.0, 0.25, 1.0])
def test_focal_has_any_power(gamma: float, alpha: float) -> None:
    z, t = 10 * numbers((500,)), shares((500,)).round()
    assert_same(functional_focal(t, "none", alpha, gamma), z, rtol=1e-5, atol=2.0**-120)


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
