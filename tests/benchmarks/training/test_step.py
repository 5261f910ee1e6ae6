import gc

import pytest
import torch

from lossbench.benchmarks.training.step import CudaGraph, side_stream

CPU = torch.device("cpu")


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
