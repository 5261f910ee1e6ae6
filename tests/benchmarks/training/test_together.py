import csv
import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from benchmarks.data.batches import prepare
from benchmarks.training import choices, together
from benchmarks.training.run import train
from benchmarks.training.together import WholeBatchNorm2d

from .killed import PROCESSES

NUMBERS = ("train_loss", "train_accuracy", "validation_loss", "logit_mean_abs", "parameter_norm")


def _process(number: int, port: int, task, path: Path, arguments: tuple) -> None:
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "LOCAL_RANK": "0"}
    os.environ |= {"RANK": str(number), "WORLD_SIZE": "2"}
    torch.set_num_threads(1)
    with together.group() as rank:
        torch.save(task(rank, *arguments), path / f"{rank}.pt")


def in_two(task, path: Path, *arguments):
    """What `task(rank, *arguments)` gives in each of two processes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes = [
        PROCESSES.Process(target=_process, args=(number, port, task, path, arguments))
        for number in range(2)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0, 0]
    return [torch.load(path / f"{rank}.pt", weights_only=False) for rank in range(2)]


def _normalised(_rank: int) -> list[torch.Tensor]:
    module, images = normalisation_case()
    whole = WholeBatchNorm2d.of(module)
    share = images[together.share_of(len(images))].requires_grad_()
    output = whole(share)
    output.square().mul(torch.arange(4.0)).sum().backward()
    found = [output, share.grad, whole.weight.grad, whole.bias.grad]
    found += [whole.running_mean, whole.running_var, whole.num_batches_tracked]
    for tensor in found[2:4]:
        torch.distributed.all_reduce(tensor)
    whole.eval()
    return [tensor.detach() for tensor in (*found, whole(share))]


def normalisation_case() -> tuple[nn.BatchNorm2d, torch.Tensor]:
    torch.manual_seed(0)
    module = nn.BatchNorm2d(3)
    nn.init.normal_(module.weight)
    nn.init.normal_(module.bias)
    return module, torch.randn(6, 3, 5, 4) * 3 + 1


def test_normalising_shares_is_normalising_the_batch(tmp_path) -> None:
    one, two = in_two(_normalised, tmp_path)
    module, images = normalisation_case()
    images.requires_grad_()
    output = module(images)
    output.square().mul(torch.arange(4.0)).sum().backward()
    expected = [output, images.grad, module.weight.grad, module.bias.grad]
    expected += [module.running_mean, module.running_var, module.num_batches_tracked]
    module.eval()
    expected.append(module(images))
    for number, tensor in enumerate(expected):
        found = torch.cat([one[number], two[number]]) if number in (0, 1, 7) else one[number]
        torch.testing.assert_close(found, tensor.detach(), rtol=1e-4, atol=1e-5)


def _trained(_rank: int, trial, images) -> list:
    material = prepare(images, torch.device("cpu"), validation=0.25)
    outcome, model = train(trial, material, None, 2)
    return [
        model.state_dict(),
        [dataclasses.astuple(p)[:-1] for p in outcome.points],
        outcome.moved,
    ]


@pytest.mark.parametrize(
    ("loss", "model"),
    [("cross-entropy", "convnet"), ("bce", "convnet"), ("mse", "plainnet"), ("zero-one", "lenet")],
)
def test_two_processes_are_one_on_the_same_batches(images, tmp_path, loss, model) -> None:
    width = None if model == "lenet" else 4
    trial = choices.Trial(
        loss, seed=1, learning_rate=0.02, model=model, width=width, epochs=2, batch_size=16
    )
    trial = dataclasses.replace(trial, validation=0.25, evaluations=2, test=True)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    alone = _trained(0, trial, images)
    torch.set_num_threads(threads)
    for found in in_two(_trained, tmp_path, trial, images):
        for name, weight in alone[0].items():
            torch.testing.assert_close(found[0][name], weight, rtol=2e-3, atol=2e-4, msg=name)
        np.testing.assert_allclose(np.array(found[1]), np.array(alone[1]), rtol=5e-3, atol=1e-4)
        assert found[2] == pytest.approx(alone[2], rel=1e-3, abs=1e-6)


def test_shares_are_equal_or_refused(monkeypatch, refusal) -> None:
    assert together.share_of(7) == slice(0, 7)
    monkeypatch.setattr(together, "size", lambda: 3)
    monkeypatch.setattr(together, "rank", lambda: 2)
    assert together.share_of(12) == slice(8, 12)
    refusal(lambda: together.share_of(64), "--batch-size 64", "multiple of 3")


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A directory of cats and dogs, of which the cats are brighter."""
    rng = np.random.default_rng(0)
    for name, least in (("cats", 100), ("dogs", 0)):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for number in range(60):
            pixels = rng.integers(least, least + 150, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "pictures" / name / f"{number}.png")
    return tmp_path / "pictures"


def torchrun(tmp_path: Path, *arguments: str) -> subprocess.Popen:
    command = ["-m", "torch.distributed.run", "--nproc-per-node=2", "--max-restarts=2"]
    command += ["--master-addr=127.0.0.1", "--master-port=0", "--rdzv-backend=c10d"]
    command += ["--rdzv-endpoint=127.0.0.1:0", "-m", "benchmarks.cli", "compare", *arguments]
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


def rows_of(directory: Path) -> list[dict[str, str]]:
    with (directory / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    return [row | {"seconds": "", "images_per_second": ""} for row in rows]


def test_when_a_process_dies_torchrun_goes_on_from_the_checkpoint(pictures, tmp_path) -> None:
    arguments = ["--losses", "cross-entropy", "mse", "--data", str(pictures), "--seeds", "1"]
    arguments += ["--width", "4", "--batch-size", "16", "--epochs", "12", "--evaluations", "1"]
    arguments += ["--checkpoint-every", "0"]
    whole = torchrun(tmp_path, *arguments, "--name", "whole")
    out, err = whole.communicate(timeout=240)
    assert whole.returncode == 0, err
    assert "cross-entropy" in out
    broken = torchrun(tmp_path, *arguments, "--name", "broken")
    run, until = tmp_path / "runs" / "broken" / "cross-entropy" / "seed0", time.monotonic() + 120
    while not (run / "resume.pt").exists() and time.monotonic() < until:
        time.sleep(0.01)
    children = Path(f"/proc/{broken.pid}/task/{broken.pid}/children").read_text().split()
    os.kill(int(children[-1]), signal.SIGKILL)
    out, err = broken.communicate(timeout=240)
    assert broken.returncode == 0, err
    assert rows_of(tmp_path / "runs" / "broken") == rows_of(tmp_path / "runs" / "whole")
    about = json.loads((tmp_path / "runs" / "broken" / "experiment.json").read_text())
    assert len(about["resumed"]) == 1


def test_without_a_name_it_could_not_be_found_again(monkeypatch, refusal, tmp_path) -> None:
    from benchmarks import cli

    monkeypatch.setenv("WORLD_SIZE", "2")
    assert not together.started_together()
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    assert together.started_together()
    monkeypatch.chdir(tmp_path)
    refusal(lambda: cli.compare(cli.Compare(), ""), "--name")
