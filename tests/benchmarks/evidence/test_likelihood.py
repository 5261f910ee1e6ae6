import dataclasses
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from lossbench.benchmarks.evidence import likelihood
from lossbench.benchmarks.evidence.likelihood import CLAIM, SIZES, Size
from lossbench.benchmarks.evidence.measures import likelihood_forms
from lossbench.benchmarks.evidence.measures.likelihood_forms import FORMS, read
from lossbench.benchmarks.records.claim import verdict_of

from .invented import InventedLab, check, outcome, said


def predictions(seed=0, count=300, size=2.0):
    """Two in three right, logits normally distributed about that."""
    draw = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    return said(draw.normal(size * (2 * labels - 1) / 2, size), labels)


def world(change=lambda _, test: test, **how):
    def invent(trial):
        return outcome(trial, test=change(trial, predictions(trial.seed, **how)))

    return invent


def measured(change=lambda _, test: test, **how):
    tests = [change(seed, predictions(seed, **how)) for seed in range(SIZES["quick"].seeds)]
    return likelihood.measures_of([read(test) for test in tests])


@pytest.mark.parametrize("budget", ["quick", "standard"])
def test_holds_of_ordinary_predictions(budget):
    lab = InventedLab(budget, world())
    finding = CLAIM.examine(lab)
    assert finding.verdict == "holds", finding.measures
    check(CLAIM, finding)
    assert [trial.seed for trial in lab.asked] == [*range(SIZES[budget].seeds)]
    assert all(trial.test for trial in lab.asked)


def test_does_not_hold_where_a_network_is_too_sure():
    # A probability that rounds to 1 has lost its logarithm.
    def change(seed, test):
        if seed == 1:
            test.outputs[0] = 40.0
        return test

    measures = measured(change)
    assert verdict_of(measures) == "does not hold"
    assert [m.verdict for m in measures[:2]] == ["does not hold"] * 2
    assert [m.verdict for m in measures[4:]] == ["holds"] * 3


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("factor", [1 + 1e-4, math.nan])
def test_does_not_hold_where_a_form_is_another_number(monkeypatch, name, factor):
    true = likelihood_forms.forms

    def forms(z, t):
        return {k: v * (factor if k == name else 1) for k, v in true(z, t).items()}

    monkeypatch.setattr(likelihood_forms, "forms", forms)
    measures = measured()
    assert [m.verdict for m in measures[:4]] == ["does not hold"] * 4


def test_a_gradient_of_its_own_refutes(monkeypatch):
    true = likelihood_forms.forms

    def forms(z, t):
        found = true(z, t)
        found["H(p, q)"] = found["H(p, q)"].detach() + 0 * z
        return found

    monkeypatch.setattr(likelihood_forms, "forms", forms)
    assert [m.verdict for m in measured()[:4]] == ["holds"] * 2 + ["does not hold"] * 2


def test_slips_that_were_right_would_refute():
    readings = [read(predictions(seed)) for seed in range(3)]
    same = [
        dataclasses.replace(r, log_of_sum=r.product, slip=r.product, fall=0.0) for r in readings
    ]
    assert [m.verdict for m in likelihood.measures_of(readings)] == ["holds"] * 7
    assert [m.verdict for m in likelihood.measures_of(same)[4:]] == ["does not hold"] * 3


@pytest.mark.parametrize("seeds", [1, 2])
def test_too_few_networks_decide_nothing(monkeypatch, seeds):
    monkeypatch.setitem(SIZES, "quick", Size(1, seeds))
    finding = CLAIM.examine(InventedLab("quick", world()))
    assert {measure.verdict for measure in finding.measures} == {"undecided"}
    check(CLAIM, finding)


def test_the_reading_is_what_torch_computes():
    test = predictions(3)
    z, t = torch.tensor(test.outputs[:, 0]).double(), torch.tensor(test.labels).double()
    reading = read(test)
    truth = F.binary_cross_entropy_with_logits(z, t).item()
    assert reading.product == pytest.approx(truth, rel=1e-14)
    assert set(reading.values) == set(FORMS)
    for value in reading.values.values():
        assert value == pytest.approx(truth, rel=1e-13)
    f = torch.sigmoid(z)
    y = t * f + (1 - t) * (1 - f)
    assert reading.log_of_sum == pytest.approx(-torch.log(y.sum()).item() / len(z), rel=1e-12)
    dog = z[t == 0].clone().requires_grad_()
    each = -(1 - torch.log(torch.sigmoid(dog)))
    both = torch.where(t == 1, -torch.log(f), -(1 - torch.log(f)))
    assert reading.slip == pytest.approx(both.mean().item(), rel=1e-12)
    (gradient,) = torch.autograd.grad(each.sum(), dog, retain_graph=True)
    np.testing.assert_allclose(reading.slipped, gradient.numpy(), rtol=1e-9)
    dog.grad = None
    F.binary_cross_entropy_with_logits(dog, torch.zeros_like(dog), reduction="sum").backward()
    np.testing.assert_allclose(reading.pushed, dog.grad.numpy(), rtol=1e-9)
    far = -(1 - F.logsigmoid(dog.detach() - 1000.0)).mean()
    assert reading.fall == pytest.approx((each.mean().item() - far.item()) / 1000, rel=1e-12)
    assert reading.bounded[0] == pytest.approx(F.softplus(dog).mean().item(), rel=1e-12)
    assert (np.diff(reading.bounded) < 0).all()
    assert reading.bounded[-1] > 0
    assert reading.unbounded[-1] < -15


def test_by_hand():
    # Probabilities 3/4 and 2/3 of the right answers.
    test = said(np.array([math.log(3), -math.log(2)]), np.array([1, 0]))
    reading = read(test)
    assert reading.product == pytest.approx(-math.log(3 / 4 * 2 / 3) / 2, rel=1e-7)
    assert reading.log_of_sum == pytest.approx(-math.log(3 / 4 + 2 / 3) / 2, rel=1e-7)
    assert reading.slip == pytest.approx(-(math.log(3 / 4) + 1 - math.log(1 / 3)) / 2, rel=1e-7)


def test_a_product_that_float64_has_not():
    test = predictions(count=4000)
    assert math.exp(-read(test).product * 4000) == 0.0
    assert read(test).apart["float64"] < 1e-12


@pytest.mark.parametrize(
    "test",
    [
        said(np.array([1.0, math.nan]), np.array([1, 0])),
        said(np.array([1.0, 2.0]), np.array([1, 1])),
        dataclasses.replace(predictions(), outputs=np.zeros((300, 2), np.float32)),
    ],
)
def test_what_cannot_be_read_is_refused(test):
    with pytest.raises(ValueError, match="wanted"):
        read(test)
