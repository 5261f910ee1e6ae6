"""Networks of a seed begin as the same function."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from lossbench import models
from lossbench.benchmarks.config import RunConfig
from lossbench.benchmarks.data.batches import evaluation_batches, prepare
from lossbench.benchmarks.training.checks import check_model
from lossbench.benchmarks.training.network import build_model, is_builtin, place_model
from lossbench.benchmarks.training.objective import Objective
from lossbench.benchmarks.training.train import train
from lossbench.losses import registry

CPU = torch.device("cpu")
SMALL = RunConfig("cross-entropy", seed=0, learning_rate=0.02, width=4)
WRONG = 0.0003


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("loss", registry.names())
def test_the_runs_of_a_seed_begin_with_the_same_weights(loss: str, classes: int) -> None:
    states = [
        build_model(replace(SMALL, loss=name), Objective(name, classes), 32).state_dict()
        for name in ("cross-entropy", loss)
    ]
    assert all(map(torch.equal, *(state.values() for state in states)))
    model = build_model(replace(SMALL, loss=loss), Objective(loss, classes), 32)
    assert models.last_linear(model)[1].out_features == (1 if classes == 2 else classes)


def test_a_wrong_start_gives_every_image_about_the_same_probability(images) -> None:
    dataset = prepare(images, CPU)
    objective = Objective("cross-entropy")
    model = build_model(replace(SMALL, initial_probability=WRONG), objective, 32).eval()
    (pixels,) = evaluation_batches(dataset.validation, dataset.normalise)
    assert objective.probabilities(model(pixels))[:, 1].max() < 10 * WRONG


def test_random_numbers_drawn_in_training_are_paired(monkeypatch) -> None:
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3072, 1))
    monkeypatch.setattr(models, "build", lambda *_, **__: network)
    drawn = []
    for name in ("bce-with-logits", "cross-entropy"):
        build_model(SMALL, Objective(name), 32)
        drawn.append(torch.rand(8))
    assert torch.equal(*drawn)


PAIRS = [
    ("Lazy", "NotLazy"),
    ("Deferred", "not_deferred"),
    ("Viewed", "Reshaped"),
    ("Volume", "Plane"),
    ("Vectors", "OneMatrix"),
]


@pytest.mark.parametrize(("odd", "plain"), PAIRS)
def test_a_model_of_the_users_own_trains_like_the_same_in_other_words(odd, plain, images) -> None:
    config = replace(SMALL, width=None, epochs=2, batch_size=16, test=True)
    results, weights = [], []
    for name in (odd, plain):
        own = replace(config, model=f"{__package__}.own_networks:{name}")
        assert check_model(own, 32, 2, CPU) > 0
        results.append(train(own, prepare(images, CPU)))
        weights.append(list(build_model(own, Objective(own.loss), 32).state_dict().values()))
    assert all(map(torch.equal, *weights))
    found, expected = results
    assert found.parameters == expected.parameters
    assert found.parameter_distance == pytest.approx(expected.parameter_distance, rel=1e-4)
    assert found.parameter_distance > 0.01
    np.testing.assert_allclose(found.test.outputs, expected.test.outputs, rtol=1e-3, atol=1e-4)


def test_lazy_layers_can_start_confidently_wrong(images) -> None:
    config = replace(SMALL, width=None, model=f"{__package__}.own_networks:Lazy")
    config = replace(config, initial_probability=WRONG)
    assert check_model(config, 32, 2, CPU) == 713
    assert train(config, prepare(images, CPU)).evaluations[0].validation_loss > 3


@pytest.mark.parametrize(("name", "last"), [("Reshaped", True), ("Viewed", False)])
def test_a_model_that_takes_channels_last_gets_it(name: str, last: bool) -> None:
    config = replace(SMALL, width=None, model=f"{__package__}.own_networks:{name}")
    model = build_model(config, Objective(config.loss), 32)
    weight = place_model(model, config, 32, CPU).conv.weight
    assert weight.is_contiguous(memory_format=torch.channels_last) == last
    assert model.training


def test_losses_and_models_of_lossbench_are_builtin() -> None:
    assert all(is_builtin(RunConfig(name, 0, 0.1)) for name in registry.names())
    assert not is_builtin(RunConfig("cross-entropy", 0, 0.1, model="package.module:Class"))
