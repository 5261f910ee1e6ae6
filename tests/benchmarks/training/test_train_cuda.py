"""Training on CUDA: graphs of a step, and checkpoints, bit for bit."""

import copy
import dataclasses
import warnings

import pytest
import torch

from lossbench import models
from lossbench.benchmarks.data.batches import prepare
from lossbench.benchmarks.training.train import Callback, Trainer, fit, train
from lossbench.losses import registry

from .fitted_runs import CPU, SMALL, assert_same, cuda, fitted

pytestmark = cuda


@pytest.mark.parametrize("loss", registry.names())
def test_a_cuda_graph_takes_the_same_steps(loss: str, images, cuda_device) -> None:
    config = dataclasses.replace(SMALL, loss=loss)
    eager = fitted(dataclasses.replace(config, cuda_graphs=False), images, cuda_device)
    assert_same(fitted(config, images, cuda_device), eager)


@pytest.mark.parametrize("optimizer", ["adam", "adamw(amsgrad=True)", "torch.optim:Adagrad"])
def test_every_optimizer_takes_the_same_steps_as_a_cuda_graph(
    optimizer: str, images, cuda_device
) -> None:
    config = dataclasses.replace(SMALL, optimizer=optimizer, schedule="cosine")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        eager = fitted(dataclasses.replace(config, cuda_graphs=False), images, cuda_device)
        assert_same(fitted(config, images, cuda_device), eager)


@pytest.mark.parametrize("model", models.names())
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_every_model_trains_as_a_cuda_graph(model, precision, images, cuda_device) -> None:
    config = dataclasses.replace(SMALL, model=model, precision=precision)
    eager = fitted(dataclasses.replace(config, cuda_graphs=False), images, cuda_device)
    assert_same(fitted(config, images, cuda_device), eager)
    assert_same(fitted(config, images, cuda_device), eager)


class Checkpoints(Callback):
    def __init__(self) -> None:
        self.states = []

    def on_step_end(self, trainer) -> None:
        self.states.append(copy.deepcopy(trainer.state_dict()))


@pytest.mark.parametrize("optimizer", ["sgd", "adam(eps=1e-4)"])
def test_on_cuda_a_run_resumes_bit_for_bit(optimizer: str, images, cuda_device) -> None:
    dataset, saved = prepare(images, cuda_device, validation=0.25), Checkpoints()
    config = dataclasses.replace(SMALL, model="resnet9", optimizer=optimizer)
    train(config, dataset, [saved], log_every=2)
    complete = Trainer(config, dataset, log_every=2)
    result = fit(complete)
    for at in (0, 2, 5):
        resumed = Trainer(config, dataset, log_every=2, state=saved.states[at])
        assert fit(resumed).evaluations[-1].train_loss == result.evaluations[-1].train_loss
        for name, weights in complete.model.state_dict().items():
            assert torch.equal(weights, resumed.model.state_dict()[name]), (at, name)
    # A checkpoint of the CPU as well, whose optimizer computes in another way.
    on_cpu = Checkpoints()
    train(config, prepare(images, CPU, validation=0.25), [on_cpu], log_every=2)
    elsewhere = train(config, dataset, log_every=2, state=on_cpu.states[2])
    assert elsewhere.evaluations[-1].train_loss == pytest.approx(
        result.evaluations[-1].train_loss, rel=0.1
    )
