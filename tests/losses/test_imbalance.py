"""LDAM, balanced softmax and logit adjustment, as their papers have them, for unequal counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from lossbench import losses
from lossbench.losses import functional, kernels, registry

COUNTS = torch.tensor([100.0, 5.0, 20.0, 50.0, 1.0], dtype=torch.float64)
WEIGHT = torch.tensor([0.5, 2.0, 1.0, 0.0, 3.0], dtype=torch.float64)
Z = torch.randn(7, 5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
Y = torch.randint(5, (7, 3), generator=torch.Generator().manual_seed(1))
T = Z.flip(0).softmax(1)


def ldam(z: Tensor, y: Tensor, weight: Tensor | None = None, **options: Any) -> Tensor:
    # As the authors' code: a margin for every class, taken from the logit of the right one.
    margin = COUNTS**-0.25
    margin = margin * (0.5 / margin.max())
    right = F.one_hot(y, 5).movedim(-1, 1) if y.shape != z.shape else y
    return F.cross_entropy(30 * (z - right * margin[:, None]), y, weight, **options)


def balanced(z: Tensor, y: Tensor, weight: Tensor | None = None, **options: Any) -> Tensor:
    return F.cross_entropy(z + COUNTS.log()[:, None], y, weight, **options)


PAIRS = [
    (functional.ldam_loss, ldam, {"counts": COUNTS}),
    (functional.balanced_softmax_loss, balanced, {"counts": COUNTS}),
    (functional.logit_adjusted_cross_entropy, balanced, {"prior": COUNTS / COUNTS.sum()}),
]


@pytest.mark.parametrize(("ours", "papers", "counts"), PAIRS, ids=["ldam", "balanced", "adjusted"])
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["", "weighted"])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("target", [Y, T], ids=["index", "distribution"])
@pytest.mark.parametrize("with_kernels", [True, False], ids=["kernel", "closed form"])
@pytest.mark.usefixtures("switched_on")
def test_the_loss_is_the_papers(
    ours: Callable[..., Tensor],
    papers: Callable[..., Tensor],
    counts: dict[str, Tensor],
    weight: Tensor | None,
    reduction: str,
    target: Tensor,
    with_kernels: bool,
) -> None:
    if papers is ldam and target is T and weight is not None:
        pytest.skip("the paper has no weights of soft targets; ours are those of rows")
    z = Z.clone().requires_grad_()

    def computed() -> Tensor:
        return ours(z, target, weight, **counts, reduction=reduction)

    if with_kernels:
        value = computed()
    else:
        with kernels.closed_forms_only():
            value = computed()
    expected = papers(z, target, weight, reduction=reduction)
    torch.testing.assert_close(value, expected, rtol=1e-6, atol=1e-9)
    found, truth = (torch.autograd.grad(x.sum(), z)[0] for x in (value, expected))
    torch.testing.assert_close(found, truth, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(
    ("name", "papers", "counts"),
    [
        ("ldam", ldam, {"counts": COUNTS}),
        ("balanced-softmax", balanced, {"counts": COUNTS}),
        ("logit-adjusted", balanced, {"prior": COUNTS}),
    ],
)
def test_the_textbook_formula_takes_counts(
    name: str, papers: Callable[..., Tensor], counts: dict[str, Tensor]
) -> None:
    reference = registry.entry(name).reference
    for target in (Y, T):
        torch.testing.assert_close(reference(Z, target, **counts), papers(Z, target))  # type: ignore[misc]


def test_counts_are_checked() -> None:
    for function in (functional.ldam_loss, functional.balanced_softmax_loss):
        with pytest.raises(ValueError, match="counts must be above 0"):
            function(Z, Y, counts=COUNTS * 0)
        with pytest.raises(RuntimeError, match=r"counts tensor .* all 5 classes"):
            function(Z, Y, counts=COUNTS[:3])
    with pytest.raises(ValueError, match="scale"):
        functional.ldam_loss(Z, Y, counts=COUNTS, scale=0.0)


def test_modules_keep_the_counts_in_their_state() -> None:
    for module in (losses.LDAMLoss(counts=COUNTS), losses.BalancedSoftmaxLoss(counts=COUNTS)):
        assert torch.equal(module.state_dict()["counts"], COUNTS)
        torch.testing.assert_close(module(Z, Y), type(module).function(Z, Y, counts=COUNTS))


# --- distillation --------------------------------------------------------------------------------


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
@pytest.mark.parametrize("with_kernels", [True, False], ids=["kernel", "closed form"])
@pytest.mark.usefixtures("switched_on")
def test_distillation_is_the_divergence_of_the_softmaxes(
    temperature: float, with_kernels: bool
) -> None:
    z, a = Z.clone().requires_grad_(), 3 * Z.flip(0)
    if with_kernels:
        value = functional.distillation_loss(z, a, temperature=temperature)
    else:
        with kernels.closed_forms_only():
            value = functional.distillation_loss(z, a, temperature=temperature)
    p, t = (z / temperature).log_softmax(1), (a / temperature).softmax(1)
    expected = temperature**2 * F.kl_div(p, t, reduction="none").sum(1).mean()
    torch.testing.assert_close(value, expected, rtol=1e-10, atol=1e-12)
    found, truth = (torch.autograd.grad(x, z)[0] for x in (value, expected))
    torch.testing.assert_close(found, truth, rtol=1e-10, atol=1e-12)


def test_a_student_like_its_teacher_has_no_loss() -> None:
    for k in (0.0, 40.0, float("inf")):
        z = torch.tensor([[k, 0.0, -k]]).requires_grad_()
        value = functional.distillation_loss(z, z.detach())
        (gradient,) = torch.autograd.grad(value, z)
        assert value == 0
        assert not gradient.any()


def test_the_teacher_s_logits_are_checked() -> None:
    with pytest.raises(ValueError, match="teacher's logits"):
        functional.distillation_loss(Z, Z[:3])
    with pytest.raises(RuntimeError, match="floating point"):
        functional.distillation_loss(Z, Z.long())
    with pytest.raises(ValueError, match="temperature"):
        losses.DistillationLoss(temperature=0.0)
