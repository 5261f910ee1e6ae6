"""What the compiler makes of every registered loss: torch.compile, torch.export, and tensors
without data."""

import os
import shutil
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.func import grad, jvp, vmap

from lossbench.losses import registry
from lossbench.losses.registry import Entry

from .cases import assert_near, dtypes, each_case, each_loss, sample, value_and_gradient
from .test_properties import scalar

COMPILER = os.environ.get("CXX") or shutil.which("g++") or shutil.which("clang++")


@pytest.fixture(autouse=True)
def fresh() -> None:
    torch.compiler.reset()


def check(entry: Entry, kind: str, backend: str, dynamic: bool) -> None:
    loss = entry.build()
    compiled = torch.compile(loss, fullgraph=True, backend=backend, dynamic=dynamic)
    for shape in ((3, 4), (5, 4)) if dynamic else ((3, 4),):
        input, target = sample(entry, kind, shape)
        value, gradient = value_and_gradient(compiled, input, target)
        expected, expected_gradient = value_and_gradient(loss, input, target)
        assert_near(value, expected)
        assert_near(gradient, expected_gradient)


@pytest.mark.parametrize("name", ["bce-with-logits", "cross-entropy"])
def test_compiled_and_differentiated_is_the_same(name: str) -> None:
    entry = registry.entry(name)
    check(entry, entry.targets[0], "aot_eager", dynamic=False)


@pytest.mark.slow
@each_case
def test_compiled_whole_is_the_same(entry: Entry, kind: str) -> None:
    check(entry, kind, "aot_eager", dynamic=False)


@pytest.mark.slow
@pytest.mark.skipif(COMPILER is None, reason="inductor needs a C++ compiler")
@each_case
def test_compiled_by_inductor_with_dynamic_shapes_is_the_same(entry: Entry, kind: str) -> None:
    check(entry, kind, "inductor", dynamic=True)


@pytest.mark.slow
@each_loss
def test_compiled_per_example_gradients_are_the_same(entry: Entry) -> None:
    input, target = sample(entry, entry.targets[0])
    slope = vmap(grad(scalar(entry)))
    compiled = torch.compile(slope, fullgraph=True, backend="aot_eager")
    assert_near(compiled(input, target), slope(input, target))


@pytest.mark.slow
@each_loss
def test_compiled_jvp_keeps_the_tangent(entry: Entry) -> None:
    # A tangent that is dropped gives zeros and no error.
    input, target = sample(entry, entry.targets[0])

    def change(z: Tensor) -> Tensor:
        return jvp(lambda x: entry.build()(x, target), (z,), (torch.ones_like(z),))[1]

    compiled = torch.compile(change, fullgraph=True, backend="aot_eager")
    assert_near(compiled(input), change(input))


@pytest.mark.slow
@each_case
def test_exported_is_the_same(entry: Entry, kind: str) -> None:
    loss = entry.build(reduction="none")
    example, other = sample(entry, kind, (3, 4)), sample(entry, kind, (5, 4))
    batch = torch.export.Dim("batch", min=2)
    shapes = tuple({0: batch} for _ in example)
    exported = torch.export.export(loss, example, dynamic_shapes=shapes).module()
    for arguments in (example, other):
        assert_near(exported(*arguments), loss(*arguments))


@dtypes([torch.float32, torch.bfloat16])
@each_case
def test_shapes_and_types_are_known_without_data(
    entry: Entry, kind: str, dtype: torch.dtype
) -> None:
    input, target = sample(entry, kind, dtype=dtype)
    loss = entry.build(reduction="none")
    value, gradient = value_and_gradient(loss, input, target)

    def check_empty(move: Callable[[Tensor], Tensor]) -> None:
        empty = move(input).requires_grad_()
        out = loss(empty, move(target))
        (slope,) = torch.autograd.grad(out.sum(), empty)
        assert (out.shape, out.dtype, out.device) == (value.shape, value.dtype, empty.device)
        assert (slope.shape, slope.dtype) == (gradient.shape, gradient.dtype)

    check_empty(lambda x: x.to("meta"))
    with FakeTensorMode() as mode:
        check_empty(mode.from_tensor)
