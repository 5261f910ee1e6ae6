import gc

import pytest
import torch

from lossbench import models
from lossbench.benchmarks.training.step import (
    CudaGraph,
    build_optimizer,
    one_cycle,
    set_learning_rate,
    side_stream,
)

CPU = torch.device("cpu")
cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")


@pytest.mark.parametrize("steps", [1, 2, 3, 10, 312])
def test_one_cycle_rises_for_a_quarter_and_falls_to_zero(steps: int) -> None:
    rates = [one_cycle(step, steps) for step in range(steps)]
    assert all(0 < rate <= 1 for rate in rates)
    peak = rates.index(max(rates))
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert peak <= steps / 4 + 1


def test_weight_decay_spares_biases_and_normalization() -> None:
    model = models.build("convnet", width=4)
    groups = build_optimizer(0.1, model).param_groups
    decayed = {id(p) for p in groups[0]["params"]}
    assert (groups[0]["weight_decay"], groups[1]["weight_decay"]) == (0.1, 0)
    for name, parameter in model.named_parameters():
        assert (id(parameter) in decayed) == (parameter.dim() > 1), name
    assert len(groups[0]["params"]) + len(groups[1]["params"]) == len(list(model.parameters()))


@pytest.mark.parametrize("device", [CPU, pytest.param(torch.device("cuda"), marks=cuda)])
def test_a_step_uses_the_rate_that_was_set(device: torch.device) -> None:
    model = torch.nn.Linear(3, 1).to(device)
    optimizer = build_optimizer(0.0, model)
    for rate in (0.5, 0.25):
        before = model.weight.detach().clone()
        optimizer.zero_grad()
        model.weight.grad = torch.ones_like(model.weight)
        optimizer.state.clear()  # no momentum from the step before
        set_learning_rate(optimizer, rate)
        optimizer.step()
        # The first Nesterov step is the gradient and 0.9 of it.
        torch.testing.assert_close(before - model.weight, torch.full_like(before, 1.9 * rate))


def test_a_tensor_rate_is_filled_in_place() -> None:
    optimizer = torch.optim.SGD(torch.nn.Linear(1, 1).parameters(), lr=torch.tensor(0.0))
    rate = optimizer.param_groups[0]["lr"]
    set_learning_rate(optimizer, 0.5)
    assert optimizer.param_groups[0]["lr"] is rate
    assert rate == 0.5


class FakeGraph:
    """Stands in for torch.cuda.CUDAGraph on the CPU: its replay calls the function again."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def capture_begin(self) -> None:
        assert not gc.isenabled()
        self.events.append("begin")

    def capture_end(self) -> None:
        self.events.append("end")

    def replay(self) -> None:
        self.events.append("replay")
        self.output.copy_(2 * self.inputs[0])


def test_a_graph_is_captured_after_two_calls_and_replayed_with_new_inputs(monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "CUDAGraph", FakeGraph)
    calls = []

    def double(x: torch.Tensor) -> torch.Tensor:
        calls.append(x)
        y = 2 * x
        if graph.graph is not None:
            graph.graph.inputs, graph.graph.output = [x], y
        return y

    graph = CudaGraph()
    outputs = [graph(double, torch.tensor([float(k)])) for k in range(5)]
    assert [float(each) for each in outputs] == [0, 2, 4, 6, 8]
    assert len(calls) == 3
    assert graph.graph.events == ["begin", "end", "replay", "replay", "replay"]
    assert gc.isenabled()


def test_a_failed_capture_ends_it_and_collects_garbage_again(monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "CUDAGraph", FakeGraph)
    graph = CudaGraph()
    graph.calls = graph.EAGER_CALLS
    with pytest.raises(ZeroDivisionError):
        graph(lambda x: x / (1 // 0), torch.zeros(1))
    assert graph.graph.events == ["begin", "end"]
    assert gc.isenabled()


def test_on_the_cpu_a_step_is_called_without_a_stream() -> None:
    with side_stream(CPU)():
        assert torch.add(torch.ones(1), torch.ones(1)) == 2
