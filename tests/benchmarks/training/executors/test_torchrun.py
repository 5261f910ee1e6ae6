import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import get_args

import pytest

from lossbench.benchmarks.commands import compare as comparison
from lossbench.benchmarks.config import Start
from lossbench.benchmarks.console import Reporter
from lossbench.benchmarks.subcommands import CompareCommand
from lossbench.benchmarks.training import checks
from lossbench.benchmarks.training.executors import torchrun as executor

from ...comparisons import compare
from ...rows import equal_but_for_time, rows_of
from ..test_distributed import in_two


def torchrun(tmp_path: Path, *arguments: str) -> subprocess.Popen:
    command = ["-m", "torch.distributed.run", "--nproc-per-node=2", "--max-restarts=2"]
    command += ["--master-addr=127.0.0.1", "--master-port=0", "--rdzv-backend=c10d"]
    command += [
        "--rdzv-endpoint=127.0.0.1:0",
        "-m",
        "lossbench.benchmarks.cli",
        "compare",
        *arguments,
    ]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "XDG_CACHE_HOME": str(tmp_path / "cache")}
    return subprocess.Popen(
        [sys.executable, *command],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.mark.slow
def test_when_a_process_dies_torchrun_resumes_from_the_checkpoint(cats_and_dogs, tmp_path) -> None:
    pictures = cats_and_dogs(tmp_path / "pets", 60)
    arguments = ["--losses", "cross-entropy", "mse", "--data", str(pictures), "--seeds", "1"]
    arguments += ["--width", "4", "--batch-size", "16", "--epochs", "6", "--evaluations", "1"]
    arguments += ["--checkpoint-every", "0"]
    complete = torchrun(tmp_path, *arguments, "--name", "complete")
    out, err = complete.communicate(timeout=240)
    assert complete.returncode == 0, err
    assert "cross-entropy" in out
    broken = torchrun(tmp_path, *arguments, "--name", "broken")
    normal = tmp_path / "runs" / "broken" / "normal"
    run, until = normal / "cross-entropy" / "seed0", time.monotonic() + 120
    while not (run / "resume.pt").exists() and time.monotonic() < until:
        time.sleep(0.01)
    children = Path(f"/proc/{broken.pid}/task/{broken.pid}/children").read_text().split()
    os.kill(int(children[-1]), signal.SIGKILL)
    out, err = broken.communicate(timeout=240)
    assert broken.returncode == 0, err
    for start in get_args(Start):
        whole, pieced = (tmp_path / "runs" / name / start for name in ("complete", "broken"))
        equal_but_for_time(whole, pieced)
    about = json.loads((normal / "experiment.json").read_text())
    assert len(about["resumed"]) == 1


def _compare(rank: int, config, images) -> int:
    checks.open_images = lambda *_, **__: images
    if rank == 0:
        finished = compare(config, "", Reporter(), executor.lead).finished
        executor.release()
        return finished
    executor.follow(Reporter())
    return 0


def test_two_processes_train_the_runs_together(config, images, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(comparison, "write_results", lambda *_: None)
    longer = dataclasses.replace(config, epochs=2, log_every=2)
    assert in_two(_compare, tmp_path, longer, images) == [4, 0]
    alone = compare(dataclasses.replace(longer, name="alone"), "", Reporter()).directory
    for path in alone.glob("*/seed*"):
        one, two = (
            [float(row["train_loss"]) for row in rows_of(d)]
            for d in (path, alone.with_name("SYNTHETIC-small") / path.relative_to(alone))
        )
        assert one == pytest.approx(two, rel=1e-2)


def test_several_processes_need_a_name(monkeypatch, refusal, tmp_path) -> None:

    monkeypatch.setenv("WORLD_SIZE", "2")
    assert not executor.has_several_processes()
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    assert executor.has_several_processes()
    monkeypatch.chdir(tmp_path)
    refusal(lambda: comparison.run(CompareCommand(), ""), "--name")


@pytest.mark.parametrize(
    "command",
    [["tune"], ["evidence", "all"], ["plan"], ["run-one", "runs/x", "0"], ["report", "x"]],
)
def test_other_commands_refuse_several_processes(command, monkeypatch, capsys) -> None:
    from lossbench.benchmarks import cli

    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    assert cli.main(command) == 2
    assert "without torchrun" in capsys.readouterr().err
    # A single process of torchrun is like any other.
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert cli.main(["report", "none"]) == 2
    assert "torchrun" not in capsys.readouterr().err
