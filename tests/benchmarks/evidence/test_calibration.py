import re

import numpy as np
import pytest

from lossbench.benchmarks.evidence.calibration import (
    BENT,
    CALIBRATED,
    LOSSES,
    CalibrationErrors,
    probabilities,
)
from lossbench.benchmarks.evidence.links import LINKS
from lossbench.benchmarks.stats.metrics import debiased_calibration_error

from .worlds import calibration_world, one_logit, result


@pytest.mark.parametrize(
    "change",
    [
        {"sigmoid-mse": 0.88},
        {"cross-entropy": 0.9},
        # As well calibrated as cross-entropy.
        {"softmax-focal": 0.77},
        # Not mended by its link.
        {"generalized-cross-entropy": 0.80},
    ],
)
def test_refuted_where_confidences_are_others(verdict, change):
    assert verdict("calibration", change=change) == "does not hold"


@pytest.mark.parametrize("loss", ["probability-sum", "mse", "label-smoothing"])
def test_losses_beside_the_verdict_decide_nothing(verdict, loss):
    assert verdict("calibration", change={loss: 0.6}, accuracy={loss: 0.6}) == "holds"


def test_refuted_at_another_accuracy(examine):
    finding = examine("calibration", accuracy={"softmax-focal": 0.60})
    measure = next(
        m
        for m in finding.measures
        if m.name.startswith("softmax-focal minus cross-") and "accuracy" in m.name
    )
    assert measure.verdict == finding.verdict == "does not hold"


def test_a_network_that_diverged_is_certain_and_at_chance(examine):
    def world(config):
        found = calibration_world(config)
        if config.loss == "mse" and found.test is not None:
            found.test.outputs[:] = np.nan
            found.test.probabilities[:] = np.nan
        return found

    finding = examine("calibration", world=world)
    rows = {row[0]: row for row in finding.tables[1].rows}
    assert rows["mse"][3] == "50.0 ± 0.0"
    assert rows["mse"][5] == "50.0 ± 0.0"
    assert "counts as certain of one class: mse." in finding.notes[2]


def test_numbers_are_those_of_the_runs(examine, analyse):
    """All predictions are equally confident, so that the error is one gap."""
    analysis, _ = analyse("calibration")

    def gap(loss, link=lambda p: p):
        gaps = []
        for run in analysis.runs[loss]:
            p = link(run.test.probabilities.astype(float))
            gaps.append(abs(100 * p.max(1).mean() - 100 * run.test.accuracy))
        return np.mean(gaps)

    finding = examine("calibration")
    expected = [gap(loss) for loss in CALIBRATED]
    expected += [gap(loss) - gap("cross-entropy") for loss in BENT]
    expected += [gap(loss, LINKS[loss]) - gap(loss) for loss in BENT]
    found = [m.value for m in finding.measures]
    assert found[: len(expected)] == pytest.approx(expected, abs=0.8)
    rows = {row[0]: row for row in finding.tables[1].rows}
    assert rows["mse"][1] == "proper"
    assert rows["label-smoothing"][1] == "not proper"
    assert rows["cross-entropy"][4] == "reference"
    assert rows["mse"][6] == "the same"
    assert f"error of {found[0]:.2f} (" in finding.sentence


def test_errors_are_drawn_from_zero(analyse):
    """A distance to 0 is read off the figure, and not only the order of the losses."""
    (panel,) = analyse("calibration")[0].figures()[1].panels
    assert panel.x_label == "calibration error on test images, points"
    assert panel.limits[0] == 0


def drawn(count, seed, factor=1.0):
    """Predictions of log-odds times `factor`, with labels drawn from the log-odds themselves."""
    draw = np.random.default_rng(seed)
    z = draw.normal(0, 1.5, count)
    return one_logit(factor * z, draw.random(count) < 1 / (1 + np.exp(-z)))


def test_the_error_over_images_is_that_of_other_images(analyse):
    """The spread of the error between test sets, against the bootstrap's in one of them."""
    config = next(iter(analyse("calibration")[0].runs["mse"])).config
    sets = [
        100 * float(debiased_calibration_error(each.probabilities, each.labels))
        for each in (drawn(1000, seed, 2.5) for seed in range(100))
    ]
    found = CalibrationErrors.of([result(config, drawn(1000, 0, 2.5))] * 2).quantity()
    assert found.image_error == pytest.approx(np.std(sets), rel=0.25)
    assert found.values == (pytest.approx(sets[0]),) * 2


def test_errors_are_paired_by_image(analyse):
    """Two losses with the same predictions do not differ, whatever the images."""
    runs = analyse("calibration")[0].runs["mse"]
    found = CalibrationErrors.of(runs).quantity(CalibrationErrors.of(runs))
    assert set(found.values) == {0.0}
    assert found.image_error == 0


def test_probabilities_of_one_that_diverged():
    predictions = one_logit(np.array([1.0, np.nan]), np.array([1, 0]))
    np.testing.assert_array_equal(probabilities(predictions)[0], [[1, 0], [1, 0]])


def test_the_figure_shows_the_errors_of_the_table(examine):
    """The errors of two seeds differ in sign; pooled predictions would cancel them."""

    def world(config):
        sign = 1 if config.seed % 2 else -1
        return calibration_world(config, accuracy={config.loss: 0.75 + 0.03 * sign})

    finding = examine("calibration", world=world)
    shown = dict(re.findall(r"([\w-]+) (\d+\.\d)", finding.figures[0].alt))
    rows = {row[0]: row[5].split()[0] for row in finding.tables[1].rows}
    assert shown == rows
    assert set(rows) == set(LOSSES)
