from dataclasses import replace

import numpy as np
import pytest

from lossbench.benchmarks.evidence.noise import (
    CLEAN,
    DESIGN,
    FRACTIONS,
    LOSSES,
    NOISY,
    REFERENCE,
    ROBUST,
)


@pytest.mark.parametrize(
    "change",
    [
        # Behind with wrong labels as without.
        {"generalized-cross-entropy": (0.62, 0.22)},
        # Ahead in both cases, but by no more.
        {"symmetric-cross-entropy": (0.74, 0.36)},
    ],
)
def test_refuted_where_nothing_is_gained(verdict, change):
    assert verdict("noise", change=change) == "does not hold"


def test_a_loss_that_is_behind_may_gain(examine):
    assert examine("noise", change={"generalized-cross-entropy": (0.40, 0.20)}).verdict == "holds"


def test_numbers_are_those_of_the_runs(examine, analyse):
    analysis, trainer = analyse("noise")
    points = {
        cell: 100 * np.mean([run.test.accuracy for run in runs])
        for cell, runs in analysis.runs.items()
    }

    def ahead(loss, wrong):
        return points[loss, wrong] - points[REFERENCE, wrong]

    finding = examine("noise")
    expected = [ahead(loss, NOISY) - ahead(loss, CLEAN) for loss in ROBUST]
    assert [measure.value for measure in finding.measures] == pytest.approx(expected)
    assert f"gains {expected[0]:.1f} (" in finding.sentence
    assert finding.tables[1].rows[0][4] == "70"
    assert [row[3] for row in finding.tables[1].rows[:2]] == ["reference"] * 2
    # Rates are chosen for each share of wrong labels, on as many images.
    for configs in (trainer.searched, trainer.trained):
        assert {config.label_noise for config in configs} == set(FRACTIONS)
    assert {c.train_images for c in trainer.searched} == {c.train_images for c in trainer.trained}
    alike = [
        [replace(c, loss="", learning_rate=0.0) for c in trainer.trained if c.loss == loss]
        for loss in LOSSES
    ]
    assert all(each == alike[0] for each in alike)
    assert len(DESIGN.searches) == len(LOSSES) * len(FRACTIONS)
