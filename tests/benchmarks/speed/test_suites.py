"""pytest-benchmark suites, run as `pytest benchmarks` in another process."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lossbench.benchmarks.speed.cases import cases
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


@pytest.mark.slow
def test_every_loss_is_collected_and_no_file_loaded_twice(tmp_path: Path) -> None:
    output = run_suites(tmp_path, "--collect-only")
    assert "warning" not in output
    for name in registry.names():
        for implementation in ("lossbench", "torch"):
            assert len(re.findall(rf"\[{name}-[\dx]+-\w+-{implementation}\]", output)) == 4
    assert "loaded twice []" in output
    everything = run_suites(tmp_path, "--collect-only", "--full")
    assert everything.count("bench_loss[") == 2 * len(list(cases()))


@pytest.mark.slow
def test_ratios_and_machine_are_saved(tmp_path: Path) -> None:
    saved = tmp_path / "saved.json"
    selected = "multilabel-margin and 512x10 and float32"
    output = run_suites(tmp_path, "-k", selected, "--benchmark-json", str(saved))
    record = json.loads(saved.read_text())
    assert {"torch", "threads", "cores", "gpu", "processor"} <= set(record["machine_info"])
    ours, theirs = record["benchmarks"]
    assert ours["group"] == theirs["group"] == "multilabel-margin (512, 10)"
    info = ours["extra_info"]
    assert info["ratio"] > 0
    assert info["gigabytes_per_second"] > 0
    assert info["share_of_copy"] > 0
    assert info["machine"]["torch"] == record["machine_info"]["torch"]
    assert (info["beside"], info["target"]) == ("torch", "≤ 0.85")
    (line,) = (x for x in output.splitlines() if x.startswith("multilabel-margin (512, 10)"))
    assert f"{info['ratio']:.2f} (" in line
    assert "loaded twice []" in output
