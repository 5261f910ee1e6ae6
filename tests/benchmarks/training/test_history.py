import math
from types import SimpleNamespace

import pytest

from lossbench.benchmarks.records.gradient_stats import GradientStats
from lossbench.benchmarks.records.results import Evaluation
from lossbench.benchmarks.training import history
from lossbench.benchmarks.training.history import LearningCurve, Stopwatch

from ..samples import gradient_stats


@pytest.fixture
def clock(monkeypatch):
    """Clock of the stopwatch that only moves when it is told to."""
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(history.time, "perf_counter", lambda: clock.now)
    return clock


def test_a_stopwatch_counts_within_it_and_not_while_paused(clock) -> None:
    watch = Stopwatch()
    clock.now += 1
    with watch:
        clock.now += 2
        assert watch.seconds == 2
        with watch.paused():
            clock.now += 4
            assert watch.seconds == 2
        clock.now += 8
    clock.now += 16
    assert watch.seconds == 10
    watch.seconds = 0.5
    with watch:
        clock.now += 1
        assert watch.seconds == 1.5


def stats(loss: float, steps: int) -> GradientStats:
    return gradient_stats(
        steps=steps, loss=loss, logit_mean_abs=loss / 2, parameter_norm=3 * loss, layers={}
    )


def evaluation(step: int, **measured: float) -> Evaluation:
    return Evaluation(loss="mse", seed=0, epoch=step / 4, step=step, **measured)


def test_an_evaluation_has_the_means_since_the_last_one() -> None:
    curve = LearningCurve()
    curve.stats.append(stats(8.0, 1))
    first = curve.add(evaluation(0))
    assert (first.step, first.train_loss, first.parameter_norm) == (0, 8, 24)
    curve.stats += [stats(1.0, 1), stats(4.0, 2)]
    second = curve.add(evaluation(3, validation_loss=0.6, seconds=2.0))
    assert (second.step, second.train_loss, second.logit_mean_abs) == (3, 3, 1.5)
    assert (second.validation_loss, second.seconds) == (0.6, 2)
    # Without steps of its own an evaluation repeats the statistics before.
    assert curve.add(evaluation(4)).train_loss == 3
    assert [each.step for each in curve.evaluations] == [0, 3, 4]


def test_without_any_step_the_training_numbers_are_nan() -> None:
    added = LearningCurve().add(evaluation(0))
    assert math.isnan(added.train_loss)
    assert math.isnan(added.parameter_norm)


def test_a_curve_is_restored_from_its_state() -> None:
    curve, other = LearningCurve(), LearningCurve()
    curve.stats.append(stats(8.0, 1))
    curve.add(evaluation(0))
    curve.stats.append(stats(2.0, 1))
    other.load_state_dict(curve.state_dict())
    assert list(map(repr, other.evaluations)) == list(map(repr, curve.evaluations))
    assert repr(other.add(evaluation(2))) == repr(curve.add(evaluation(2)))
