"""Settings: what the tests of every loss check at its defaults holds away from them too, and is
refused outside their range."""

import inspect
import itertools
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck
from torch.func import hessian

from lossbench.losses import functional, registry
from lossbench.losses.registry import Entry

from .cases import (
    ENTRIES,
    assert_near,
    cotangent,
    each_built_in,
    near_kink,
    sample,
    value_and_gradient,
)

VARIANTS: list[tuple[str, dict[str, Any]]] = [
    ("focal", {"gamma": 0.5, "alpha": 0.75}),
    ("focal", {"gamma": 0.0, "alpha": -1}),
    ("focal", {"gamma": 3.5}),
    ("softmax-focal", {"gamma": 0.5}),
    ("softmax-focal", {"gamma": 3.5}),
    ("asymmetric", {"gamma_pos": 1.5, "gamma_neg": 2.5, "clip": 0.2}),
    ("asymmetric", {"gamma_pos": 0.5, "gamma_neg": 0.5, "clip": 0.0}),
    ("poly-1", {"epsilon": -1.0}),
    ("poly-1", {"epsilon": 2.5}),
    ("sigmoid-poly-1", {"epsilon": -0.6}),
    ("sigmoid-poly-1", {"epsilon": 2.5}),
    ("generalized-cross-entropy", {"q": 0.3}),
    ("generalized-cross-entropy", {"q": 1.0}),
    ("sigmoid-generalized-cross-entropy", {"q": 0.3}),
    ("symmetric-cross-entropy", {"alpha": 0.7, "beta": 0.3, "log_zero": -1.5}),
    ("symmetric-cross-entropy", {"alpha": 0.0, "log_zero": -6.0}),
    ("sigmoid-symmetric-cross-entropy", {"alpha": 0.7, "beta": 0.3, "log_zero": -1.5}),
    ("sigmoid-symmetric-cross-entropy", {"alpha": 0.0, "log_zero": -6.0}),
    ("bi-tempered-logistic", {"t1": 0.3, "t2": 2.0}),
    ("bi-tempered-logistic", {"t1": 0.9, "t2": 1.0}),
    ("sigmoid-bi-tempered-logistic", {"t1": 0.3, "t2": 2.0}),
    ("rescaled-square", {"k": 3.0, "m": 2.5}),
    ("rescaled-square", {"k": 0.25, "m": 0.5}),
    ("hinge", {"margin": 0.3}),
    ("squared-hinge", {"margin": 2.0}),
    ("cubed-hinge", {"margin": 2.0}),
    ("one-vs-rest-hinge", {"margin": 2.0}),
    ("one-vs-rest-squared-hinge", {"margin": 2.0}),
    ("one-vs-rest-cubed-hinge", {"margin": 2.0}),
    ("multi-margin", {"p": 2, "margin": 0.5}),
    ("hinge-embedding", {"margin": 2.0}),
    ("label-smoothing", {"label_smoothing": 0.4}),
    ("z-loss", {"z_loss": 0.3}),
    ("soft-capped", {"softcap": 2.0}),
    ("ldam", {"max_margin": 0.2, "scale": 3.0}),
    ("distillation", {"temperature": 0.7}),
]
NAMES = [name for name, _ in VARIANTS]
# The first variant of every loss; the others are slow.
each_variant = pytest.mark.parametrize(
    ("name", "settings"),
    [
        pytest.param(
            *(name, settings),
            id=f"{name}-{settings}",
            marks=pytest.mark.slow if name in NAMES[:at] else (),
        )
        for at, (name, settings) in enumerate(VARIANTS)
    ],
)


def examples(entry: Entry, settings: dict[str, Any]) -> list[tuple[Tensor, Tensor]]:
    """An example of each kind of target, away from the kinks that the settings have moved."""
    found = []
    for kind in entry.targets:
        for seed in range(100):
            input, target = sample(entry, kind, seed=seed)
            moved = plain(entry, settings)
            if not near_kink(entry, input, target, loss=moved):
                found.append((input, target))
                break
    assert len(found) == len(entry.targets)
    return found


def plain(entry: Entry, settings: dict[str, Any]) -> Callable[..., Tensor]:
    assert entry.reference is not None
    reference = entry.reference
    return lambda z, t, reduction: reference(z, t, reduction, **settings)


def test_every_setting_is_moved() -> None:
    moved = {(name, setting) for name, settings in VARIANTS for setting in settings}
    for entry in ENTRIES:
        for parameter in inspect.signature(entry.module).parameters.values():
            if isinstance(parameter.default, float) and entry.name not in (
                # Settings of cross-entropy that have entries of their own, and of a prior.
                *("cross-entropy", "label-smoothing", "z-loss", "soft-capped", "logit-adjusted"),
            ):
                assert (entry.name, parameter.name) in moved


@each_variant
def test_value_gradient_and_hessian_away_from_the_defaults(
    name: str, settings: dict[str, Any]
) -> None:
    entry = registry.entry(name)
    for input, target in examples(entry, settings):
        ours = entry.build(reduction="none", **settings)
        reference = plain(entry, settings)
        value, gradient = value_and_gradient(ours, input, target)
        expected = value_and_gradient(reference, input, target, "none")
        assert_near(value, expected[0], 1e6)
        assert_near(gradient, expected[1], 1e6)

        def whole(z: Tensor, t: Tensor, loss: Callable[..., Tensor] = ours) -> Tensor:
            each = loss(z, t)
            return (cotangent(each) * each).sum()

        def whole_plain(
            z: Tensor, t: Tensor = target, loss: Callable[..., Tensor] = reference
        ) -> Tensor:
            each = loss(z, t, "none")
            return (cotangent(each) * each).sum()

        second = torch.autograd.functional.hessian(whole_plain, input)
        assert_near(hessian(whole)(input, target), second, 1e7)


@each_variant
def test_the_textbook_formula_away_from_the_defaults_is_the_loss_of_torch(
    name: str, settings: dict[str, Any]
) -> None:
    entry = registry.entry(name)
    of_torch = entry.build_of_torch(reduction="none", **settings)
    if of_torch is None:
        return
    for input, target in examples(entry, settings):
        expected = value_and_gradient(of_torch, input, target)
        found = value_and_gradient(plain(entry, settings), input, target, "none")
        assert_near(found[0], expected[0], 1e4)
        assert_near(found[1], expected[1], 1e4)


@pytest.mark.slow
@each_variant
def test_derivatives_away_from_the_defaults(name: str, settings: dict[str, Any]) -> None:
    entry = registry.entry(name)
    for input, target in examples(entry, settings):
        loss = entry.build(reduction="none", **settings)
        leaf = input.clone().requires_grad_()
        soft = target.clone().requires_grad_(target.is_floating_point())
        if name == "hinge-embedding":
            soft = target  # It jumps by its target.
        assert gradcheck(loss, (leaf, soft), check_forward_ad=True)
        assert gradgradcheck(loss, (leaf, soft), check_fwd_over_rev=True)


@each_variant
def test_a_tensor_without_dimensions_is_a_number(name: str, settings: dict[str, Any]) -> None:
    entry = registry.entry(name)
    wrapped = {key: torch.tensor(value, dtype=torch.float64) for key, value in settings.items()}
    input, target = sample(entry, entry.targets[-1])
    found = entry.build(**wrapped)(input, target)
    assert torch.equal(found, entry.build(**settings)(input, target))


# --- defaults and ranges -------------------------------------------------------------------------


@each_built_in
def test_a_module_has_the_defaults_of_its_function(entry: Entry) -> None:
    module = inspect.signature(entry.module).parameters
    function = inspect.signature(entry.module.function).parameters  # type: ignore[attr-defined]
    for parameter in module.values():
        if (entry.name, parameter.name) == ("focal", "reduction"):
            # torchvision's function has 'none', and a module is made for training.
            assert (parameter.default, function["reduction"].default) == ("mean", "none")
        else:
            assert parameter.default == function[parameter.name].default, parameter.name
    assert set(function) - set(module) <= {"input", "target", "inputs", "targets"} | (
        {"weight"} if entry.name in ("mse", "l1") else set()
    )


# linear_cross_entropy is a layer too, and tested by itself.
LOSSES = [
    name
    for name in functional.__all__
    if name not in ("class_balanced_weight", "linear_cross_entropy")
]


@pytest.mark.parametrize("name", LOSSES)
def test_a_function_refuses_an_unknown_reduction(name: str) -> None:
    function = getattr(functional, name)
    entry = next(e for e in ENTRIES if getattr(e.module, "function", None) is function)
    input, target = sample(entry, entry.targets[0])
    with pytest.raises(ValueError, match="did you mean 'mean'"):
        function(input, target, reduction="men")


OUTSIDE: list[tuple[str, dict[str, Any]]] = [
    ("cross_entropy", {"z_loss": -0.1}),
    ("cross_entropy", {"softcap": 0.0}),
    ("cross_entropy", {"softcap": -3.0}),
    ("softmax_focal_loss", {"gamma": -0.1}),
    ("sigmoid_focal_loss", {"gamma": -0.1}),
    ("sigmoid_focal_loss", {"alpha": 1.5}),
    ("asymmetric_loss", {"gamma_pos": -1.0}),
    ("asymmetric_loss", {"gamma_neg": -1.0}),
    ("asymmetric_loss", {"clip": -0.1}),
    ("poly1", {"epsilon": -1.1}),
    ("generalized_cross_entropy", {"q": 0.0}),
    ("generalized_cross_entropy", {"q": 1.1}),
    ("symmetric_cross_entropy", {"alpha": -1.0}),
    ("symmetric_cross_entropy", {"log_zero": 0.0}),
    ("bi_tempered_logistic", {"t1": 1.1}),
    ("bi_tempered_logistic", {"t2": 0.9}),
    ("rescaled_square", {"k": 0.0}),
    ("rescaled_square", {"m": -1.0}),
    ("hinge", {"margin": -0.1}),
    ("hinge", {"power": 4}),
    ("one_vs_rest_hinge", {"power": 0}),
    ("multi_margin_loss", {"p": 3}),
    ("sigmoid_focal_loss", {"alpha": -0.5}),
    ("sigmoid_focal_loss", {"alpha": math.nan}),
    ("sigmoid_focal_loss", {"gamma": math.inf}),
    ("asymmetric_loss", {"gamma_neg": math.nan}),
    ("asymmetric_loss", {"clip": 1.0}),
    ("sigmoid_poly1", {"epsilon": math.inf}),
    ("sigmoid_generalized_cross_entropy", {"q": 1.1}),
    ("sigmoid_symmetric_cross_entropy", {"beta": -1.0}),
    ("sigmoid_symmetric_cross_entropy", {"log_zero": -88.0}),
    ("sigmoid_bi_tempered_logistic", {"t1": -0.1}),
]


@pytest.mark.parametrize(("name", "settings"), OUTSIDE, ids=[f"{n}-{s}" for n, s in OUTSIDE])
def test_a_setting_outside_its_range_is_refused(name: str, settings: dict[str, Any]) -> None:
    function = getattr(functional, name)
    entry = next(e for e in ENTRIES if getattr(e.module, "function", None) is function)
    input, target = sample(entry, entry.targets[0])
    with pytest.raises(ValueError, match=next(iter(settings))) as caught:
        function(input, target, **settings)
    assert "\n" not in str(caught.value)


@each_variant
def test_a_setting_that_is_no_number_is_a_type_error(name: str, settings: dict[str, Any]) -> None:
    entry = registry.entry(name)
    input, target = sample(entry, entry.targets[0])
    # A power is one of a few; no cap is None.
    names = settings.keys() - {"p", "softcap"}
    for setting, bad in itertools.product(names, ("1", [1.0], 1j, None)):
        with pytest.raises(TypeError, match=f"{setting} must be a number") as caught:
            entry.build(**{setting: bad})(input, target)
        assert "\n" not in str(caught.value)


def test_a_misspelt_setting_is_refused_at_construction() -> None:
    for entry in ENTRIES:
        with pytest.raises(TypeError, match="ignore_idx"):
            entry.build(ignore_idx=3)


def test_a_prior_goes_with_indices_that_are_ignored_and_probabilities_do_not() -> None:
    z = torch.zeros(2, 3)
    with pytest.raises(RuntimeError, match="ignore_index=1 is not supported"):
        functional.logit_adjusted_cross_entropy(z, z, ignore_index=1)
    with pytest.raises(IndexError, match="no class dimension"):
        functional.logit_adjusted_cross_entropy(z[0, 0], z[0, 0], prior=torch.ones(3))


# --- guards --------------------------------------------------------------------------------------


def test_nothing_times_infinity_is_nothing_in_symmetric_cross_entropy() -> None:
    z = torch.tensor([[-torch.inf, 0.0]])
    assert functional.symmetric_cross_entropy(z, torch.tensor([0]), alpha=0.0).item() == 4.0
    z, one = torch.tensor([-torch.inf]), torch.ones(1)
    assert functional.sigmoid_symmetric_cross_entropy(z, one, alpha=0.0).item() == 4.0


def test_the_second_derivative_of_bce_is_bounded_at_zero_and_one() -> None:
    x, t = torch.tensor([0.0, 1.0, 1e-20]), torch.tensor([1.0, 0.0, 1.0])
    leaf = x.requires_grad_()
    loss = functional.binary_cross_entropy(leaf, t, reduction="sum")
    (gradient,) = torch.autograd.grad(loss, leaf, create_graph=True)
    (second,) = torch.autograd.grad(gradient.sum(), leaf)
    assert second.isfinite().all()


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
def test_focal_has_a_derivative_by_a_hard_target_where_it_is_certain(gamma: float) -> None:
    target = torch.tensor([1.0, 0.0]).requires_grad_()
    z = torch.tensor([200.0, -200.0])
    loss = functional.sigmoid_focal_loss(z, target, gamma=gamma, reduction="sum")
    (gradient,) = torch.autograd.grad(loss, target)
    assert gradient.isfinite().all()
