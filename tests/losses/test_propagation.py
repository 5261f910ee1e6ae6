"""NaN, infinity, changed tensors and transformations: what torch gives or raises."""

from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.func import functionalize, grad, jacfwd, jvp

from lossbench import losses
from lossbench.losses import functional, registry
from lossbench.losses.registry import Entry

from .cases import (
    assert_near,
    each_built_in_case,
    each_smooth_case,
    sample,
)

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


# --- soft targets beside an infinite logit -------------------------------------------------------

LIMITS = ["cross-entropy", "label-smoothing", "logit-adjusted", "bce-with-logits"]


@pytest.mark.parametrize("name", LIMITS)
@pytest.mark.parametrize("infinite", [INF, -INF])
def test_the_gradient_by_a_target_beside_infinity_is_the_limit(name: str, infinite: float) -> None:
    loss = registry.get(name, reduction="sum")

    def by_target(z: Tensor, t: Tensor) -> Tensor:
        return grad(lambda t: loss(z, t))(t)

    z = torch.tensor([[infinite, 0.3, -0.2]], dtype=torch.float64)
    for row in ([0.0, 0.5, 0.5], [0.5, 0.25, 0.25], [1.0, 0.0, 0.0]):
        t = torch.tensor([row], dtype=torch.float64)
        near, far = (by_target(torch.where(z.isinf(), z.sign() * x, z), t) for x in (1e3, 1e4))
        limit = torch.where((far - near).abs() > 1, far.sign() * INF, far)
        leaf = t.clone().requires_grad_()
        (kernel,) = torch.autograd.grad(loss(z, leaf), leaf)
        for gradient in (kernel, by_target(z, t), jacfwd(lambda t: loss(z, t))(t)):
            assert_near(gradient, limit)


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


@each_smooth_case
def test_forward_mode_in_forward_mode_is_an_error(entry: Entry, kind: str) -> None:
    input, target = sample(entry, kind)
    loss = entry.build()
    with pytest.raises(RuntimeError, match="jacfwd of jacrev"):
        jacfwd(jacfwd(lambda z: loss(z, target)))(input)
    with pytest.raises(RuntimeError, match="jacfwd of jacrev"):
        jvp(lambda z: jvp(lambda x: loss(x, target), (z,), (z,))[1], (input,), (input,))
