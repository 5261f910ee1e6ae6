"""NaN, infinity, changed tensors and transformations: what torch gives or raises."""

from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.func import functionalize, grad, jacfwd, jacrev, jvp

from lossbench import losses
from lossbench.losses import functional, registry
from lossbench.losses.registry import Entry

from .cases import (
    CASES,
    assert_near,
    dtypes,
    each_built_in_case,
    each_smooth_case,
    parametrized,
    sample,
)
from .kernel_cases import used_kernel

INF, NAN = float("inf"), float("nan")
each_switch = pytest.mark.parametrize(
    "switch", [nullcontext, losses.kernels.closed_forms_only], ids=["kernels", "closed forms"]
)


@each_switch
@pytest.mark.parametrize("log_target", [False, True])
def test_kl_div_of_nan_is_nan_beside_a_target_of_nothing(log_target: bool, switch: Any) -> None:
    x = torch.tensor([NAN, -1.0, -INF])
    nothing = torch.full((3,), -INF if log_target else 0.0)
    with switch():
        value = functional.kl_div(x, nothing, reduction="none", log_target=log_target)
    assert value.isnan().tolist() == [True, False, False]
    assert value[1:].tolist() == [0, 0]


# --- beside an infinite logit --------------------------------------------------------------------

# Rows of logits of which some are infinite, and targets.
ROW = (0.9, -1.3, 0.4, 0.2)
MASKS = [{at: sign * INF} for at in range(4) for sign in (1, -1)] + [{0: -INF, 2: -INF}]
TARGETS: dict[str, list[Any]] = {
    "index": [0, 2],
    "labels": [[0, -1, -1, -1], [2, 0, -1, -1]],
    "distribution": [[1.0, 0, 0, 0], [0, 0, 1.0, 0], [0.5, 0.5, 0, 0], [0.1, 0.2, 0.3, 0.4]],
    "logits": [[1.0, 0, -0.5, 0.3], [0, -INF, -INF, -INF], [0, 0.3, -INF, 0]],
    "probability": [[1.0, 0, 0, 1], [0.5, 0.5, 0.2, 0.9]],
}
NUMBERS = {"probability": [0.0, 1.0, 0.3], "sign": [1.0, -1.0]}


def beside_infinity(entry: Entry, kind: str) -> tuple[Tensor, Tensor]:
    """Examples with infinite logits, each with every target."""
    if entry.task == "binary":
        rows = [INF] if entry.takes == "distances" else [INF, -INF]
        pairs = [(z, t) for z in rows for t in NUMBERS[kind]]
    else:
        # Log-probabilities are at most 0.
        masks = [m for m in MASKS if entry.takes != "log-probabilities" or -INF in m.values()]
        rows = [[mask.get(at, z) for at, z in enumerate(ROW)] for mask in masks]
        pairs = [(z, t) for z in rows for t in TARGETS[kind]]
    z, t = (torch.tensor(x) for x in zip(*pairs, strict=True))
    return z.double(), t.double() if t.is_floating_point() else t


def with_limits(function: Any, z: Tensor) -> tuple[Tensor, Tensor]:
    """A function of the logits at infinity, and what it tends to when they grow."""
    far = function(torch.where(z.isinf(), z.sign() * 1e12, z))
    # The smallest that grows is the z-loss: 1e-4 of 1e12.
    limit = torch.where(far.abs() > 1e5, far.sign() * INF, far)
    return function(z), torch.where(far.abs() < 1e-6, 0.0, limit)


def assert_limits(function: Any, z: Tensor) -> None:
    torch.testing.assert_close(*with_limits(function, z), rtol=1e-5, atol=1e-5)


without_bounds = parametrized([case for case in CASES if case[0].takes != "probabilities"])


@without_bounds
def test_beside_infinity_value_and_gradient_are_the_limits(entry: Entry, kind: str) -> None:
    """In reverse and forward mode, by the input and by a soft target."""
    loss, (z, t) = entry.build(reduction="none"), beside_infinity(entry, kind)
    assert_limits(lambda z: loss(z, t), z)
    assert_limits(lambda z: jacrev(lambda z: loss(z, t))(z), z)
    assert_limits(lambda z: jacfwd(lambda z: loss(z, t))(z), z)
    if t.is_floating_point() and kind != "sign":
        assert_limits(lambda z: jacrev(lambda t: loss(z, t))(t), z)
        assert_limits(lambda z: jacfwd(lambda t: loss(z, t))(t), z)

    def gradients(z: Tensor) -> Tensor:
        leaves = [x.clone().requires_grad_() for x in (z, t) if x.is_floating_point()]
        value = loss(leaves[0], leaves[1] if len(leaves) > 1 else t)
        return torch.stack(torch.autograd.grad(value.sum(), leaves))

    assert_limits(gradients, z)


@pytest.mark.usefixtures("switched_on")
@without_bounds
@dtypes([torch.float32, torch.float64])
def test_beside_infinity_kernels_give_the_limits(
    entry: Entry, kind: str, dtype: torch.dtype
) -> None:
    loss, (z, t) = entry.build(reduction="none"), beside_infinity(entry, kind)
    t = t.to(dtype) if t.is_floating_point() else t

    def computed(z: Tensor) -> tuple[Tensor, Tensor]:
        leaf = z.to(dtype).requires_grad_()
        value = loss(leaf, t)
        assert used_kernel(value.grad_fn)
        return value.detach(), torch.autograd.grad(value.sum(), leaf)[0]

    for at in range(2):
        with losses.kernels.closed_forms_only():
            _, limit = with_limits(lambda z, at=at: of_closed_forms(loss, z, t)[at], z)
        ours = computed(z)[at].double()
        torch.testing.assert_close(ours, limit, rtol=1e-5, atol=1e-5)


def of_closed_forms(loss: Any, z: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    leaf, t = z.clone().requires_grad_(), t.double() if t.is_floating_point() else t
    value = loss(leaf, t)
    return value.detach(), torch.autograd.grad(value.sum(), leaf)[0]


# --- NaN -----------------------------------------------------------------------------------------

# A gradient that is the same whatever the input is: 0, or minus the target as in torch.
CONSTANT = {"zero-one", "multiclass-zero-one", "nll", "kl-div"}
COUNTS = {"zero-one", "multiclass-zero-one"}


@pytest.mark.usefixtures("switched_on")
@each_switch
@without_bounds
def test_nan_makes_value_and_gradient_of_its_example_nan(
    entry: Entry, kind: str, switch: Any
) -> None:
    """A NaN in input, target or weight, at each class; the other examples stay as they are."""
    wide = entry.task != "binary"
    z, t = sample(entry, kind, (4, 5) if wide else (4,), torch.float32)
    others = torch.tensor([0, 2, 3])

    def computed(z: Tensor, t: Tensor, **weights: Tensor) -> tuple[Tensor, Tensor]:
        leaf = z.clone().requires_grad_()
        with switch():
            value = entry.build(reduction="none", **weights)(leaf, t)
            return value.detach(), torch.autograd.grad(value.sum(), leaf)[0]

    def check(place: Any, ours: tuple[Tensor, Tensor], constant: set[str]) -> None:
        value, gradient = ours
        assert value[place if value.shape == z.shape else 1].isnan()
        assert gradient[place].isnan() == (entry.name not in constant)

    plain = computed(z, t)
    for place in [(1, at) for at in range(5)] if wide else [1]:
        for which in range(2 if t.is_floating_point() else 1):
            given = [z.clone(), t.clone()]
            given[which][place] = NAN
            ours = computed(given[0], given[1])
            if entry.name == "nll" and place != (1, int(t[1])):
                continue  # It reads no other class, as torch's.
            check(place, ours, COUNTS if which else CONSTANT)
            # Torch's operations take another program for a block of rows that has a NaN.
            for now, before in zip(ours, plain, strict=True):
                torch.testing.assert_close(now[others], before[others], rtol=4e-6, atol=1e-7)
    if "weight" in getattr(entry.build(), "_settings", ()):
        at = (1, int(t[1])) if kind == "index" else (1, 2) if wide else 1
        weight = torch.ones(z.shape[-1])
        weight[at[-1] if wide else at] = NAN
        check(at, computed(z, t, weight=weight), set())


# --- tensors changed between forward and backward ------------------------------------------------


CHANGED = ["cross_entropy", "binary_cross_entropy_with_logits", "mse_loss", "kl_div", "softmax_mse"]


@each_switch
@pytest.mark.parametrize("name", CHANGED)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_soft_target_changed_before_backward_is_torchs_error(
    name: str, dtype: torch.dtype, switch: Any
) -> None:
    z, t = torch.randn(4, 3, dtype=dtype, requires_grad=True), torch.rand(4, 3, dtype=dtype)
    for changed in (z, t):
        with switch():
            loss = getattr(functional, name)(z, t, reduction="sum")
            with torch.no_grad():
                changed.zero_()
            with pytest.raises(RuntimeError, match="modified by an inplace operation"):
                loss.backward()


# --- transformations -----------------------------------------------------------------------------


@each_built_in_case
def test_functionalize_changes_nothing(entry: Entry, kind: str) -> None:
    input, target = sample(entry, kind)
    loss = entry.build(reduction="sum")
    assert_near(functionalize(loss)(input, target), loss(input, target), 256)
    expected = grad(loss)(input, target)
    assert_near(functionalize(grad(loss))(input, target), expected, 256)
    assert_near(grad(functionalize(loss))(input, target), expected, 256)


@pytest.mark.slow
@each_smooth_case
def test_forward_mode_in_forward_mode_is_an_error_of_every_loss(entry: Entry, kind: str) -> None:
    check_nested_forward_mode(entry, kind)


@pytest.mark.parametrize("name", ["cross-entropy", "bce-with-logits"])
def test_forward_mode_in_forward_mode_is_an_error(name: str) -> None:
    entry = registry.entry(name)
    for kind in entry.targets:
        check_nested_forward_mode(entry, kind)


def check_nested_forward_mode(entry: Entry, kind: str) -> None:
    input, target = sample(entry, kind)
    loss = entry.build()
    with pytest.raises(RuntimeError, match="jacfwd of jacrev"):
        jacfwd(jacfwd(lambda z: loss(z, target)))(input)
    with pytest.raises(RuntimeError, match="jacfwd of jacrev"):
        jvp(lambda z: jvp(lambda x: loss(x, target), (z,), (z,))[1], (input,), (input,))
