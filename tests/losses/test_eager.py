"""The programs of torch's operations, which compute losses where there are no kernels.

Truth is the autograd functions of the formulas in float64.
"""

from collections.abc import Callable
from itertools import product
from random import Random
from typing import Any

import pytest
import torch
from torch import Tensor

from lossbench.losses import functional, registry
from lossbench.losses.kernels.eager import call
from lossbench.losses.kernels.switches import by_formulas_only
from lossbench.losses.registry import Entry

from .cases import parametrized
from .test_kernels_registry import (
    CASES,
    CROSSING,
    EDGES,
    INFINITE,
    assert_near,
    drawn,
    largest,
    options,
    results,
)

each_case = parametrized(CASES)


def by_programs(loss: Callable[..., Tensor], z: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """Value and gradient; it is an error if no program computed them."""
    assert computed_by(loss(z.detach().requires_grad_(), t).grad_fn)
    return results(loss, z, t, without=True)


def computed_by(node: Any) -> bool:
    return node is not None and (
        node.name() == "EagerLossBackward"
        or any(computed_by(each) for each, _ in node.next_functions)
    )


def by_formulas(loss: Callable[..., Tensor], z: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    with by_formulas_only():
        return results(loss, z, t, without=True)


def in_double(loss: Callable[..., Tensor], z: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    return by_formulas(loss, z.double(), t.double() if t.is_floating_point() else t)


@each_case
@pytest.mark.parametrize(
    "dtype", [torch.float32, pytest.param(torch.float64, marks=pytest.mark.slow)]
)
def test_a_program_is_the_formula(entry: Entry, kind: str, dtype: torch.dtype) -> None:
    """Within the bound of the inputs, beyond it, and in tiles of both sorts."""
    loss = entry.build(reduction="none")
    shape = (257,) if entry.task == "binary" else (33, 10)
    for spread, soft in product((1, 8, 50), (False, True)):
        z, t = drawn(entry, kind, shape, dtype, 1, spread, soft)
        (value, gradient), (v, g) = by_programs(loss, z, t), in_double(loss, z, t)
        assert value.dtype == gradient.dtype == dtype
        # Soft targets cancel: the room is that of the terms.
        assert_near(value, v, dtype, 16 + 16 * v.abs() if soft else 0.0)
        wide = soft or entry.name in (*CROSSING, "z-loss")
        assert_near(gradient, g, dtype, largest(g) + 16 * soft if wide else 0.0)


@each_case
def test_tiles_are_computed_one_by_one(
    entry: Entry, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    loss = entry.build()
    z, t = drawn(entry, kind, (301,) if entry.task == "binary" else (61, 10), torch.float32)
    whole = by_programs(loss, z, t)
    monkeypatch.setattr(call, "TILE", 40)
    # Only the tile with this number is beyond the bound.
    far = z.clone()
    far[7:8] += 60 if entry.takes == "logits" else 0
    for x in (z, far):
        for ours, theirs in zip(by_programs(loss, x, t), in_double(loss, x, t), strict=True):
            torch.testing.assert_close(ours.double(), theirs, rtol=1e-5, atol=1e-6)
    for ours, theirs in zip(by_programs(loss, z, t), whole, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@each_case
def test_options_of_a_program(entry: Entry, kind: str) -> None:
    shapes = ((9, 14), (2, 3, 5)) if entry.task == "binary" else ((33, 10), (7, 10))
    for k, shape in enumerate((*shapes, (2, 10, 4, 5)) if entry.images else shapes):
        random = Random(f"{entry.name} {kind} {k}")
        z, t = (x.contiguous() for x in drawn(entry, kind, shape, torch.float32, k))
        given = options(entry, z, t, random)
        wide = {name: x.double() if isinstance(x, Tensor) else x for name, x in given.items()}
        for reduction in ("none", "mean", "sum"):
            v, g = in_double(entry.build(reduction=reduction, **wide), z, t)
            value, gradient = by_programs(entry.build(reduction=reduction, **given), z, t)
            assert value.shape == v.shape
            assert gradient.stride() == z.stride()
            assert_near(value, v, torch.float32, 16 + 16 * v.abs())
            assert_near(gradient, g, torch.float32, 1 + 16 * g.abs().amax())


@each_case
def test_edges_of_a_program(entry: Entry, kind: str) -> None:
    """Ties, numbers that overflow, infinity and NaN, beside each of the others."""
    edges = torch.tensor(EDGES + INFINITE)
    if entry.takes == "probabilities":
        edges = torch.tensor((0.0, 1.0, 1e-45, 1e-38, 1 - 2**-24, 0.5))
    if entry.takes in ("log-probabilities", "distances"):
        edges = edges.abs() * (1 if entry.takes == "distances" else -1)
    loss = entry.build(reduction="none")
    pairs = torch.cartesian_prod(edges, edges)
    z = edges if entry.task == "binary" else torch.zeros(len(pairs), 10)
    if entry.task != "binary":
        z[:, 0], z[:, -1] = pairs[:, 0], pairs[:, 1]
    for seed in range(4):
        _, t = drawn(entry, kind, tuple(z.shape), torch.float32, seed, soft=seed == 3)
        for ours, theirs in zip(results(loss, z, t, True), by_formulas(loss, z, t), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6, equal_nan=True)


@pytest.mark.slow
@each_case
def test_a_graph_of_the_backward_pass(entry: Entry, kind: str) -> None:
    loss = entry.build(reduction="sum")
    z, t = drawn(entry, kind, (7,) if entry.task == "binary" else (5, 10), torch.float64)

    def second(z: Tensor) -> Tensor:
        z = z.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(loss(z, t), z, create_graph=True)
        return torch.autograd.grad(gradient.square().sum(), z, allow_unused=True)[0]

    with by_formulas_only():
        expected = second(z)
    found = second(z)
    assert (found is None) == (expected is None)
    if expected is not None:
        torch.testing.assert_close(found, expected)


def test_a_backward_pass_may_be_repeated() -> None:
    z = torch.randn(6, 4, requires_grad=True)
    loss = functional.cross_entropy(z, torch.arange(6) % 4)
    first = torch.autograd.grad(loss, z, retain_graph=True)[0].clone()
    second = torch.autograd.grad(loss, z, 2 * torch.ones(()))[0]
    torch.testing.assert_close(second, 2 * first)


def test_logits_modified_after_the_loss_are_an_error() -> None:
    z = torch.randn(6, 4, requires_grad=True) * 1
    loss = functional.cross_entropy(z, torch.arange(6) % 4)
    z.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_a_loss_keeps_one_tensor_beside_its_inputs() -> None:
    kept = []
    z, y = torch.randn(2000, 200, requires_grad=True), torch.zeros(2000, dtype=torch.long)
    with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x) or x, lambda x: x):
        functional.cross_entropy(z, y)
        assert sum(x.numel() for x in kept if x is not z and x is not y) <= 1.01 * z.numel()
        kept.clear()
        functional.mse_loss(z, z.detach())
        assert all(x.data_ptr() == z.data_ptr() for x in kept)


def test_lists_are_read_to_their_end() -> None:
    z = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))
    lists = torch.tensor([[2, 2, 0, -1, 5, 1], [-1] * 6, [0, 1, 2, 3, 4, 5], [5, -1, 0, 0, 0, 0]])
    loss = registry.entry("multilabel-margin").build(reduction="none")
    for ours, theirs in zip(by_programs(loss, z, lists), in_double(loss, z, lists), strict=True):
        torch.testing.assert_close(ours.double(), theirs)
