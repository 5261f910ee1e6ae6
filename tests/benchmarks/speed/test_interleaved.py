import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from lossbench.benchmarks.speed import interleaved
from lossbench.benchmarks.speed.interleaved import Ratio, calls_for, ratio, synchronised
from lossbench.losses import registry

ROOT = Path(interleaved.__file__).resolve().parents[2]


class Clock:
    """A clock that only moves when work is done, so that a ratio can be known exactly."""

    def __init__(self, monkeypatch) -> None:
        self.now, self.done = 0.0, []
        monkeypatch.setattr(interleaved.time, "perf_counter", lambda: self.now)

    def work(self, name: str, seconds: float):
        def spend() -> None:
            self.now += seconds
            self.done.append(name)

        return spend


@pytest.mark.parametrize(("ours", "theirs"), [(2e-3, 1e-3), (1e-5, 4e-5), (0.7, 0.1)])
def test_a_ratio_is_that_of_the_times(ours: float, theirs: float, monkeypatch) -> None:
    clock = Clock(monkeypatch)
    found = ratio(clock.work("ours", ours), clock.work("theirs", theirs))
    for value in (found.median, found.lower, found.upper):
        assert value == pytest.approx(ours / theirs, rel=1e-6)
    assert found.pairs >= 9


def test_the_two_are_measured_in_turns_and_neither_always_first(monkeypatch) -> None:
    clock = Clock(monkeypatch)
    ratio(clock.work("a", 0.01), clock.work("b", 0.01), seconds=0, least=4)
    assert clock.done[-8:] == ["a", "b", "b", "a", "a", "b", "b", "a"]


def test_drift_of_the_machine_cancels(monkeypatch) -> None:
    clock = Clock(monkeypatch)

    def slower_and_slower(factor: float):
        def spend() -> None:
            clock.now += factor * (1e-3 + clock.now / 100)

        return spend

    found = ratio(slower_and_slower(3.0), slower_and_slower(1.0), seconds=1.0)
    assert found.median == pytest.approx(3.0, rel=0.05)


def test_short_work_is_repeated_until_it_can_be_timed(monkeypatch) -> None:
    clock = Clock(monkeypatch)
    assert calls_for(clock.work("a", 1e-6)) >= 1000
    assert calls_for(clock.work("a", 1.0)) == 1


def test_on_the_cpu_there_is_nothing_to_wait_for() -> None:
    work = time.time
    assert synchronised(work, torch.device("cpu")) is work


def test_a_ratio_reads_well() -> None:
    assert str(Ratio(0.5, 0.25, 1.0, 9)) == "0.50 (0.25 to 1.00)"


def test_the_suite_records_ratios_and_the_machine(tmp_path: Path) -> None:
    saved = tmp_path / "saved.json"
    command = [
        *(sys.executable, "-m", "pytest", "benchmarks", "-q", "-p", "no:cacheprovider"),
        *("-k", "bench_loss and cross-entropy and 64x2 and float32"),
        *("--benchmark-json", str(saved), "--benchmark-max-time=0.01"),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(saved.read_text())
    assert {"torch", "threads", "cores", "gpu", "processor"} <= set(report["machine_info"])
    rows = {row["name"]: row["extra_info"] for row in report["benchmarks"]}
    ours = {name: info for name, info in rows.items() if "lossbench" in name}
    assert len(rows) == 2 * len(ours) >= 4
    assert all(info["ratio_to_torch"] > 0 for info in ours.values())
    assert "relative to the counterpart" in done.stdout


def test_every_registered_loss_is_measured() -> None:
    command = [sys.executable, "-m", "pytest", "benchmarks", "--collect-only", "-q"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    for name in registry.names():
        for direction in ("forward", "forward_backward"):
            assert f"-lossbench-{name}-" in done.stdout
            assert f"-torch-{name}-" in done.stdout
            assert f"-float32-{direction}]" in done.stdout
