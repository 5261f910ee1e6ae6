import copy
import dataclasses
import shutil
from typing import Any

import pytest
import torch
import torch._dynamo.utils

from lossbench import models
from lossbench.benchmarks.data.batches import prepare
from lossbench.benchmarks.training.executors.cuda_streams import in_turns
from lossbench.benchmarks.training.result import RunConfig
from lossbench.benchmarks.training.step import build_optimizer, one_cycle, set_learning_rate
from lossbench.benchmarks.training.train import Callback, train, training
from lossbench.losses import registry

CPU = torch.device("cpu")
SMALL = RunConfig("cross-entropy", seed=0, learning_rate=0.02, width=4, epochs=2, batch_size=16)
cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")


@pytest.fixture
def deterministic():
    """Of some convolutions the fastest algorithm adds up in any order."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


class Kept(Callback):
    """Keeps all that is seen of a training."""

    def __init__(self) -> None:
        self.windows, self.measured = [], []

    def window(self, step, steps, window) -> None:  # noqa: ARG002
        self.windows.append(window)

    def stepped(self, state) -> None:
        self.measured += state()["probes"]


def same(one: tuple, other: tuple) -> None:
    """Bit for bit the same outcome, network and windows."""
    (outcome, network, kept), (outcome_too, network_too, kept_too) = one, other
    for name, weights in network.state_dict().items():
        assert torch.equal(weights, network_too.state_dict()[name]), name
    for a, b in zip(outcome.points, outcome_too.points, strict=True):
        left, right = (dataclasses.astuple(p)[:-1] for p in (a, b))
        assert left == pytest.approx(right, rel=0, abs=0, nan_ok=True)
    for a, b in zip(kept.windows, kept_too.windows, strict=True):
        assert torch.equal(a.logit_log10, b.logit_log10)
        assert a.layers == b.layers


def trained(trial: RunConfig, images, device: torch.device) -> tuple:
    kept = Kept()
    outcome, network = train(trial, prepare(images, device, validation=0.25), kept, log_every=2)
    return outcome, network, kept


@pytest.mark.parametrize("steps", [1, 2, 3, 10, 312])
def test_one_cycle_rises_for_a_quarter_and_falls_to_nothing(steps: int) -> None:
    rates = [one_cycle(step, steps) for step in range(steps)]
    assert all(0 < rate <= 1 for rate in rates)
    peak = rates.index(max(rates))
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert peak <= steps / 4 + 1


def test_weight_decay_spares_biases_and_normalisation() -> None:
    model = models.build("convnet", width=4)
    groups = build_optimizer(0.1, model).param_groups
    decayed = {id(p) for p in groups[0]["params"]}
    assert groups[0]["weight_decay"] == 0.1
    assert groups[1]["weight_decay"] == 0
    for name, parameter in model.named_parameters():
        assert (id(parameter) in decayed) == (parameter.dim() > 1), name
    assert len(groups[0]["params"]) + len(groups[1]["params"]) == len(list(model.parameters()))


@pytest.mark.parametrize("device", [CPU, pytest.param(torch.device("cuda"), marks=cuda)])
def test_a_step_is_taken_at_the_rate_that_was_set(device: torch.device) -> None:
    model = torch.nn.Linear(3, 1).to(device)
    optimiser = build_optimizer(0.0, model)
    for rate in (0.5, 0.25):
        before = model.weight.detach().clone()
        optimiser.zero_grad()
        model.weight.grad = torch.ones_like(model.weight)
        optimiser.state.clear()  # without momentum's share of the step before
        set_learning_rate(optimiser, rate)
        optimiser.step()
        # Nesterov's first step is the gradient and 0.9 of it.
        torch.testing.assert_close(before - model.weight, torch.full_like(before, 1.9 * rate))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_outputs_and_loss_stay_float32(precision: str, images) -> None:
    trial = dataclasses.replace(SMALL, precision=precision, evaluations=1)
    outcome, network, kept = trained(trial, images, CPU)
    assert {p.dtype for p in network.parameters()} == {torch.float32}
    assert outcome.validation.outputs.dtype == "float32"
    assert {numbers.dtype for _, numbers in kept.measured} == {torch.float32}


def test_bfloat16_trains_to_other_numbers_near_those_of_float32(images) -> None:
    one, two = (
        trained(dataclasses.replace(SMALL, precision=precision), images, CPU)[0]
        .points[1]
        .train_loss
        for precision in ("float32", "bfloat16")
    )
    assert one != two
    assert one == pytest.approx(two, rel=0.05)


def test_the_memory_layout_changes_rounding_alone(images) -> None:
    losses = [
        trained(dataclasses.replace(SMALL, channels_last=last), images, CPU)[0].points[1].train_loss
        for last in (True, False)
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


@pytest.mark.skipif(shutil.which("c++") is None, reason="torch.compile needs a compiler")
def test_a_compiled_network_is_trained_to_the_same_within_rounding(images) -> None:
    seen: Any = torch._dynamo.utils.counters["stats"]
    losses = []
    for compiled in (False, True):
        before = seen["unique_graphs"]
        outcome, *_ = trained(dataclasses.replace(SMALL, compile=compiled), images, CPU)
        assert (seen["unique_graphs"] > before) == compiled
        losses.append(outcome.points[1].train_loss)
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


@cuda
@pytest.mark.parametrize("loss", registry.names())
@pytest.mark.usefixtures("deterministic")
def test_a_graph_takes_the_steps_that_are_taken_without(loss: str, images) -> None:
    trial = dataclasses.replace(SMALL, loss=loss)
    device = torch.device("cuda")
    without = trained(dataclasses.replace(trial, cuda_graphs=False), images, device)
    same(trained(trial, images, device), without)


@cuda
@pytest.mark.parametrize("model", models.names())
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.usefixtures("deterministic")
def test_every_model_is_trained_as_a_graph(model: str, precision: str, images) -> None:
    trial = dataclasses.replace(SMALL, model=model, precision=precision)
    device = torch.device("cuda")
    without = trained(dataclasses.replace(trial, cuda_graphs=False), images, device)
    same(trained(trial, images, device), without)


@cuda
@pytest.mark.usefixtures("deterministic")
def test_on_cuda_a_state_is_gone_on_from_bit_for_bit(images) -> None:
    device = torch.device("cuda")
    material = prepare(images, device, validation=0.25)
    whole, states = Kept(), []

    class Saved(Callback):
        def stepped(self, state) -> None:
            # Its tensors are the training's own.
            states.append(copy.deepcopy(state()))

    trial = dataclasses.replace(SMALL, model="resnet9")
    train(trial, material, Saved(), log_every=2)
    outcome, network = train(trial, material, whole, log_every=2)
    # One of the CPU as well, whose optimiser computes in another way.
    on_cpu = []

    class SavedThere(Callback):
        def stepped(self, state) -> None:
            on_cpu.append(copy.deepcopy(state()))

    train(trial, prepare(images, CPU, validation=0.25), SavedThere(), log_every=2)
    elsewhere, _ = train(trial, material, log_every=2, state=on_cpu[2])
    assert elsewhere.points[-1].train_loss == pytest.approx(outcome.points[-1].train_loss, rel=0.1)
    for at in (0, 2, 5):
        again, other = train(trial, material, log_every=2, state=states[at])
        assert again.points[-1].train_loss == outcome.points[-1].train_loss
        for name, weights in network.state_dict().items():
            assert torch.equal(weights, other.state_dict()[name]), (at, name)


@cuda
@pytest.mark.usefixtures("deterministic")
def test_on_cuda_trainings_side_by_side_come_to_what_each_comes_to_alone(images) -> None:
    device = torch.device("cuda")
    material = prepare(images, device, validation=0.25)
    trials = [
        dataclasses.replace(SMALL, loss=loss, seed=seed, epochs=8)
        for loss in ("cross-entropy", "sigmoid-mse", "mse", "bernoulli-sum")
        for seed in range(5)
    ]
    kept = {trial: Kept() for trial in trials}
    tasks = ((t, training(t, material, kept[t], log_every=2)) for t in trials)
    for trial, ended in in_turns(tasks, device, most=None):
        same((*ended.result(), kept[trial]), trained(trial, images, device))


@cuda
@pytest.mark.usefixtures("deterministic")
@pytest.mark.parametrize("model", models.names())
def test_on_cuda_deterministic_algorithms_give_the_same_bits_twice(model: str, images) -> None:
    trial, device = dataclasses.replace(SMALL, model=model), torch.device("cuda")
    same(trained(trial, images, device), trained(trial, images, device))
