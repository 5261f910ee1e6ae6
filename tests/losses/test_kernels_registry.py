"""The kernel of every registered loss: it is the closed form, in every dtype, at every width."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor

from lossbench.losses import ClosedForms, differentiable, kernels, registry
from lossbench.losses.arguments import fused_elements, rows

from .kernel_cases import USED, numbers

pytestmark = pytest.mark.usefixtures("switched_on")

Loss = Callable[[Tensor, Tensor], Tensor]
# One logit's bi-tempered loss is that of a row of two, which is made by torch.stack.
WITHOUT: set[str] = set()
# Targets that are reductions of the loss of its elements end in another node.
COMPOSED = {"multilabel-soft-margin"}
SHAPES = ((37, 2), (50, 10), (7, 33), (9, 1000), (3, 5, 4, 4))
# What rounding to the dtype leaves, and what the last digits of float32 do on the way.
ROOM = {torch.float64: 1e-12, torch.float32: 4e-6, torch.bfloat16: 2**-7, torch.float16: 2**-10}


def cases() -> Iterator[object]:
    for name in registry.names():
        entry = registry.entry(name)
        if name in WITHOUT:
            continue
        for kind in entry.targets:
            for dtype in ROOM:
                yield pytest.param(name, kind, dtype, id=f"{name}-{kind}-{str(dtype)[6:]}")


def weighted_cases() -> Iterator[object]:
    for name in registry.names("multiclass"):
        entry = registry.entry(name)
        if name not in WITHOUT and "weight" in inspect.signature(entry.module).parameters:
            for kind in entry.targets:
                yield pytest.param(name, kind, id=f"{name}-{kind}")


def values(loss: Loss, z: Tensor, t: Tensor) -> tuple[Tensor, Tensor, str]:
    z = z.detach().requires_grad_()
    value = loss(z, t)
    assert value.grad_fn is not None
    (gradient,) = torch.autograd.grad(value, z, torch.ones_like(value))
    return value.detach(), gradient, value.grad_fn.name()


@pytest.mark.parametrize(("name", "kind", "dtype"), cases())
def test_the_kernel_is_the_closed_form(
    name: str, kind: registry.Target, dtype: torch.dtype
) -> None:
    entry = registry.entry(name)
    loss = entry.build(reduction="none")
    shapes = ((4097,),) if entry.task == "binary" else SHAPES if entry.images else SHAPES[:-1]
    for k, shape in enumerate(shapes):
        for spread in (1, 8, 50):
            z = entry.input_from_logits(spread * numbers(shape, torch.float64, k)).to(dtype)
            labels = numbers((shape[0], *shape[2:]), torch.float64, k + 9).abs().mul(7).long()
            labels = labels % (2 if entry.task == "binary" else shape[1])
            t = target(entry, labels, z, kind)
            assert_is_closed_form(name, loss, loss, z, t)


@pytest.mark.parametrize(("name", "kind"), weighted_cases())
def test_the_kernel_multiplies_by_the_weights_of_classes(name: str, kind: registry.Target) -> None:
    entry = registry.entry(name)
    for shape in SHAPES[1:3]:
        z = entry.input_from_logits(4 * numbers(shape, torch.float32))
        t = entry.target_from_labels(torch.arange(shape[0]) % shape[1], z, kind)
        w = numbers(shape[1:], torch.float32, 1).abs() + 0.1
        loss, wide = (entry.build(reduction="none", weight=x) for x in (w, w.double()))
        assert_is_closed_form(name, loss, wide, z, t)


def assert_is_closed_form(name: str, loss: Loss, wide: Loss, z: Tensor, t: Tensor) -> None:
    """Compare a kernel with the closed form; `wide` is the loss with weights in float64."""
    value, gradient, node = values(loss, z, t)
    assert node == USED or name in COMPOSED
    with kernels.closed_forms_only():
        truth = values(wide, z.double(), t.double() if t.is_floating_point() else t)
        narrow = values(loss, z, t)
    for ours, theirs, closed in zip((value, gradient), truth, narrow, strict=False):
        assert ours.dtype == z.dtype
        assert_near(ours, theirs, closed, z.dtype)  # type: ignore[arg-type]


def target(entry: registry.Entry, labels: Tensor, z: Tensor, kind: registry.Target) -> Tensor:
    if labels.dim() == 1:
        return entry.target_from_labels(labels, z, kind)
    if kind == "index":
        return labels
    return torch.nn.functional.one_hot(labels, z.shape[1]).movedim(-1, 1).to(z.dtype)


def assert_near(ours: Tensor, truth: Tensor, closed: Tensor, dtype: torch.dtype) -> None:
    """Be as near the truth as the closed forms in this dtype, plus the dtype's rounding."""
    off = (closed.double() - truth).abs().nan_to_num()
    room = ROOM[dtype] * truth.abs().clamp_min(1.0 if dtype != torch.float64 else 1e-3)
    same = (ours.double() == truth) | (ours.isnan() & truth.isnan())
    overflown = truth.abs() > torch.finfo(dtype).max
    near = (ours.double() - truth).abs() <= 4 * off + room
    bad = ~(same | near | overflown)
    assert not bad.any(), f"{ours[bad][:5]} instead of {truth[bad][:5]}"


def test_losses_without_a_kernel_are_the_named_ones() -> None:
    found = set()
    for name in registry.names():
        entry = registry.entry(name)
        z = entry.input_from_logits(
            numbers((4,) if entry.task == "binary" else (4, 3), torch.float32)
        )
        labels = torch.tensor([0, 1, 1, 0])
        loss = entry.build(reduction="none")
        node = values(loss, z, entry.target_from_labels(labels, z))[2]
        if node != USED and name not in COMPOSED:
            found.add(name)
    assert found == WITHOUT


def test_class_weights_may_be_negative_as_in_torch() -> None:
    z, y = numbers((20, 5), torch.float32), torch.arange(20) % 5
    w = torch.tensor([1.0, -2.0, 0.5, 3.0, 0.0])
    from torch.nn.functional import cross_entropy

    for options in ({}, {"label_smoothing": 0.1}, {"reduction": "sum"}):
        ours = kernels_loss(z, y, w, **options)
        torch.testing.assert_close(ours, cross_entropy(z, y, w, **options))  # type: ignore[arg-type]


def kernels_loss(z: Tensor, y: Tensor, w: Tensor, **options: object) -> Tensor:
    from lossbench.losses import cross_entropy

    return cross_entropy(z, y, w, **options)  # type: ignore[arg-type]


def test_a_loss_of_the_users_own_gets_a_kernel() -> None:
    cosh = differentiable(
        ClosedForms(
            "log_cosh_of_rows",
            value=lambda z, t, a: torch.log1p(a * (z - t).square()).sum(-1),
            gradient=lambda z, t, a: 2 * a * (z - t) / (1 + a * (z - t).square()),
            hvp=lambda z, v, t, a: 2 * a * v / (1 + a * (z - t).square()),
            rows=True,
        )
    )
    z, y = numbers((6, 4), torch.float32).requires_grad_(), torch.arange(6) % 4
    loss = rows(cosh, "log_cosh", z, y, None, -100, "mean", 0.3)
    assert loss.grad_fn is not None
    assert loss.grad_fn.name() == USED
    one_hot = torch.nn.functional.one_hot(y, 4).float()
    expected = torch.log1p(0.3 * (z - one_hot).square()).sum(-1).mean()
    torch.testing.assert_close(loss, expected)
    found, wanted = (torch.autograd.grad(x, z)[0] for x in (loss, expected))
    torch.testing.assert_close(found, wanted)


def test_a_formula_that_cannot_be_traced_is_computed_all_the_same() -> None:
    odd = differentiable(
        ClosedForms(
            "cumulative",
            value=lambda z, t: (t * z.cumsum(-1)).sum(-1),
            gradient=lambda _z, t: t.flip(-1).cumsum(-1).flip(-1),
            hvp=lambda z, _v, _t: torch.zeros_like(z),
            rows=True,
        )
    )
    z, t = numbers((6, 4), torch.float32).requires_grad_(), numbers((6, 4), torch.float32, 1)
    loss = rows(odd, "cumulative", z, t, None, -100, "sum")
    torch.testing.assert_close(loss, (t * z.cumsum(-1)).sum())


def test_threads_that_need_a_kernel_at_once_get_the_same() -> None:
    loss = differentiable(
        ClosedForms(
            "quartic",
            value=lambda z, t, a: a * (z - t).square().square(),
            gradient=lambda z, t, a: 4 * a * (z - t) * (z - t).square(),
            hvp=lambda z, v, t, a: 12 * a * (z - t).square() * v,
        )
    )
    z, t = numbers((5000,), torch.float32), numbers((5000,), torch.float32, 1)

    def work(_: int) -> float:
        found = fused_elements(loss, z, t, None, "sum", None, 0.7)
        assert found is not None
        return found.item()

    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(work, range(40)))
    assert len(found) == 1


def test_settings_share_a_kernel() -> None:
    from lossbench.losses.kernels.source import source

    texts = []
    for epsilon in (0.5, 1.0, 2.0, 0.37):
        with kernels.collected() as found:
            registry.get("poly-1", epsilon=epsilon)(
                numbers((4, 3), torch.float32), torch.arange(4) % 3
            )
        texts.append(source(found[0]))
    assert len({each.text for each in texts}) == 1
    assert len({each.constants for each in texts}) == 4
