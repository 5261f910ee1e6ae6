import math

import pytest
import torch
from torch import nn

from lossbench import models
from lossbench.benchmarks.records.gradient_stats import FLOOR, GradientStats, merge_stats
from lossbench.benchmarks.training.gradient_stats import VANISHED_BELOW, GradientMeter
from lossbench.benchmarks.training.objective import Objective
from lossbench.losses import registry


def step(model: nn.Module, objective: Objective, meter: GradientMeter, seed: int):
    """Measure one backward pass; return what is expected per example."""
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randn(12, 3, 32, 32, generator=generator)
    labels = torch.randint(0, 2, (12,), generator=generator)
    model.zero_grad()
    outputs = model(pixels)
    outputs.retain_grad()
    loss = objective(outputs, labels).mean()
    loss.backward()
    wrong = objective.predict(outputs.detach()) != labels
    meter.append(meter.measure(outputs, labels, loss))
    alone = outputs.detach().requires_grad_()
    (each,) = torch.autograd.grad(objective(alone, labels).sum(), alone)
    magnitude = each.abs().mean(1)
    norms = {name: p.grad.norm().item() for name, p in model.named_parameters()}
    return magnitude, wrong, loss.item(), norms


@pytest.mark.parametrize("name", registry.names())
def test_statistics_are_means_over_steps_and_examples(name: str) -> None:
    torch.manual_seed(0)
    objective = Objective(name)
    model = models.build("convnet", num_outputs=objective.num_outputs, width=4)
    meter = GradientMeter(model, objective)
    seen = [step(model, objective, meter, seed) for seed in range(3)]
    stats = meter.compute()

    magnitude, wrong = (torch.cat([s[i] for s in seen]) for i in (0, 1))
    assert stats.loss == pytest.approx(sum(s[2] for s in seen) / 3, rel=1e-5)
    assert stats.accuracy == pytest.approx(1 - wrong.float().mean().item(), abs=1e-6)
    assert stats.logit_mean_abs == pytest.approx(magnitude.mean().item(), rel=1e-4)
    assert stats.logit_when_wrong == pytest.approx(magnitude[wrong].mean().item(), rel=1e-4)
    vanished = (magnitude[wrong] < VANISHED_BELOW).float().mean().item()
    assert stats.vanished_fraction == pytest.approx(vanished)
    totals = [math.hypot(*s[3].values()) for s in seen]
    assert stats.parameter_norm == pytest.approx(sum(totals) / 3, rel=1e-4)
    assert list(stats.layers) == [n for n, _ in model.named_parameters()]
    for layer, norm in stats.layers.items():
        assert norm == pytest.approx(sum(s[3][layer] for s in seen) / 3, rel=1e-4, abs=1e-9)
    expected = magnitude.clamp_min(FLOOR).log10()
    torch.testing.assert_close(stats.logit_log10, expected, rtol=1e-4, atol=1e-4)


def stats_of(gradient: list[float], wrong: list[bool]) -> GradientStats:
    model = nn.Linear(1, 1)
    meter = GradientMeter(model, Objective("bce"))
    outputs = torch.ones(len(wrong), 1, requires_grad=True)
    # As a mean over the batch leaves it.
    outputs.grad = torch.tensor(gradient)[:, None] / len(wrong)
    labels = 1 - torch.tensor(wrong).long()
    meter.append(meter.measure(outputs, labels, torch.tensor(1.0)))
    return meter.compute()


def test_the_vanished_are_counted_among_the_wrong_alone() -> None:
    stats = stats_of([1e-7, -1e-9, 0.5, 1e-8], [True, True, True, False])
    assert stats.vanished_fraction == pytest.approx(2 / 3)
    assert stats.logit_when_wrong == pytest.approx(0.5 / 3, rel=1e-4)
    assert stats.accuracy == pytest.approx(0.25)


def test_where_nothing_is_wrong_there_is_no_number() -> None:
    stats = stats_of([0.1, 0.1], [False, False])
    assert math.isnan(stats.logit_when_wrong)
    assert math.isnan(stats.vanished_fraction)
    assert stats.accuracy == 1


def test_a_gradient_of_zero_has_a_logarithm() -> None:
    assert stats_of([0.0, 1.0], [True, False]).logit_log10.tolist() == pytest.approx(
        [math.log10(FLOOR), 0.0], abs=1e-6
    )


def test_a_parameter_without_a_gradient_has_norm_zero() -> None:
    stats = stats_of([1.0], [True])
    assert stats.layers == {"weight": 0.0, "bias": 0.0}
    assert stats.parameter_norm == 0


def test_misuse_is_refused() -> None:
    meter = GradientMeter(nn.Linear(1, 1), Objective("bce"))
    with pytest.raises(ValueError, match="no step was measured"):
        meter.compute()
    with pytest.raises(ValueError, match="retain_grad"):
        meter.measure(torch.zeros(1, 1), torch.zeros(1), torch.tensor(0.0))


def test_merged_intervals_are_the_stats_of_all_their_steps() -> None:
    torch.manual_seed(0)
    objective = Objective("cross-entropy")
    model = models.build("convnet", num_outputs=1, width=4)
    apart, together, intervals = (
        GradientMeter(model, objective),
        GradientMeter(model, objective),
        [],
    )
    for seed in range(5):
        step(model, objective, together, seed)
        step(model, objective, apart, seed)
        if seed in (0, 3, 4):
            intervals.append(apart.compute())
    found, expected = merge_stats(intervals), together.compute()
    assert (found.steps, found.examples, found.wrong) == (5, 60, expected.wrong)
    for name in ("loss", "accuracy", "logit_mean_abs", "logit_when_wrong", "parameter_norm"):
        assert getattr(found, name) == pytest.approx(getattr(expected, name), rel=1e-5)
    assert found.layers == pytest.approx(expected.layers, rel=1e-4)
    assert len(found.logit_log10) == 60


def test_merging_leaves_out_what_has_no_value() -> None:
    right, wrong = stats_of([0.1], [False]), stats_of([0.5, 1e-9], [True, True])
    found = merge_stats([right, wrong, right])
    assert found.logit_when_wrong == pytest.approx(0.25)
    assert found.vanished_fraction == 0.5
    assert math.isnan(merge_stats([right]).logit_when_wrong)
    with pytest.raises(ValueError, match="no "):
        merge_stats([])


def test_a_non_finite_gradient_has_not_vanished() -> None:
    assert math.isnan(stats_of([math.nan, 0.5], [True, True]).vanished_fraction)


def test_nothing_cannot_be_merged() -> None:
    with pytest.raises(ValueError, match="no statistics"):
        merge_stats([])
