"""A small run on the images of noise, and what its callbacks saw."""

import dataclasses

import pytest
import torch

from lossbench.benchmarks.config import RunConfig
from lossbench.benchmarks.data.batches import prepare
from lossbench.benchmarks.training.train import Callback, Trainer, fit

CPU = torch.device("cpu")
cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
SMALL = RunConfig("cross-entropy", seed=0, learning_rate=0.02, width=4, epochs=2, batch_size=16)


class History(Callback):
    """Records all calls of its hooks."""

    def __init__(self) -> None:
        self.stats, self.values, self.results = [], [], []

    def on_gradient_stats(self, trainer, stats) -> None:
        self.stats.append((trainer.global_step - 1, stats))

    def on_step_end(self, trainer) -> None:
        self.values += trainer.state_dict()["gradient_steps"]

    def on_result(self, _trainer, result) -> None:
        self.results.append(result)


def fitted(config: RunConfig, images, device: torch.device = CPU) -> tuple:
    """Train a run; return its result, network and history."""
    history = History()
    trainer = Trainer(config, prepare(images, device, validation=0.25), [history], log_every=2)
    return fit(trainer), trainer.model, history


def assert_same(one: tuple, other: tuple) -> None:
    """Assert that two runs have the same bits: network, evaluations and statistics."""
    (result, network, history), (result_2, network_2, history_2) = one, other
    for name, weights in network.state_dict().items():
        assert torch.equal(weights, network_2.state_dict()[name]), name
    for a, b in zip(result.evaluations, result_2.evaluations, strict=True):
        # As text, because NaN is not equal to itself.
        left, right = (repr(dataclasses.replace(e, seconds=0.0)) for e in (a, b))
        assert left == right
    for (_, a), (_, b) in zip(history.stats, history_2.stats, strict=True):
        assert torch.equal(a.logit_log10, b.logit_log10)
        assert a.layers == b.layers
