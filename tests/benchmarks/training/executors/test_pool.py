import dataclasses
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from lossbench.benchmarks.config import RunConfig
from lossbench.benchmarks.console import Reporter
from lossbench.benchmarks.data import open_images
from lossbench.benchmarks.data.batches import prepare
from lossbench.benchmarks.errors import UserError
from lossbench.benchmarks.training.executors import pool as module
from lossbench.benchmarks.training.executors.pool import Pool, dataset_arguments
from lossbench.benchmarks.training.train import train
from lossbench.losses import registry

from ...processes import PROCESSES

CPU = torch.device("cpu")


@pytest.fixture
def configs(tmp_path: Path, monkeypatch, cats_and_dogs) -> list[RunConfig]:
    """Four runs on a folder of noise, which worker processes can open as well."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(module.multiprocessing, "get_context", lambda _: PROCESSES)
    pets = cats_and_dogs(tmp_path / "pets")
    return [
        RunConfig(
            loss,
            seed,
            0.02,
            data=str(pets),
            image_size=32,
            width=4,
            epochs=1,
            batch_size=16,
            validation=0.25,
            test=True,
            optimizer="adam" if seed else "torch.optim:RMSprop(alpha=0.9)",
            schedule="cosine",
        )
        for loss in ("mse", "nll")
        for seed in (0, 1)
    ]


def kept(directory: Path) -> dict[str, int]:
    """When each result was written."""
    return {path.name: path.stat().st_mtime_ns for path in (directory / "store").glob("*.npz")}


def test_processes_have_the_results_of_one_thread(configs: list[RunConfig], tmp_path: Path) -> None:
    with Pool(tmp_path / "store", CPU, Reporter(), workers=2) as pool:
        results = pool.train([*configs, configs[0]])
    assert len(kept(tmp_path)) == 4
    assert [result.config for result in results] == [*configs, configs[0]]
    for config, result in zip(configs, results, strict=False):
        images = open_images(config.data, config.image_size, say=print)
        alone = train(config, prepare(images, CPU, **dataset_arguments(config)))
        assert np.array_equal(alone.test.outputs, result.test.outputs)
        assert alone.parameter_distance == result.parameter_distance


@pytest.mark.parametrize(
    "drawn", [{"train_images": 20}, {"label_noise": 0.4}, {"imbalance": 3.0}, {}]
)
def test_images_are_drawn_by_the_seed_of_the_run(images, drawn) -> None:
    config = RunConfig("mse", 0, 0.1, validation=0.25, **drawn)
    for seed in (0, 1):
        seeded = dataclasses.replace(config, seed=seed)
        found = prepare(images, CPU, **dataset_arguments(seeded)).train
        expected = prepare(images, CPU, validation=0.25, seed=seed, **drawn).train
        assert torch.equal(found.rows, expected.rows)
        assert torch.equal(found.labels, expected.labels)


def test_runs_are_trained_once(configs: list[RunConfig], tmp_path: Path) -> None:
    with Pool(tmp_path / "store", CPU, Reporter(), workers=1) as pool:
        first = pool.train(configs[:2])
    before = kept(tmp_path)
    with Pool(tmp_path / "store", CPU, Reporter(), workers=1) as pool:
        again = pool.train(configs[:3])
    assert before.items() <= kept(tmp_path).items()
    assert len(kept(tmp_path)) == 3
    assert [o.parameter_distance for o in again[:2]] == [o.parameter_distance for o in first]


def test_a_killed_worker_is_one_line_and_finished_runs_are_kept(
    configs: list[RunConfig], tmp_path: Path, refusal
) -> None:
    with Pool(tmp_path / "store", CPU, Reporter(), workers=1) as pool:
        pool.train(configs[:1])
        (worker,) = module.multiprocessing.active_children()
        os.kill(worker.pid, signal.SIGKILL)
        worker.join()
        refusal(lambda: pool.train(configs), "killed", "--workers 1")
    with Pool(tmp_path / "store", CPU, Reporter(), workers=1) as pool:
        pool.train(configs[:1])
        assert pool.executor is None


def test_missing_images_are_refused(configs: list[RunConfig], tmp_path: Path) -> None:
    nowhere = dataclasses.replace(configs[0], data=str(tmp_path / "nowhere"))
    with Pool(tmp_path / "store", CPU, Reporter()) as pool, pytest.raises(UserError):
        pool.train([nowhere])
    assert not module.multiprocessing.active_children()


def test_an_interruption_leaves_no_process_behind(configs: list[RunConfig], tmp_path: Path) -> None:
    def interrupted() -> None:
        with Pool(tmp_path, CPU, Reporter(), workers=1) as pool:
            pool.train(configs[:1])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    for child in module.multiprocessing.active_children():
        child.join(10)
    assert not module.multiprocessing.active_children()


def test_a_worker_finds_a_loss_of_ones_own(configs: list[RunConfig], tmp_path: Path) -> None:
    (tmp_path / "pool_losses.py").write_text(
        "def squared(z, y):\n    return ((z - y) ** 2).mean()\n"
    )
    # In this process only: the worker's own registry does not have it.
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        patch.setattr(registry, "_entries", dict(registry._entries))
        name = registry.entry("pool_losses:squared").name
        own = dataclasses.replace(configs[0], loss=name)
        with Pool(tmp_path / "store", CPU, Reporter(), workers=1) as pool:
            path = pool.cache.path(own, "print")
            result, squared = pool.train([own, configs[0]])
        assert np.allclose(result.test.outputs, squared.test.outputs, atol=1e-4)
        # What it takes is part of what its result depends on.
        patch.setitem(registry._locations, name, "pool_losses:squared=binary,logits,sign")
        assert pool.cache.path(own, "print") != path
