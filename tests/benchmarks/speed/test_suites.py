"""pytest-benchmark suites, run as `pytest benchmarks` in another process."""

import json
import math
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from lossbench.benchmarks.speed.workloads import loss_inputs
from lossbench.losses import registry

ROOT = Path(__file__).resolve().parents[3]

CHECK = f"""
import sys
from pathlib import Path

def pytest_sessionfinish(session):
    names = {{}}
    for name, module in list(sys.modules.items()):
        path = Path(getattr(module, "__file__", None) or "/").resolve()
        if path.is_relative_to({str(ROOT)!r}) and ".venv" not in path.parts:
            names.setdefault(path, {{}})[id(module)] = name
    print("loaded twice", [sorted(each.values()) for each in names.values() if len(each) > 1])
"""


def run_suites(tmp_path: Path, *arguments: str) -> str:
    (tmp_path / "check_modules.py").write_text(CHECK)
    # A process of xdist's measures nothing.
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_XDIST")}
    environment = {**inherited, "PYTHONPATH": str(tmp_path), "PYTEST_ADDOPTS": ""}
    command = [sys.executable, "-m", "pytest", "benchmarks", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, "-s", "-p", "check_modules", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_every_loss_has_cases() -> None:
    suite = runpy.run_path(str(ROOT / "benchmarks/speed/suites/bench_losses.py"))
    cases = [case.values for case in suite["cases"]()]
    assert {name for name, *_ in cases} == set(registry.names())
    for name, shape, dtype in cases:
        binary = registry.entry(name).task == "binary"
        assert len(shape) == 2 - binary
        if dtype == torch.float32 and math.prod(shape) < 10_000:
            input, target = loss_inputs(registry.entry(name), shape, dtype, torch.device("cpu"))
            assert (input.shape, input.dtype) == (shape, dtype)
            assert registry.get(name)(input, target).isfinite().all()


@pytest.mark.slow
def test_every_loss_is_collected_and_no_file_loaded_twice(tmp_path: Path) -> None:
    output = run_suites(tmp_path, "--collect-only")
    for name in registry.names():
        assert f"[lossbench-{name}-" in output.replace("cpu-", "")
        assert f"[torch-{name}-" in output.replace("cpu-", "")
    assert "loaded twice []" in output


@pytest.mark.slow
def test_ratios_and_machine_are_saved(tmp_path: Path) -> None:
    saved = tmp_path / "saved.json"
    selected = "bench_loss and cross-entropy and 64x2 and float32"
    options = ["-k", selected, "--benchmark-json", str(saved), "--benchmark-max-time=0.01"]
    output = run_suites(tmp_path, *options)
    record = json.loads(saved.read_text())
    assert {"torch", "threads", "cores", "gpu", "processor"} <= set(record["machine_info"])
    infos = {row["name"]: row["extra_info"] for row in record["benchmarks"]}
    assert len(infos) >= 4
    assert all(info["ratio_to_torch"] > 0 for info in infos.values())
    assert "relative to the counterpart" in output
    assert "loaded twice []" in output
