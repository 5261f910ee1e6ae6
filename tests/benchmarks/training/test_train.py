import dataclasses
import math

import numpy as np
import pytest
import torch

from lossbench import models
from lossbench.benchmarks.data.batches import evaluation_batches, prepare
from lossbench.benchmarks.training.gradient_probes import VANISHED_BELOW
from lossbench.benchmarks.training.objective import Objective
from lossbench.benchmarks.training.result import RunConfig
from lossbench.benchmarks.training.train import Callback, build_model, train
from lossbench.losses import registry

CPU = torch.device("cpu")
SMALL = RunConfig("cross-entropy", seed=0, learning_rate=0.02, width=4, epochs=2, batch_size=16)
WRONG = 0.0003
# 96 images, a quarter held out, 16 a step, 2 epochs.
PER_EPOCH, STEPS = 4, 8


@pytest.mark.parametrize("loss", registry.names())
def test_the_runs_of_a_seed_begin_as_the_same_function(loss: str, images) -> None:
    material = prepare(images, CPU)
    for begin_at in (None, WRONG):
        probabilities = []
        for name in ("bce-with-logits", loss):
            trial = dataclasses.replace(SMALL, loss=name, seed=7, begin_at=begin_at)
            objective = Objective(name)
            model = build_model(trial, objective).eval()
            ((pixels, _),) = evaluation_batches(material.validation, material.normalise)
            probabilities.append(torch.sigmoid(objective.margin(objective.logits(model(pixels)))))
        torch.testing.assert_close(*probabilities)
        if begin_at is not None:
            assert probabilities[0].max() < 10 * begin_at


@pytest.mark.parametrize("loss", registry.names())
def test_every_loss_of_several_classes_begins_with_the_same_columns(loss: str) -> None:
    weights = [
        models.last_linear(build_model(dataclasses.replace(SMALL, loss=name), Objective(name, 5)))[
            1
        ]
        for name in ("cross-entropy", loss)
    ]
    assert torch.equal(weights[0].weight, weights[1].weight)
    assert weights[1].out_features == 5


def test_an_outcome_is_complete(trained) -> None:
    outcome = trained(pairs=True)
    assert [(p.step, p.epoch) for p in outcome.points] == [(0, 0), (PER_EPOCH, 1), (STEPS, 2)]
    assert outcome.counts == (36, 36)
    assert len(outcome.validation.labels) == 24
    assert len(outcome.test.labels) == 40
    assert outcome.validation.outputs.shape == (24, 2)
    assert outcome.validation.accuracy == outcome.points[-1].validation_accuracy
    assert outcome.points[0].seconds < outcome.points[-1].seconds == outcome.seconds
    assert outcome.moved > 0
    assert outcome.pairs.shape[1] == 4


def test_the_test_images_are_asked_for_once_and_only_if_wanted(images) -> None:
    material = prepare(images, CPU, validation=0.25)
    without = train(dataclasses.replace(SMALL, epochs=1), material)[0]
    assert without.test is None
    assert math.isnan(without.test_loss)
    asking = dataclasses.replace(SMALL, epochs=1, test=True)
    assert train(asking, material)[0].test is not None
    with pytest.raises(RuntimeError):
        train(asking, material)


def test_the_held_out_images_are_never_trained_on(images) -> None:
    material = prepare(images, CPU, validation=0.25)
    held_out = set(material.validation.rows.tolist())
    assert held_out.isdisjoint(material.train.rows.tolist())
    # Were they trained on, other labels for them would change the network.
    weights = []
    for _ in range(2):
        weights.append(train(SMALL, material)[1].state_dict())
        material.validation.labels.neg_().add_(1)
    assert all(torch.equal(a, b) for a, b in zip(*(w.values() for w in weights), strict=True))


def test_without_held_out_images_the_curve_has_no_validation(trained) -> None:
    outcome = trained(validation=0.0)
    assert outcome.validation is None
    assert all(math.isnan(p.validation_accuracy) for p in outcome.points)
    assert outcome.counts == (48, 48)
    assert outcome.test is not None


@pytest.mark.parametrize("loss", registry.names())
def test_what_is_predicted_is_what_the_probabilities_say(loss: str, trained) -> None:
    said = trained(loss).test
    np.testing.assert_allclose(said.probabilities.sum(1), 1, rtol=1e-5)
    assert (said.probabilities >= 0).all()
    clear = np.abs(said.probabilities[:, 1] - 0.5) > 1e-6
    assert (said.predicted[clear] == said.probabilities.argmax(1)[clear]).all()


def test_the_test_loss_is_the_mean_of_the_loss(trained) -> None:
    outcome = trained("bce-with-logits")
    z = torch.from_numpy(outcome.test.outputs[:, 0])
    target = torch.from_numpy(outcome.test.labels).float()
    expected = torch.nn.functional.binary_cross_entropy_with_logits(z, target)
    assert outcome.test_loss == pytest.approx(expected.item(), rel=1e-5)


def test_a_run_that_diverges_has_no_accuracy(trained) -> None:
    outcome = trained("mse", learning_rate=1e30)
    assert math.isnan(outcome.test.accuracy)
    assert math.isnan(outcome.points[-1].validation_accuracy)


class Dropping(torch.nn.Sequential):
    def __init__(self, num_outputs: int) -> None:
        super().__init__(
            torch.nn.Flatten(), torch.nn.Dropout(0.5), torch.nn.Linear(3072, num_outputs)
        )


def test_what_a_model_draws_while_it_trains_is_paired_too(monkeypatch) -> None:
    monkeypatch.setattr(models, "build", lambda *_, **__: Dropping(1))
    drawn = []
    for name in ("bce-with-logits", "cross-entropy"):
        build_model(SMALL, Objective(name))
        drawn.append(torch.rand(8))
    assert torch.equal(*drawn)


def test_a_network_learns(trained) -> None:
    assert trained(epochs=4).test.accuracy > 0.9


def test_the_count_of_errors_moves_nothing(trained) -> None:
    outcome = trained("zero-one")
    assert outcome.moved == 0
    assert {p.parameter_norm for p in outcome.points} == {0.0}


def flat(model: torch.nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def test_how_far_the_parameters_moved_is_one_distance(images) -> None:
    trial = dataclasses.replace(SMALL, epochs=1)
    before = flat(build_model(trial, Objective(trial.loss)))
    outcome, model = train(trial, prepare(images, CPU))
    after = flat(model)
    assert outcome.moved == pytest.approx((after - before).norm().item(), rel=1e-5)


def test_one_seed_twice_gives_the_same_bits(trained) -> None:
    first, second = trained(seed=3), trained(seed=3)
    assert np.array_equal(first.test.outputs, second.test.outputs)
    assert first.moved == second.moved


def test_logging_and_evaluating_more_often_change_nothing_else(trained) -> None:
    often = trained(log_every=1, evaluations=3)
    seldom = trained(log_every=100)
    assert np.array_equal(often.test.outputs, seldom.test.outputs)


def test_the_start_is_evaluated_before_any_step(trained) -> None:
    first = trained("bce-with-logits", begin_at=WRONG).points[0]
    assert first.validation_accuracy == 0.5
    # Half the images are cats, and each of them costs about -ln 0.0003.
    assert first.validation_loss == pytest.approx(-math.log(WRONG) / 2, rel=0.2)
    assert first.logit_when_wrong > 0.99


def test_evaluations_are_spread_over_the_epoch(trained) -> None:
    points = trained(evaluations=3).points
    assert [p.step for p in points] == [0, 1, 2, 4, 5, 6, 8]
    assert all(p.epoch == pytest.approx(p.step / PER_EPOCH) for p in points)


@pytest.mark.parametrize("often", [PER_EPOCH, 50])
def test_every_step_can_be_evaluated(trained, often: int) -> None:
    points = trained(evaluations=often).points
    assert [p.step for p in points] == list(range(STEPS + 1))
    norms = [p.parameter_norm for p in points]
    assert norms[-1] == norms[-2] != norms[-3]


def test_a_run_ends_when_it_is_good_enough(trained) -> None:
    whole = trained(epochs=4, evaluations=2)
    first = next(p for p in whole.points if p.validation_accuracy >= 0.8)
    assert 0 < first.step < whole.points[-1].step
    # Exactly as much as that evaluation had is enough.
    short = trained(epochs=4, evaluations=2, enough=first.validation_accuracy)
    assert short.points[-1].step == first.step
    assert short.points[-1].validation_accuracy == first.validation_accuracy
    assert short.test is not None


def test_a_run_that_begins_good_enough_takes_no_step(trained) -> None:
    outcome = trained(enough=0.0)
    assert [p.step for p in outcome.points] == [0]
    assert outcome.moved == 0


def test_points_are_means_of_the_windows_since(trained) -> None:
    class Seen(Callback):
        def __init__(self) -> None:
            self.windows, self.points = [], []

        def window(self, step, _steps, window) -> None:
            self.windows.append((step, window))

        def point(self, point, _steps) -> None:
            self.points.append(point)

    seen = Seen()
    outcome = trained(watch=seen, log_every=1)
    assert tuple(seen.points) == outcome.points
    assert [step for step, _ in seen.windows] == list(range(STEPS))
    since = -1
    for point in outcome.points:
        part = [w for step, w in seen.windows if since < step <= point.step]
        for column, name in (("train_loss", "loss"), ("parameter_norm", "parameter_norm")):
            mean = sum(getattr(w, name) for w in part) / len(part)
            assert getattr(point, column) == pytest.approx(mean, rel=1e-6)
        since = point.step


@pytest.mark.parametrize("loss", registry.names())
def test_pairs_are_margins_and_their_own_gradients(loss: str, trained) -> None:
    pairs = trained(loss, pairs=True, log_every=1).pairs
    assert len(pairs) == STEPS * 16
    step, z, t, g = pairs.T
    assert set(step) == set(range(STEPS))
    objective = Objective(loss)
    margin = torch.from_numpy(z).requires_grad_()
    if objective.num_outputs == 1:
        each = objective(margin, torch.from_numpy(t).long())
        (expected,) = torch.autograd.grad(each.sum(), margin)
        np.testing.assert_allclose(g, expected.numpy(), rtol=1e-4, atol=VANISHED_BELOW)
    elif objective.entry.task == "multiclass" and objective.entry.takes == "logits":
        # A row is known but for what both logits share, of which a softmax knows nothing.
        assert np.isfinite(g).all()


def test_pairs_of_a_softmax_are_those_of_its_difference(trained) -> None:
    _, z, t, g = trained("cross-entropy", pairs=True).pairs.T
    np.testing.assert_allclose(g, 1 / (1 + np.exp(-z)) - t, rtol=1e-4, atol=1e-6)


def test_a_window_has_no_more_pairs_than_asked_for(trained, monkeypatch) -> None:
    monkeypatch.setattr("lossbench.benchmarks.training.train.PAIRS", 10)
    pairs = trained(pairs=True, log_every=1).pairs
    assert 0 < len(pairs) <= 10 * STEPS
