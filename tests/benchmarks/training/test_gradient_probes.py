import math

import pytest
import torch
from torch import nn

from lossbench import models
from lossbench.benchmarks.records.gradient_stats import FLOOR, GradientStats, merge_stats
from lossbench.benchmarks.training.gradient_probes import VANISHED_BELOW, GradientProbes
from lossbench.benchmarks.training.objective import Objective
from lossbench.losses import registry


def step(model: nn.Module, objective: Objective, probes: GradientProbes, seed: int):
    """One backward pass; returns what the probes should have seen, example by example."""
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randn(12, 3, 32, 32, generator=generator)
    labels = torch.randint(0, 2, (12,), generator=generator)
    model.zero_grad()
    logits = objective.logits(model(pixels))
    logits.retain_grad()
    loss = objective(logits, labels).mean()
    loss.backward()
    wrong = objective.wrong(logits.detach(), labels)
    probes.keep(probes.look(logits, labels, loss))
    alone = logits.detach().requires_grad_()
    (each,) = torch.autograd.grad(objective(alone, labels).sum(), alone)
    magnitude = each.abs() if each.dim() == 1 else each.abs().mean(1)
    norms = {name: p.grad.norm().item() for name, p in model.named_parameters()}
    return magnitude, wrong, loss.item(), norms


@pytest.mark.parametrize("name", registry.names())
def test_a_window_is_the_mean_over_its_steps_and_examples(name: str) -> None:
    torch.manual_seed(0)
    objective = Objective(name)
    model = models.build("convnet", num_outputs=objective.num_outputs, width=4)
    probes = GradientProbes(model, objective)
    seen = [step(model, objective, probes, seed) for seed in range(3)]
    window = probes.read()

    magnitude, wrong = (torch.cat([s[i] for s in seen]) for i in (0, 1))
    assert window.loss == pytest.approx(sum(s[2] for s in seen) / 3, rel=1e-5)
    assert window.accuracy == pytest.approx(1 - wrong.float().mean().item(), abs=1e-6)
    assert window.logit_mean_abs == pytest.approx(magnitude.mean().item(), rel=1e-4)
    assert window.logit_when_wrong == pytest.approx(magnitude[wrong].mean().item(), rel=1e-4)
    vanished = (magnitude[wrong] < VANISHED_BELOW).float().mean().item()
    assert window.vanished_fraction == pytest.approx(vanished)
    totals = [math.hypot(*s[3].values()) for s in seen]
    assert window.parameter_norm == pytest.approx(sum(totals) / 3, rel=1e-4)
    assert list(window.layers) == [n for n, _ in model.named_parameters()]
    for layer, norm in window.layers.items():
        assert norm == pytest.approx(sum(s[3][layer] for s in seen) / 3, rel=1e-4, abs=1e-9)
    expected = magnitude.clamp_min(FLOOR).log10()
    torch.testing.assert_close(window.logit_log10, expected, rtol=1e-4, atol=1e-4)


def window_of(gradient: list[float], wrong: list[bool]) -> GradientStats:
    model = nn.Linear(1, 1)
    probes = GradientProbes(model, Objective("bce"))
    logits = torch.ones(len(wrong), requires_grad=True)
    # As a mean over the batch leaves it.
    logits.grad = torch.tensor(gradient) / len(wrong)
    probes.keep(probes.look(logits, 1 - torch.tensor(wrong).long(), torch.tensor(1.0)))
    return probes.read()


def test_reading_begins_a_new_window() -> None:
    model = models.build("convnet", width=4)
    objective = Objective("bce")
    probes = GradientProbes(model, objective)
    step(model, objective, probes, 0)
    probes.read()
    magnitude, *_ = step(model, objective, probes, 1)
    assert probes.read().logit_mean_abs == pytest.approx(magnitude.mean().item(), rel=1e-4)


def test_the_vanished_are_counted_among_the_wrong_alone() -> None:
    window = window_of([1e-7, -1e-9, 0.5, 1e-8], [True, True, True, False])
    assert window.vanished_fraction == pytest.approx(2 / 3)
    assert window.logit_when_wrong == pytest.approx(0.5 / 3, rel=1e-4)
    assert window.accuracy == pytest.approx(0.25)


def test_where_nothing_is_wrong_there_is_no_number() -> None:
    window = window_of([0.1, 0.1], [False, False])
    assert math.isnan(window.logit_when_wrong)
    assert math.isnan(window.vanished_fraction)
    assert window.accuracy == 1


def test_a_gradient_of_zero_has_a_logarithm() -> None:
    assert window_of([0.0, 1.0], [True, False]).logit_log10.tolist() == pytest.approx(
        [math.log10(FLOOR), 0.0], abs=1e-6
    )


def test_a_parameter_without_a_gradient_has_norm_zero() -> None:
    window = window_of([1.0], [True])
    assert window.layers == {"weight": 0.0, "bias": 0.0}
    assert window.parameter_norm == 0


def test_misuse_is_refused() -> None:
    probes = GradientProbes(nn.Linear(1, 1), Objective("bce"))
    with pytest.raises(ValueError, match="nothing has been measured"):
        probes.read()
    with pytest.raises(ValueError, match="retain_grad"):
        probes.look(torch.zeros(1), torch.zeros(1), torch.tensor(0.0))


def test_merged_windows_are_the_window_of_all_their_steps() -> None:
    torch.manual_seed(0)
    objective = Objective("cross-entropy")
    model = models.build("convnet", num_outputs=2, width=4)
    apart, together, windows = (
        GradientProbes(model, objective),
        GradientProbes(model, objective),
        [],
    )
    for seed in range(5):
        step(model, objective, together, seed)
        step(model, objective, apart, seed)
        if seed in (0, 3, 4):
            windows.append(apart.read())
    found, expected = merge_stats(windows), together.read()
    assert (found.steps, found.examples, found.wrong) == (5, 60, expected.wrong)
    for name in ("loss", "accuracy", "logit_mean_abs", "logit_when_wrong", "parameter_norm"):
        assert getattr(found, name) == pytest.approx(getattr(expected, name), rel=1e-5)
    assert found.layers == pytest.approx(expected.layers, rel=1e-4)
    assert len(found.logit_log10) == 60


def test_merging_leaves_out_what_has_no_value() -> None:
    right, wrong = window_of([0.1], [False]), window_of([0.5, 1e-9], [True, True])
    found = merge_stats([right, wrong, right])
    assert found.logit_when_wrong == pytest.approx(0.25)
    assert found.vanished_fraction == 0.5
    assert math.isnan(merge_stats([right]).logit_when_wrong)
    with pytest.raises(ValueError, match="no window"):
        merge_stats([])


def test_a_gradient_that_is_no_number_has_not_vanished() -> None:
    assert math.isnan(window_of([math.nan, 0.5], [True, True]).vanished_fraction)
