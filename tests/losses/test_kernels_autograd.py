"""The fused kernels under autograd: derivatives of every order, kept graphs, interception."""

import itertools
from collections.abc import Callable, Iterator

import pytest
import torch
import torch.nn.functional as F
import torch.utils.checkpoint
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd import gradcheck, gradgradcheck

from lossbench.losses import functional, kernels

from .cases import kept_bytes
from .kernel_cases import ELEMENTWISE, USED, numbers, shares, target_of, value_and_gradient

pytestmark = pytest.mark.usefixtures("switched_on")


def cases_of_derivatives() -> Iterator[tuple[str, Callable[[Tensor], Tensor], Tensor]]:
    for name, (loss, inputs, targets) in ELEMENTWISE.items():
        z, t = inputs(numbers((4,), torch.float64)), targets(shares((4,), torch.float64))
        for reduction in ("mean", "none"):
            yield f"{name}-{reduction}", lambda z, f=loss, t=t, r=reduction: f(z, t, r), z
    z = numbers((3, 4, 2), torch.float64)
    for soft, reduction in itertools.product((False, True), ("mean", "none")):
        t, w = target_of(z, soft, not soft), shares((4,), torch.float64)
        yield (
            f"cross-entropy-{soft}-{reduction}",
            lambda z, t=t, w=w, r=reduction: functional.cross_entropy(
                z, t, w, label_smoothing=0.1, reduction=r
            ),
            z,
        )
    z, y = numbers((3, 4), torch.float64), torch.tensor([0, 3, 1])
    yield "nll", lambda z: functional.nll_loss(z, y), z
    yield "multi-margin", lambda z: functional.multi_margin_loss(z, y, 2), z
    w = shares((4,), torch.float64)
    yield "multi-margin-weighted", lambda z: functional.multi_margin_loss(z, y, 2, weight=w), z


@pytest.mark.parametrize(
    ("loss", "z"), [pytest.param(f, z, id=name) for name, f, z in cases_of_derivatives()]
)
def test_derivatives_are_those_of_finite_differences(
    loss: Callable[[Tensor], Tensor], z: Tensor
) -> None:
    z = z.detach().requires_grad_()
    assert loss(z).grad_fn.name() == USED  # type: ignore[union-attr]
    assert gradcheck(loss, z, check_batched_grad=True, check_forward_ad=True)
    assert gradgradcheck(loss, z, check_batched_grad=True)
    # The Hessian by way of the kernel's own backward pass.
    with kernels.closed_forms_only():
        expected = torch.func.hessian(lambda z: loss(z).sum())(z.detach())
    (gradient,) = torch.autograd.grad(loss(z).sum(), z, create_graph=True)
    rows = (
        [torch.autograd.grad(g, z, retain_graph=True)[0] for g in gradient.flatten()]
        if gradient.requires_grad
        else [torch.zeros_like(z)] * z.numel()
    )
    torch.testing.assert_close(torch.stack(rows).reshape(expected.shape), expected)


def loss_of(z: Tensor) -> Tensor:
    return functional.cross_entropy(z, torch.arange(len(z)) % z.shape[1])


def test_a_graph_that_is_kept_gives_the_same_gradient_again() -> None:
    z = numbers((8, 3), torch.float32).requires_grad_()
    loss = loss_of(z)
    (first,) = torch.autograd.grad(loss, z, retain_graph=True)
    copy = first.clone()
    first.zero_()
    (second,) = torch.autograd.grad(3 * loss, z, retain_graph=True)
    torch.testing.assert_close(second, 3 * copy)
    (third,) = torch.autograd.grad(loss, z)
    torch.testing.assert_close(third, copy)
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        torch.autograd.grad(loss, z)


def test_gradients_are_added_up_in_a_leaf() -> None:
    z = numbers((8, 3), torch.float32).requires_grad_()
    (expected,) = torch.autograd.grad(loss_of(z), z)
    for factor in (1.0, 2.0, -1.0):
        (factor * loss_of(z)).backward()
    torch.testing.assert_close(z.grad, 2 * expected)


def test_a_row_s_own_upstream_multiplies_it() -> None:
    z = numbers((5, 3, 4), torch.float32).requires_grad_()
    y = torch.zeros(5, 4, dtype=torch.long)
    factors = numbers((5, 4), torch.float32, 7)
    mine = functional.cross_entropy(z, y, reduction="none")
    theirs = F.cross_entropy(z, y, reduction="none")
    (a,), (b,) = (torch.autograd.grad(each, z, factors) for each in (mine, theirs))
    torch.testing.assert_close(a, b)


def test_logits_changed_after_the_loss_are_noticed_where_they_matter() -> None:
    leaf = numbers((5, 3), torch.float32).requires_grad_()
    z = leaf * 1
    loss = loss_of(z)
    with torch.no_grad():
        z.add_(1.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        torch.autograd.grad(loss, leaf)


def test_nothing_that_was_given_is_written_to() -> None:
    z, t, w = (numbers((40, 5), torch.float32, k) for k in range(3))
    z.requires_grad_()
    before = [x.detach().clone() for x in (z, t, w)]
    functional.binary_cross_entropy_with_logits(z, t.sigmoid(), w).backward()
    functional.cross_entropy(z, t.softmax(1), w[0].abs()).backward()
    assert all(torch.equal(a.detach(), b) for a, b in zip((z, t, w), before, strict=True))


def test_the_bits_do_not_depend_on_the_threads() -> None:
    z, t = numbers((300_001,), torch.float32), shares((300_001,), torch.float32)
    rows = numbers((500, 300), torch.float32)
    y = torch.arange(500) % 300
    found = []
    threads = torch.get_num_threads()
    for count in (1, 2, 3):
        torch.set_num_threads(count)
        found.append(
            value_and_gradient(lambda z: functional.binary_cross_entropy_with_logits(z, t), z)
            + value_and_gradient(lambda z: functional.cross_entropy(z, y), rows)
        )
    torch.set_num_threads(threads)
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], other, strict=True))


def test_without_a_gradient_there_is_only_a_value() -> None:
    z = numbers((8, 3), torch.float32)
    expected = F.cross_entropy(z, torch.arange(8) % 3)
    assert not loss_of(z).requires_grad
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            torch.testing.assert_close(loss_of(z.requires_grad_()), expected)


class Odd(Tensor):
    """A subclass, whose operations somebody may have changed."""


# torch.jit is deprecated, and its tracer warns of every condition.
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_whoever_intercepts_operations_sees_the_closed_forms() -> None:
    z = numbers((8, 3), torch.float64)
    y, t = torch.arange(8) % 3, shares((8, 3), torch.float64)

    def both(z: Tensor, t: Tensor = t) -> Tensor:
        return functional.cross_entropy(z, y) + functional.binary_cross_entropy_with_logits(z, t)

    leaf = z.clone().requires_grad_()
    (expected,) = torch.autograd.grad(both(leaf), leaf)
    torch.testing.assert_close(torch.func.grad(both)(z), expected)
    torch.testing.assert_close(torch.func.vmap(torch.func.grad(both))(z[None])[0], expected)
    v = torch.ones_like(z)
    torch.testing.assert_close(torch.func.jvp(both, (z,), (v,))[1], (expected * v).sum())
    compiled = torch.compile(both, fullgraph=True, backend="aot_eager")
    (found,) = torch.autograd.grad(compiled(leaf), leaf)
    torch.testing.assert_close(found, expected)
    odd = z.as_subclass(Odd).requires_grad_()
    assert type(both(odd)) is Odd
    with FakeTensorMode() as mode:
        fake_z, fake_y = mode.from_tensor(z), mode.from_tensor(y)
        assert functional.cross_entropy(fake_z, fake_y).shape == ()
    assert torch.jit.trace(both, (z,), check_trace=False)(z + 1).item() == pytest.approx(
        both(z + 1).item()
    )
    soft = t.clone().requires_grad_()
    (by_target,) = torch.autograd.grad(both(z, soft), soft)
    assert by_target.abs().sum() > 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_under_autocast_a_narrow_loss_is_float32(dtype: torch.dtype) -> None:
    z = numbers((8, 3), torch.float32).to(dtype).requires_grad_()
    assert loss_of(z).dtype == dtype
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = loss_of(z)
    assert loss.dtype == torch.float32
    assert torch.autograd.grad(loss, z)[0].dtype == dtype


def test_soft_targets_changed_after_the_loss_are_noticed() -> None:
    z, t = numbers((5, 3), torch.float32).requires_grad_(), shares((5, 3), torch.float32)
    loss = functional.cross_entropy(z, t)
    t.mul_(2.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        torch.autograd.grad(loss, z)


def test_no_more_is_kept_than_by_torch() -> None:
    z = numbers((256, 1000), torch.float32).requires_grad_()
    y = torch.arange(256)
    ours = kept_bytes(lambda z: functional.cross_entropy(z, y), z)
    theirs = kept_bytes(lambda z: F.cross_entropy(z, y), z)
    assert 0 < ours <= 1.05 * theirs


def test_a_checkpoint_keeps_nothing_of_the_loss() -> None:
    z = numbers((256, 1000), torch.float32).requires_grad_()
    y = torch.arange(256)
    expected = torch.autograd.grad(F.cross_entropy(z, y), z)[0]
    loss = torch.utils.checkpoint.checkpoint(functional.cross_entropy, z, y, use_reentrant=False)
    torch.testing.assert_close(torch.autograd.grad(loss, z)[0], expected)
