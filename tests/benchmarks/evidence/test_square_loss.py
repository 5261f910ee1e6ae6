import numpy as np
import pytest

from lossbench.benchmarks.evidence.square_loss import CHALLENGER, IN_WORDS, REFERENCE
from lossbench.benchmarks.evidence.tuned import RATES

from .worlds import square_loss_world


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        ({"mse": 0.68}, "does not hold"),
        ({"mse": 0.80}, "does not hold"),
        ({"mse": 0.72}, "undecided"),
        ({"mse": 0.76}, "undecided"),
        # Only square loss decides.
        ({"sigmoid_mse": 0.5}, "holds"),
    ],
)
def test_verdict_follows_the_accuracy_of_square_loss(verdict, shares, expected):
    assert verdict("square-loss", **shares) == expected


def test_numbers_are_those_of_the_runs(examine, analyse):
    analysis, trainer = analyse("square-loss")
    mean = {
        loss: 100 * np.mean([run.test.accuracy for run in runs])
        for loss, runs in analysis.runs.items()
    }
    finding = examine("square-loss")
    (measure,) = finding.measures
    assert measure.value == pytest.approx(mean[CHALLENGER] - mean[REFERENCE])
    assert f"is −{-measure.value:.3f} (−" in finding.sentence
    accuracy, tested, search = finding.tables
    assert accuracy.rows[1][2].startswith(f"{mean[CHALLENGER]:.1f} ± ")
    assert len(tested.rows) == 1
    assert search.columns[1:] == tuple(f"{rate:g}" for rate in RATES)
    assert float(search.rows[1][1]) == pytest.approx(mean[CHALLENGER], abs=1)
    for configs in (trainer.searched, trainer.trained):
        alike = {
            loss: [(c.seed, c.epochs, c.train_images) for c in configs if c.loss == loss]
            for loss in IN_WORDS
        }
        assert all(each == alike[REFERENCE] for each in alike.values())


def test_a_best_rate_at_an_end_of_those_tried_is_noted(analyse):
    analysis, _ = analyse("square-loss")

    def notes(*scores):
        rates = dict(zip((0.1, 0.3, 1.0), scores, strict=True))
        analysis.searched = dict.fromkeys(IN_WORDS, rates)
        return analysis.notes()

    assert "an end of those tried for" in notes(70, 60, 65)[-1]
    assert "an end of those tried for" in notes(60, 65, 70)[-1]
    tie = notes(50, 50, 50)[-1]
    assert "No rate was better than another" in tie
    assert "an end of those tried" not in tie
    assert not any("those tried" in note or "No rate" in note for note in notes(60, 70, 65))


def test_a_rate_is_the_best_of_the_search(analyse):
    """The lowest of equals, and a network that diverges is no better than chance."""

    def world(config):
        found = square_loss_world(config, mse=0.4 + 0.1 * (config.learning_rate in (0.1, 0.3)))
        if config.loss == CHALLENGER and config.learning_rate == 0.3:
            found.validation.outputs[:] = np.nan
        return found

    analysis, _ = analyse("square-loss", world=world)
    assert analysis.rates == {REFERENCE: RATES[0], CHALLENGER: 0.1, "sigmoid-mse": RATES[0]}
    assert analysis.searched[CHALLENGER][0.3] == 50
