import dataclasses
import re

import numpy as np
import pytest

from lossbench.benchmarks.config import RunConfig
from lossbench.benchmarks.evidence.calibration import (
    IMPROPER,
    LOSSES,
    PROPER,
    at_temperature,
    floor,
    scaled_error,
)
from lossbench.benchmarks.plots import intervals
from lossbench.benchmarks.stats.metrics import expected_calibration_error

from .worlds import calibration_world, one_logit, result


@pytest.mark.parametrize(
    "change", [{"sigmoid-mse": 0.85}, {"cross-entropy": 0.9}, {"label-smoothing": 0.76}]
)
def test_refuted_where_confidences_are_others(examine, change):
    assert examine("calibration", change=change).verdict == "does not hold"


@pytest.mark.parametrize("loss", ["probability-sum", "mse"])
def test_undecided_at_another_accuracy(examine, loss):
    finding = examine("calibration", accuracy={loss: 0.60})
    (measure,) = (m for m in finding.measures if m.verdict != "holds")
    assert measure.name.startswith(loss)
    assert measure.verdict == finding.verdict == "undecided"
    assert "equal accuracy" in measure.wanted
    assert finding.notes[-1].endswith(f"cross-entropy: {loss}.")


@pytest.mark.parametrize("loss", ["softmax-focal", "cross-entropy"])
def test_undecided_for_a_loss_that_diverged(examine, loss):
    def world(config):
        found = calibration_world(config)
        if config.loss == loss and found.test is not None and config.seed == 0:
            found.test.probabilities[:] = np.nan
        return found

    finding = examine("calibration", world=world)
    assert finding.verdict == "undecided"
    assert finding.notes[-1] == f"Diverged with some seed, and left out: {loss}."
    assert finding.measures[-1].name == f"{loss}, points"
    assert loss not in {row[0] for row in finding.tables[0].rows}


def test_numbers_are_those_of_the_runs(examine, analyse):
    """All predictions are equally confident, so that the error is one gap."""
    analysis, trainer = analyse("calibration")
    confidence = {
        loss: 100 * np.mean([run.test.probabilities.max(1).mean() for run in runs])
        for loss, runs in analysis.runs.items()
    }
    accuracy = {
        loss: 100 * np.mean([run.test.accuracy for run in runs])
        for loss, runs in analysis.runs.items()
    }
    gap = {loss: abs(confidence[loss] - accuracy[loss]) for loss in LOSSES}
    finding = examine("calibration")
    expected = [gap[loss] for loss in PROPER]
    expected += [gap[loss] - gap["cross-entropy"] for loss in IMPROPER]
    assert [m.value for m in finding.measures] == pytest.approx(expected, abs=1e-2)
    rows = {row[0]: row for row in finding.tables[0].rows}
    over = rows["softmax-focal"][7].replace("−", "-")
    assert float(over) == pytest.approx(confidence["softmax-focal"] - accuracy["mse"], abs=0.1)
    assert rows["mse"][1] == "proper"
    assert rows["label-smoothing"][1] == "not proper"
    assert rows["cross-entropy"][4] == "reference"
    assert f"probability-sum {gap['probability-sum']:.1f}" in finding.sentence
    assert {config.train_images for config in trainer.searched} == {2_000}


def test_errors_are_drawn_from_zero(analyse, monkeypatch):
    """A distance to 0 is read off the figure, and not only the order of the losses."""
    ends = {}

    def draw_panel(axes, panel, original=intervals.draw_panel):
        original(axes, panel)
        ends[panel.x_label] = axes.get_xlim()

    monkeypatch.setattr(intervals, "draw_panel", draw_panel)
    analyse("calibration")[0].figures()
    assert ends["expected calibration error on test images, points"][0] == 0


def drawn(shape, seed, factor=1.0):
    """Predictions of log-odds times `factor`, with labels drawn from the log-odds themselves."""
    draw = np.random.default_rng(seed)
    z = draw.normal(0, 1.5, shape)
    return one_logit(factor * z, draw.random(shape) < 1 / (1 + np.exp(-z)))


def test_right_probabilities_have_the_error_of_the_floor():
    errors = [
        100 * expected_calibration_error(each.probabilities, each.labels)
        for each in (drawn(2000, seed) for seed in range(40))
    ]
    run = result(RunConfig("mse", 0, 0.1, test=True), drawn(2000, 0))
    assert floor([run]) == pytest.approx(np.mean(errors), rel=0.1)


def test_temperature_scaling_corrects_overconfidence():
    run = result(RunConfig("mse", 0, 0.1, test=True), drawn(4000, 2, factor=3.0))
    before = 100 * expected_calibration_error(run.test.probabilities, run.test.labels)
    assert before > 10
    assert scaled_error(run) < 3
    assert np.isnan(scaled_error(dataclasses.replace(run, validation=None)))


def test_temperature_is_that_of_a_softmax():
    logits = np.random.default_rng(0).normal(size=(5, 3))
    softmax = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    scaled = np.exp(logits / 2) / np.exp(logits / 2).sum(1, keepdims=True)
    np.testing.assert_allclose(at_temperature(softmax, 2.0), scaled, rtol=1e-6)


def test_the_figure_shows_the_errors_of_the_sentence(examine):
    """The errors of two seeds differ in sign; pooled predictions would cancel them."""

    def world(config):
        sign = 1 if config.seed % 2 else -1
        return calibration_world(config, accuracy={config.loss: 0.75 + 0.03 * sign})

    finding = examine("calibration", world=world)
    numbers = dict(re.findall(r"([\w-]+) (\d+\.\d)", finding.sentence))
    assert set(numbers) == set(LOSSES)
    assert dict(re.findall(r"([\w-]+) (\d+\.\d)", finding.figures[0].alt)) == numbers
