import math

import pytest

from lossbench.benchmarks.config import RunConfig
from lossbench.benchmarks.evidence import zero_one
from lossbench.benchmarks.evidence.zero_one import CLAIM, PLAIN, REFERENCE, SIZES, Size
from lossbench.benchmarks.records.claim import verdict_of

from .invented import InventedLab, check, outcome, point, right_in


def world(moved=0.0, gradient=0.0, change=0.0, learns=0.2):
    """Networks that stand still but for what is given, with half of the images right; with
    cross-entropy they learn."""

    def invent(trial):
        if trial.loss == REFERENCE:
            end, push, way = 0.5 + learns + 0.01 * trial.seed, 0.4, 2.0
        else:
            end, push, way = 0.5 + change * (trial.model == PLAIN), gradient, moved
        return outcome(
            trial,
            evaluations=(point(0, 0.5, push), point(100, end, push)),
            parameter_distance=way,
            validation=right_in(end),
            test=right_in(end),
        )

    return invent


def measured(invent):
    """The measures without the pictures."""
    found = {}
    for cell in zero_one.CELLS:
        loss, model, rate = cell.loss, cell.model, cell.rate
        trials = [RunConfig(loss, s, rate, model=model) for s in range(SIZES["quick"].seeds)]
        found[cell] = [invent(trial) for trial in trials]
    return zero_one.measures_of(found)


@pytest.mark.parametrize("budget", SIZES)
def test_holds_where_nothing_moves(budget):
    lab = InventedLab(budget, world())
    finding = CLAIM.examine(lab)
    assert finding.verdict == "holds", finding.measures
    check(CLAIM, finding)
    # From the same start: everything is trained with the same seeds.
    seeds = [trial.seed for trial in lab.asked]
    assert seeds == [*range(SIZES[budget].seeds)] * len(zero_one.CELLS)


@pytest.mark.parametrize(
    "change",
    [
        {"moved": 1e-12},
        {"moved": math.nan},
        {"gradient": 1e-30},
        {"gradient": math.nan},
        {"change": 0.001},
        {"change": -0.1},
        {"learns": 0.0},
        {"learns": -0.02},
    ],
)
def test_does_not_hold_where_something_does(change):
    measures = measured(world(**change))
    assert [measure.verdict for measure in measures].count("does not hold") == 1
    assert verdict_of(measures) == "does not hold"


def test_what_is_no_number_can_be_shown():
    finding = CLAIM.examine(InventedLab("quick", world(moved=math.nan, gradient=math.nan)))
    assert finding.verdict == "does not hold"
    check(CLAIM, finding)


def test_one_network_that_moves_refutes():
    still, moving = world(), world(moved=1e-3)

    def invent(trial):
        odd = (trial.seed, trial.loss, trial.model) == (1, "zero-one", "convnet")
        return (moving if odd else still)(trial)

    measures = measured(invent)
    assert [measure.verdict for measure in measures].count("does not hold") == 1
    assert measures[0].value == 1e-3


def test_an_interval_that_holds_both_is_undecided():
    def invent(trial):
        return world(learns=[0.2, 0.0, 0.1, 0.05][trial.seed])(trial)

    assert verdict_of(measured(invent)) == "undecided"


@pytest.mark.parametrize("seeds", [1, 2])
def test_too_few_seeds_decide_nothing(monkeypatch, seeds):
    monkeypatch.setitem(SIZES, "quick", Size(1, seeds))
    for change in ({}, {"moved": 1.0}):
        measures = measured(world(**change))
        assert {measure.verdict for measure in measures} == {"undecided"}
    check(CLAIM, CLAIM.examine(InventedLab("quick", world())))


def test_the_picture_says_what_was_measured():
    (picture,) = CLAIM.examine(InventedLab("quick", world())).pictures
    assert "zero-one  50.0; chance  50.0" in picture.alt
    mean = 70 + (SIZES["quick"].seeds - 1) / 2
    assert f"cross-entropy  {mean:.1f}" in picture.alt
    assert "Distance moved: cross-entropy 2.00, zero-one 0." in picture.alt


def test_the_plain_net_answers_by_its_parameters_alone():
    import torch

    from lossbench import models

    net = models.build(PLAIN, 1)
    assert sum(p.numel() for p in net.parameters()) == 23_649
    assert not list(net.buffers())
    images = torch.randn(4, 3, 32, 32)
    before = net.eval()(images)
    net.train()(torch.randn(8, 3, 40, 40))
    assert torch.equal(net.eval()(images), before)
