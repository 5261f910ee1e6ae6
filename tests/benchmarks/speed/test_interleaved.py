"""Ratios with a clock that moves only with the work, so that they are known exactly."""

import time

import pytest
import torch

from lossbench.benchmarks.speed import interleaved
from lossbench.benchmarks.speed.interleaved import (
    Ratio,
    calls_per_sample,
    interleave,
    synchronised,
    time_ratio,
)


class Clock:
    def __init__(self, monkeypatch) -> None:
        self.now, self.calls = 0.0, []
        monkeypatch.setattr(interleaved.time, "perf_counter", lambda: self.now)

    def work(self, name: str, seconds: float):
        def spend() -> None:
            self.now += seconds
            self.calls.append(name)

        return spend


@pytest.fixture
def clock(monkeypatch) -> Clock:
    return Clock(monkeypatch)


@pytest.mark.parametrize(("work", "reference"), [(2e-3, 1e-3), (1e-5, 4e-5), (0.7, 0.1)])
def test_ratio_of_times(work: float, reference: float, clock) -> None:
    found = time_ratio(clock.work("work", work), clock.work("reference", reference))
    for value in (found.median, found.lower, found.upper):
        assert value == pytest.approx(work / reference, rel=1e-6)
    assert found.pairs >= 9


def test_order_alternates(clock) -> None:
    time_ratio(clock.work("a", 0.01), clock.work("b", 0.01), seconds=0, min_pairs=4)
    assert clock.calls[-8:] == ["a", "b", "b", "a", "a", "b", "b", "a"]


def test_drift_of_the_machine_cancels(clock) -> None:
    def slowing(factor: float):
        def spend() -> None:
            clock.now += factor * (1e-3 + clock.now / 100)

        return spend

    found = time_ratio(slowing(3.0), slowing(1.0), seconds=1.0)
    assert found.median == pytest.approx(3.0, rel=0.05)


def test_pairs_are_taken_until_time_is_up(clock) -> None:
    def value() -> float:
        clock.now += 0.1
        return 2.0

    assert interleave(value, lambda: 4.0, 1.95, 2) == Ratio(0.5, 0.5, 0.5, 20)


def test_short_work_is_repeated(clock) -> None:
    assert calls_per_sample(clock.work("a", 1e-6)) >= 1000
    assert calls_per_sample(clock.work("a", 1.0)) == 1


def test_quartiles() -> None:
    assert Ratio.of([1.0, 2.0, 3.0, 4.0, 5.0]) == Ratio(3.0, 2.0, 4.0, 5)
    assert Ratio.single(2.0, "note") == Ratio(2.0, 2.0, 2.0, 1, "note")
    assert str(Ratio(0.5, 0.25, 1.0, 9)) == "0.50 (0.25 to 1.00)"


def test_cpu_needs_no_synchronisation() -> None:
    assert synchronised(time.time, torch.device("cpu")) is time.time
