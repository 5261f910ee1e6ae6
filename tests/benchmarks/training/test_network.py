"""Networks of a seed begin as the same function."""

from dataclasses import replace

import pytest
import torch

from lossbench import models
from lossbench.benchmarks.config import RunConfig
from lossbench.benchmarks.data.batches import evaluation_batches, prepare
from lossbench.benchmarks.training.network import build_model, is_builtin
from lossbench.benchmarks.training.objective import Objective
from lossbench.losses import registry

CPU = torch.device("cpu")
SMALL = RunConfig("cross-entropy", seed=0, learning_rate=0.02, width=4)
WRONG = 0.0003


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("loss", registry.names())
def test_the_runs_of_a_seed_begin_with_the_same_weights(loss: str, classes: int) -> None:
    states = [
        build_model(replace(SMALL, loss=name), Objective(name, classes)).state_dict()
        for name in ("cross-entropy", loss)
    ]
    assert all(map(torch.equal, *(state.values() for state in states)))
    assert models.last_linear(build_model(replace(SMALL, loss=loss), Objective(loss, classes)))[
        1
    ].out_features == (1 if classes == 2 else classes)


def test_a_wrong_start_gives_every_image_about_the_same_probability(images) -> None:
    dataset = prepare(images, CPU)
    objective = Objective("cross-entropy")
    model = build_model(replace(SMALL, initial_probability=WRONG), objective).eval()
    (pixels,) = evaluation_batches(dataset.validation, dataset.normalise)
    assert objective.probabilities(model(pixels))[:, 1].max() < 10 * WRONG


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
