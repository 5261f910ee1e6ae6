"""Networks of a seed begin as the same function."""

import dataclasses

import pytest
import torch

from lossbench import models
from lossbench.benchmarks.config import RunConfig
from lossbench.benchmarks.data.batches import evaluation_batches, prepare
from lossbench.benchmarks.training.network import build_model, is_builtin
from lossbench.benchmarks.training.objective import Objective
from lossbench.losses import registry

from ..trained_runs import LOSS_KINDS

CPU = torch.device("cpu")
SMALL = RunConfig("cross-entropy", seed=0, learning_rate=0.02, width=4)
WRONG = 0.0003


@pytest.mark.parametrize("loss", LOSS_KINDS)
def test_the_runs_of_a_seed_begin_as_the_same_function(loss: str, images) -> None:
    dataset = prepare(images, CPU)
    for begin_at in (None, WRONG):
        probabilities = []
        for name in ("bce-with-logits", loss):
            config = dataclasses.replace(SMALL, loss=name, seed=7, initial_probability=begin_at)
            objective = Objective(name)
            model = build_model(config, objective).eval()
            (pixels,) = evaluation_batches(dataset.validation, dataset.normalise)
            probabilities.append(torch.sigmoid(objective.margin(model(pixels))))
        torch.testing.assert_close(*probabilities)
        if begin_at is not None:
            assert probabilities[0].max() < 10 * begin_at


@pytest.mark.parametrize("loss", registry.names())
def test_every_loss_of_several_classes_begins_with_the_same_columns(loss: str) -> None:
    heads = [
        models.last_linear(build_model(dataclasses.replace(SMALL, loss=name), Objective(name, 5)))
        for name in ("cross-entropy", loss)
    ]
    assert torch.equal(heads[0][1].weight, heads[1][1].weight)
    assert heads[1][1].out_features == 5


def test_random_numbers_drawn_in_training_are_paired(monkeypatch) -> None:
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3072, 1))
    monkeypatch.setattr(models, "build", lambda *_, **__: network)
    drawn = []
    for name in ("bce-with-logits", "cross-entropy"):
        build_model(SMALL, Objective(name))
        drawn.append(torch.rand(8))
    assert torch.equal(*drawn)


def test_losses_and_models_of_lossbench_are_builtin() -> None:
    assert all(is_builtin(RunConfig(name, 0, 0.1)) for name in registry.names())
    assert not is_builtin(RunConfig("cross-entropy", 0, 0.1, model="package.module:Class"))
