"""Ratios with a clock that moves only with the work, so that they are known exactly."""

import time

import pytest
import torch

from lossbench.benchmarks.speed import interleaved
from lossbench.benchmarks.speed.interleaved import (
    Ratio,
    calls_per_sample,
    copy_bandwidth,
    fastest,
    interleave,
    sample,
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

    found = interleave(value, lambda: 4.0, 1.95, 2)
    assert found == Ratio(0.5, 0.5, 0.5, 20, value=2.0, reference=4.0)


def test_short_work_is_repeated(clock) -> None:
    assert calls_per_sample(clock.work("a", 1e-6)) >= 1000
    assert calls_per_sample(clock.work("a", 0.05)) == 1
    clock.calls.clear()
    assert calls_per_sample(clock.work("slow", 1.0)) == 1
    assert clock.calls == ["slow"]


def test_a_sample_is_the_seconds_of_one_call(clock) -> None:
    assert sample(clock.work("a", 0.25), 8) == pytest.approx(0.25)
    found = time_ratio(clock.work("a", 0.25), clock.work("b", 0.5))
    assert (found.value, found.reference) == pytest.approx((0.25, 0.5))


def test_the_fastest_of_several_is_found(clock) -> None:
    works = [clock.work("slow", 2e-3), clock.work("fast", 1e-4), clock.work("slowest", 0.3)]
    assert fastest(works) is works[1]
    assert fastest(works[:1]) is works[0]


def test_a_copy_reads_and_writes_the_bytes(monkeypatch) -> None:
    copied = []
    monkeypatch.setattr(torch.Tensor, "copy_", lambda to, source: copied.append((to, source)))
    monkeypatch.setattr(interleaved, "sample", lambda work, _calls: work() or 0.5)
    copy_bandwidth.cache_clear()
    assert copy_bandwidth(4096) == 8192
    assert sum(x.numel() * x.element_size() for x in copied[0]) == 4096
    copy_bandwidth.cache_clear()


def test_quartiles() -> None:
    assert Ratio.of([1.0, 2.0, 3.0, 4.0, 5.0]) == Ratio(3.0, 2.0, 4.0, 5)
    assert Ratio.single(2.0, "note") == Ratio(2.0, 2.0, 2.0, 1, "note")
    assert str(Ratio(0.5, 0.25, 1.0, 9)) == "0.50 (0.25 to 1.00)"


def test_cpu_needs_no_synchronisation() -> None:
    assert synchronised(time.time, torch.device("cpu")) is time.time
