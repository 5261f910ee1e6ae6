import math

import pytest
import torch

from lossbench import models
from lossbench.benchmarks.evidence.zero_one import CELLS, PLAIN
from lossbench.benchmarks.records.claim import verdict_of

from .worlds import zero_one_world


@pytest.mark.parametrize(
    ("change", "refuted"),
    [
        ({"distance": 1e-12}, 0),
        ({"distance": math.nan}, 0),
        ({"gradient": 1e-30}, 1),
        ({"gradient": math.nan}, 1),
        ({"change": 0.001}, 2),
        ({"change": -0.1}, 2),
        ({"learns": 0.0}, 3),
        ({"learns": -0.02}, 3),
    ],
)
def test_refuted_where_something_changes(analyse, change, refuted):
    measures = analyse("zero-one", **change)[0].measures()
    assert [m.verdict for m in measures].count("does not hold") == 1
    assert measures[refuted].verdict == "does not hold"
    assert verdict_of(measures) == "does not hold"


def test_non_finite_values_can_be_drawn(examine):
    assert examine("zero-one", distance=math.nan, gradient=math.nan).verdict == "does not hold"


def test_one_network_refutes(analyse):
    def world(config):
        changed = (config.seed, config.loss, config.model) == (101, "zero-one", "convnet")
        return zero_one_world(config, distance=1e-3 * changed)

    measures = analyse("zero-one", world=world)[0].measures()
    assert [m.verdict for m in measures] == ["does not hold", "holds", "holds", "holds"]
    assert measures[0].value == 1e-3


def test_an_interval_with_both_is_undecided(analyse):
    def world(config):
        return zero_one_world(config, learns=[0.2, 0.0, 0.1][config.seed % 3])

    assert verdict_of(analyse("zero-one", world=world)[0].measures()) == "undecided"


def test_figure_and_table_show_the_measured_values(examine):
    finding = examine("zero-one")
    (figure,), (_, table) = finding.figures, finding.tables
    assert "cross-entropy  71.0; zero-one  50.0; chance  50.0" in figure.alt
    assert "initial values: cross-entropy 2.00, zero-one 0." in figure.alt
    assert len(table.rows) == len(CELLS)
    assert table.rows[2][3:] == (
        "2.00 to 2.00", "50.0 ± 0.0", "71.0 ± 2.5", "0.400 → 0.400", "3"
    )  # fmt: skip
    assert "of 12 networks changed by at most 0." in finding.sentence


def test_plainnet_has_no_buffers():
    net = models.build(PLAIN, 1)
    assert sum(p.numel() for p in net.parameters()) == 23_649
    assert not list(net.buffers())
    images = torch.randn(4, 3, 32, 32)
    before = net.eval()(images)
    net.train()(torch.randn(8, 3, 40, 40))
    assert torch.equal(net.eval()(images), before)
