import copy
import dataclasses
import itertools
import math
import shutil
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch._dynamo.utils

from lossbench.benchmarks.data.batches import prepare
from lossbench.benchmarks.training.gradient_stats import VANISHED_BELOW
from lossbench.benchmarks.training.network import build_model
from lossbench.benchmarks.training.objective import Objective
from lossbench.benchmarks.training.train import (
    FLIPPED_RATE,
    Callback,
    Trainer,
    fit,
    is_due,
    train,
)
from lossbench.losses import registry
from lossbench.losses.kernels.switches import this_thread

from ..trained_runs import LOSS_KINDS
from .fitted_runs import CPU, SMALL, History, fitted

WRONG = 0.0003
# 96 images, a quarter held out, 16 per step, 2 epochs.
PER_EPOCH, STEPS = 4, 8


# --- the result


def test_a_result_is_complete(trained) -> None:
    history = History()
    result = trained(record_examples=True, callbacks=[history])
    assert [(e.step, e.epoch) for e in result.evaluations] == [(0, 0), (PER_EPOCH, 1), (STEPS, 2)]
    assert history.results == [result]
    assert result.counts == (36, 36)
    assert (len(result.validation.labels), len(result.test.labels)) == (24, 40)
    assert result.validation.outputs.shape == (24, 1)
    assert result.validation.accuracy == result.evaluations[-1].validation_accuracy
    assert 0 < result.evaluations[0].seconds < result.evaluations[-1].seconds == result.seconds
    assert result.parameter_distance > 0
    assert result.examples.shape[1] == 4
    assert trained(epochs=4).test.accuracy > 0.9


def test_the_test_images_are_used_once_and_only_if_asked_for(images) -> None:
    dataset = prepare(images, CPU, validation=0.25)
    without = train(dataclasses.replace(SMALL, epochs=1), dataset)
    assert without.test is None
    assert math.isnan(without.test_loss)
    config = dataclasses.replace(SMALL, epochs=1, test=True)
    assert train(config, dataset).test is not None
    with pytest.raises(RuntimeError):
        train(config, dataset)


def test_the_validation_images_are_never_trained_on(images) -> None:
    dataset = prepare(images, CPU, validation=0.25)
    held_out = set(dataset.validation.rows.tolist())
    assert held_out.isdisjoint(dataset.train.rows.tolist())
    # If they were trained on, other labels for them would change the network.
    weights = []
    for _ in range(2):
        trainer = Trainer(SMALL, dataset)
        fit(trainer)
        weights.append(trainer.model.state_dict())
        dataset.validation.labels.neg_().add_(1)
    assert all(torch.equal(a, b) for a, b in zip(*(w.values() for w in weights), strict=True))


def test_without_validation_images_their_numbers_are_nan(trained) -> None:
    result = trained(validation=0.0, stop_at_accuracy=0.5)
    assert result.validation is None
    assert all(math.isnan(e.validation_accuracy) for e in result.evaluations)
    assert result.counts == (48, 48)
    assert result.test is not None


def test_the_test_loss_is_the_mean_of_the_loss(trained) -> None:
    result = trained("bce-with-logits")
    z = torch.from_numpy(result.test.outputs[:, 0])
    target = torch.from_numpy(result.test.labels).float()
    expected = torch.nn.functional.binary_cross_entropy_with_logits(z, target)
    assert result.test_loss == pytest.approx(expected.item(), rel=1e-5)


def test_a_diverged_run_has_no_accuracy(trained) -> None:
    result = trained("mse", learning_rate=1e30)
    assert math.isnan(result.test.accuracy)
    assert math.isnan(result.evaluations[-1].validation_accuracy)


def test_a_loss_without_gradient_moves_no_parameter(trained) -> None:
    result = trained("zero-one")
    assert result.parameter_distance == 0
    assert {e.parameter_norm for e in result.evaluations} == {0.0}


def flat(model: torch.nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def test_the_distance_is_that_of_all_parameters(images) -> None:
    before = flat(build_model(SMALL, Objective(SMALL.loss), 32))
    result, network, _ = fitted(SMALL, images)
    assert result.parameter_distance == pytest.approx(
        (flat(network) - before).norm().item(), rel=1e-5
    )
    assert result.parameters == len(before)


# --- the loop


def test_a_step_is_a_plain_training_step(images) -> None:
    config = dataclasses.replace(SMALL, learning_rate=0.1, weight_decay=0.01)
    trainer = Trainer(config, prepare(images, CPU, validation=0.25))
    model = copy.deepcopy(trainer.model)
    parameters = list(model.parameters())
    groups = [
        {"params": [p for p in parameters if p.dim() > 1], "weight_decay": 0.01},
        {"params": [p for p in parameters if p.dim() == 1]},
    ]
    optimizer = torch.optim.SGD(groups, lr=0.0, momentum=0.9, nesterov=True)
    for step, (pixels, labels) in enumerate(trainer.loader):
        rate = (2 * step + 1) / 4 if step < 2 else (2 * (STEPS - step) - 1) / 12
        for group in optimizer.param_groups:
            group["lr"] = 0.1 * rate
        optimizer.zero_grad()
        z = model(pixels)
        torch.nn.functional.cross_entropy(torch.cat([-z, z], 1) / 2, labels).backward()
        optimizer.step()
        trainer.step()
    assert trainer.done
    for name, expected in model.state_dict().items():
        torch.testing.assert_close(trainer.model.state_dict()[name], expected, rtol=1e-3, atol=1e-4)


def test_one_seed_twice_gives_the_same_bits_however_often_it_is_logged(trained) -> None:
    first, second = trained(seed=3, log_every=1, evaluations=3), trained(seed=3, log_every=100)
    assert np.array_equal(first.test.outputs, second.test.outputs)
    assert first.parameter_distance == second.parameter_distance
    assert not np.array_equal(first.test.outputs, trained(seed=4).test.outputs)


def test_the_initial_model_is_evaluated(trained) -> None:
    first = trained("bce-with-logits", initial_probability=WRONG).evaluations[0]
    assert first.validation_accuracy == 0.5
    # Half the images are cats, and each of them costs about -ln 0.0003.
    assert first.validation_loss == pytest.approx(-math.log(WRONG) / 2, rel=0.2)
    assert first.logit_when_wrong > 0.99


@pytest.mark.parametrize(
    ("evaluations", "steps"),
    [(1, [0, 4, 8]), (3, [0, 1, 2, 4, 5, 6, 8]), (PER_EPOCH, range(9)), (50, range(9))],
)
def test_evaluations_are_spread_over_the_epoch(trained, evaluations: int, steps) -> None:
    curve = trained(evaluations=evaluations).evaluations
    assert [e.step for e in curve] == list(steps)
    assert all(e.epoch == pytest.approx(e.step / PER_EPOCH) for e in curve)
    norms = [e.parameter_norm for e in curve]
    assert norms[-1] != norms[-3]
    # The last evaluation follows the last step; at every step it has none of its own.
    assert (norms[-1] == norms[-2]) == (len(curve) == STEPS + 1)


def test_an_evaluation_is_due_at_equal_parts_of_an_epoch() -> None:
    for per_epoch, evaluations in itertools.product((1, 4, 7, 156), (1, 3, 4, 20, 1000)):
        expected = {per_epoch * k // evaluations for k in range(evaluations)}
        for step in range(2 * per_epoch):
            assert is_due(step, per_epoch, evaluations) == (step % per_epoch in expected)


def test_a_run_ends_when_it_is_accurate_enough(trained) -> None:
    complete = trained(epochs=4, evaluations=2)
    first = next(e for e in complete.evaluations if e.validation_accuracy >= 0.8)
    assert 0 < first.step < complete.evaluations[-1].step
    # An accuracy of exactly that is enough.
    short = trained(epochs=4, evaluations=2, stop_at_accuracy=first.validation_accuracy)
    assert short.evaluations[-1].step == first.step
    assert short.evaluations[-1].validation_accuracy == first.validation_accuracy
    assert short.test is not None
    none = trained(stop_at_accuracy=0.0)
    assert ([e.step for e in none.evaluations], none.parameter_distance) == ([0], 0)


def test_flipped_labels_are_learned_first_and_by_every_loss_alike(images) -> None:
    dataset = prepare(images, CPU, validation=0.25)
    settings = {"flipped_epochs": 6, "epochs": 6, "schedule": "constant"}
    one, other = (
        Trainer(dataclasses.replace(SMALL, loss=loss, **settings), dataset)
        for loss in ("cross-entropy", "sigmoid-mse")
    )
    for name, weights in one.model.state_dict().items():
        assert torch.equal(weights, other.model.state_dict()[name]), name
    wrong = one.evaluate(dataset.validation)[1]
    assert wrong.accuracy < 0.2
    # A network of right labels, with all labels flipped, is the same thing.
    before = dataclasses.replace(SMALL, epochs=6, learning_rate=FLIPPED_RATE)
    labels = 1 - dataset.train.labels
    flipped = dataclasses.replace(dataset, train=dataset.train._replace(labels=labels))
    trainer = Trainer(before, flipped)
    fit(trainer)
    assert np.array_equal(trainer.evaluate(dataset.validation)[1].outputs, wrong.outputs)
    # The run itself begins with step 0 and the right labels.
    result = fit(one)
    assert result.evaluations[0].step == 0
    assert result.evaluations[0].validation_accuracy == wrong.accuracy
    assert result.evaluations[-1].validation_accuracy > 0.8


def test_curvature_is_measured_at_the_start_and_changes_nothing(trained) -> None:
    without, measured = trained(), trained(record_curvature=True)
    assert without.curvature is None
    assert measured.curvature.norm > 0
    assert np.array_equal(without.test.outputs, measured.test.outputs)
    assert trained(record_curvature=True, epochs=5).curvature == measured.curvature


def test_a_callback_ends_the_training_before_a_step(trained) -> None:
    class Stop(Callback):
        def on_step_start(self, trainer) -> None:
            trainer.done |= trainer.global_step == 3

    steps = [e.step for e in trained(evaluations=1, callbacks=[Stop()]).evaluations]
    assert steps == [0, 3]


def test_the_time_of_evaluations_and_of_other_runs_is_not_counted(images, monkeypatch) -> None:
    clock = itertools.count()
    trainer = Trainer(SMALL, prepare(images, CPU, validation=0.25))
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))

    def slow_evaluation(*_: Any) -> tuple:
        list(itertools.islice(clock, 10_000))
        return 0.5, SimpleNamespace(accuracy=0.5)

    monkeypatch.setattr("lossbench.benchmarks.training.train.evaluate", slow_evaluation)
    while not trainer.done:
        trainer.step()
        list(itertools.islice(clock, 10_000))  # others take their steps
    assert STEPS <= trainer.finish().seconds < 10_000


# --- recorded examples


@pytest.mark.parametrize("loss", LOSS_KINDS)
def test_examples_are_logits_and_their_own_gradients(loss: str, trained) -> None:
    examples = trained(loss, record_examples=True, log_every=1).examples
    assert len(examples) == STEPS * 16
    step, z, t, g = examples.T
    assert set(step) == set(range(STEPS))
    logits = torch.from_numpy(z).requires_grad_()
    each = Objective(loss)(logits[:, None], torch.from_numpy(t).long())
    (expected,) = torch.autograd.grad(each.sum(), logits)
    np.testing.assert_allclose(g, expected.numpy(), rtol=1e-4, atol=VANISHED_BELOW)


def test_examples_of_cross_entropy_are_errors(trained) -> None:
    _, z, t, g = trained("cross-entropy", record_examples=True).examples.T
    np.testing.assert_allclose(g, 1 / (1 + np.exp(-z)) - t, rtol=1e-4, atol=1e-6)


def test_an_interval_has_no_more_examples_than_asked_for(trained, monkeypatch) -> None:
    monkeypatch.setattr("lossbench.benchmarks.training.train.EXAMPLES_PER_INTERVAL", 10)
    assert 0 < len(trained(record_examples=True, log_every=1).examples) <= 10 * STEPS


# --- precision, memory layout, compiler


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_outputs_and_loss_stay_float32(precision: str, images) -> None:
    config = dataclasses.replace(SMALL, precision=precision, evaluations=1)
    result, network, history = fitted(config, images)
    assert {p.dtype for p in network.parameters()} == {torch.float32}
    assert result.validation.outputs.dtype == "float32"
    assert {values.dtype for values in history.values} == {torch.float32}


@pytest.mark.parametrize(
    ("change", "rel"), [({"precision": "bfloat16"}, 0.05), ({"channels_last": False}, 1e-3)]
)
def test_precision_and_memory_layout_change_rounding_alone(change, rel: float, images) -> None:
    one, two = (
        fitted(config, images)[0].evaluations[1].train_loss
        for config in (SMALL, dataclasses.replace(SMALL, **change))
    )
    assert one != two or "precision" not in change
    assert one == pytest.approx(two, rel=rel)


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "torch.optim:RMSprop"])
@pytest.mark.parametrize("schedule", ["one-cycle", "constant", "cosine"])
def test_optimizer_and_schedule_are_those_asked_for(schedule, optimizer, images) -> None:
    config = dataclasses.replace(SMALL, learning_rate=0.3, optimizer=optimizer, schedule=schedule)
    trainer, rates = Trainer(config, prepare(images, CPU)), []
    assert type(trainer.optimizer).__name__.lower() == optimizer.rpartition(":")[2].lower()
    while not trainer.done:
        trainer.step()
        rates.append(trainer.optimizer.param_groups[0]["lr"])
    assert len(rates) == trainer.total_steps > 8
    falls = rates == sorted(set(rates), reverse=True)
    assert falls == (schedule == "cosine")
    assert (set(rates) == {0.3}) == (schedule == "constant")
    assert max(rates) == pytest.approx(0.3, rel=0.2)
    assert (rates[-1] < 0.1) == (schedule != "constant")


@pytest.mark.parametrize("kernels", [True, False])
def test_the_backend_of_the_loss_is_the_one_asked_for(kernels: bool, images, monkeypatch) -> None:
    depths, per_example = [], registry.Entry.per_example_loss

    def noted(*arguments: Any) -> torch.Tensor:
        depths.append(this_thread.closed_forms_only)
        return per_example(*arguments)

    monkeypatch.setattr(registry.Entry, "per_example_loss", noted)
    fitted(dataclasses.replace(SMALL, epochs=1, kernels=kernels), images)
    assert set(depths) == {0 if kernels else 1}
    assert len(depths) > 6  # steps and evaluations


@pytest.mark.parametrize("last", [True, False])
def test_the_memory_layout_is_the_one_asked_for(last: bool, images) -> None:
    config = dataclasses.replace(SMALL, channels_last=last)
    weight = Trainer(config, prepare(images, CPU)).model.get_parameter("features.1.0.weight")
    assert weight.is_contiguous(memory_format=torch.channels_last) == last


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("c++") is None, reason="torch.compile needs a compiler")
def test_a_compiled_network_trains_to_the_same_within_rounding(images) -> None:
    counters: Any = torch._dynamo.utils.counters["stats"]
    losses = []
    for compiled in (False, True):
        before = counters["unique_graphs"]
        result, *_ = fitted(dataclasses.replace(SMALL, compile=compiled), images)
        assert (counters["unique_graphs"] > before) == compiled
        losses.append(result.evaluations[1].train_loss)
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)
