import dataclasses
import os
import socket
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from lossbench.benchmarks.config import RunConfig
from lossbench.benchmarks.data.batches import prepare
from lossbench.benchmarks.records.reading import NUMBERS
from lossbench.benchmarks.training import distributed
from lossbench.benchmarks.training.distributed import GlobalBatchNorm
from lossbench.benchmarks.training.executors import torchrun
from lossbench.benchmarks.training.train import Trainer, fit

from ..processes import PROCESSES


def _process(number: int, port: int, task, path: Path, arguments: tuple) -> None:
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "LOCAL_RANK": "0"}
    os.environ |= {"RANK": str(number), "WORLD_SIZE": "2"}
    torch.set_num_threads(1)
    with torchrun.process_group() as rank:
        torch.save(task(rank, *arguments), path / f"{rank}.pt")


def in_two(task, path: Path, *arguments):
    """Return the values of `task(rank, *arguments)` in two processes."""
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
    norm = GlobalBatchNorm.from_local(module)
    part = images[distributed.rank_slice(len(images))].requires_grad_()
    output = norm(part)
    output.square().mul(torch.arange(4.0)).sum().backward()
    found = [output, part.grad, norm.weight.grad, norm.bias.grad]
    found += [norm.running_mean, norm.running_var, norm.num_batches_tracked]
    for tensor in found[2:4]:
        torch.distributed.all_reduce(tensor)
    norm.eval()
    return [tensor.detach() for tensor in (*found, norm(part))]


def normalisation_case() -> tuple[nn.BatchNorm2d, torch.Tensor]:
    torch.manual_seed(0)
    module = nn.BatchNorm2d(3)
    nn.init.normal_(module.weight)
    nn.init.normal_(module.bias)
    return module, torch.randn(6, 3, 5, 4) * 3 + 1


def test_normalizing_parts_is_normalizing_the_batch(tmp_path) -> None:
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


def _trained(_rank: int, config, images) -> list:
    dataset = prepare(images, torch.device("cpu"), validation=0.25)
    trainer = Trainer(config, dataset, log_every=2)
    result = fit(trainer)
    evaluations = [
        [getattr(each, name) for name in NUMBERS if name != "seconds"]
        for each in result.evaluations
    ]
    return [trainer.model.state_dict(), evaluations, result.parameter_distance]


@pytest.mark.parametrize(
    ("loss", "model", "optimizer"),
    [
        ("cross-entropy", "convnet", "sgd"),
        ("bce", "convnet", "adam(eps=1e-3)"),
        ("mse", "plainnet", "sgd(momentum=0.5)"),
        ("zero-one", "lenet", "sgd"),
        ("mse", f"{__package__}.own_networks:Odd", "sgd"),
    ],
)
def test_two_processes_are_one_on_the_same_batches(
    images, tmp_path, loss, model, optimizer
) -> None:
    width = 4 if model in ("convnet", "plainnet") else None
    config = RunConfig(
        loss, seed=1, learning_rate=0.02, model=model, width=width, epochs=2, batch_size=16
    )
    config = dataclasses.replace(config, validation=0.25, evaluations=2, test=True)
    config = dataclasses.replace(config, optimizer=optimizer, schedule="cosine")
    alone = _trained(0, config, images)
    for found in in_two(_trained, tmp_path, config, images):
        for name, weight in alone[0].items():
            torch.testing.assert_close(found[0][name], weight, rtol=2e-3, atol=2e-4, msg=name)
        np.testing.assert_allclose(np.array(found[1]), np.array(alone[1]), rtol=5e-3, atol=1e-4)
        assert found[2] == pytest.approx(alone[2], rel=1e-3, abs=1e-6)


def test_batches_that_cannot_be_divided_are_refused(monkeypatch, refusal) -> None:
    assert distributed.rank_slice(7) == slice(0, 7)
    monkeypatch.setattr(distributed, "world_size", lambda: 3)
    monkeypatch.setattr(distributed, "rank", lambda: 2)
    assert distributed.rank_slice(12) == slice(8, 12)
    refusal(lambda: distributed.rank_slice(64), "--batch-size 64", "multiple of 3")
