"""Properties of all claims."""

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from lossbench.benchmarks.evidence.runner import CLAIMS, claim_of
from lossbench.benchmarks.plots import curves
from lossbench.benchmarks.records.claim import verdict_of

from .worlds import WORLDS, FakeTrainer


@pytest.fixture
def lines(monkeypatch):
    """Record the lines of all figures that are drawn."""
    drawn = []

    def draw_panel(axes, panel, original=curves.draw_panel, **options):
        original(axes, panel, **options)
        drawn.extend(panel.curves)

    monkeypatch.setattr(curves, "draw_panel", draw_panel)
    return drawn


@pytest.mark.usefixtures("painted")
@pytest.mark.parametrize("name", CLAIMS)
def test_a_claim_holds_in_its_world(name, lines):
    claim, trainer = claim_of(name), FakeTrainer(WORLDS[name])
    finding = claim.examine(trainer)
    assert finding.verdict == verdict_of(finding.measures) == "holds", finding.measures
    assert finding.sentence.endswith(".")
    assert "nan" not in finding.sentence
    assert len({figure.name for figure in finding.figures}) == len(finding.figures) >= 1
    for figure in finding.figures:
        image = Image.open(io.BytesIO(figure.png))
        assert image.width == 1600
        assert len(figure.png) < 250_000
        assert image.text["Description"] == figure.alt
        assert figure.alt.endswith(".")
        assert "nan" not in figure.alt
    assert finding.tables
    assert finding.notes
    for table in finding.tables:
        assert table.rows
        assert {len(row) for row in table.rows} == {len(table.columns)}
    # Thresholds stand in the procedure, before anything is measured.
    for measure in finding.measures:
        for word in measure.wanted.split():
            if any(map(str.isdigit, word)):
                assert word.strip("+,") in claim.procedure, measure
    # A line whose x goes back and forth is a scribble.
    for line in lines:
        assert (np.diff(line.x) >= 0).all(), line.label
    check_fairness(trainer)


def check_fairness(trainer):
    """Rates are searched without test images, and every cell is trained with the same seeds."""
    assert not any(config.test for config in trainer.searched)
    assert all(config.seed < 1000 for config in trainer.trained if config.test)
    seeds = {}
    for config in trainer.trained:
        seeds.setdefault(replace(config, seed=0), []).append(config.seed)
    assert all(len(set(each)) == len(each) for each in seeds.values())
    by_cell = {}
    for config, each in seeds.items():
        cell = replace(config, loss="", learning_rate=0.0, loss_arguments=())
        by_cell.setdefault(cell, []).append(sorted(each))
    for each in by_cell.values():
        # Losses beside the verdict may have fewer seeds.
        fewest = min(each, key=len)
        assert all(seeds_of_loss[: len(fewest)] == fewest for seeds_of_loss in each)


@pytest.mark.parametrize("name", CLAIMS)
@pytest.mark.parametrize(
    "budget", [pytest.param("standard"), pytest.param("full", marks=pytest.mark.slow)]
)
def test_larger_budgets_hold_as_well(name, budget):
    assert claim_of(name).examine(FakeTrainer(WORLDS[name], budget)).verdict == "holds"


def with_two_seeds(size):
    if isinstance(size, dict):
        return {key: with_two_seeds(each) for key, each in size.items()}
    return replace(size, seeds=2, other_seeds=min(2, size.other_seeds))


@pytest.mark.parametrize("name", CLAIMS)
def test_two_seeds_decide_nothing(name):
    claim = claim_of(name)
    claim = replace(claim, sizes={"quick": with_two_seeds(claim.sizes["quick"])})
    finding = claim.examine(FakeTrainer(WORLDS[name]))
    assert {measure.verdict for measure in finding.measures} == {"undecided"}
