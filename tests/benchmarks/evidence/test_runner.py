"""The list of claims, and the facts about the runs of a claim."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from lossbench.benchmarks.config import RunConfig
from lossbench.benchmarks.errors import UserError
from lossbench.benchmarks.evidence import runner
from lossbench.benchmarks.report.provenance import data_items

from .worlds import result

CONFIG = RunConfig("mse", 0, 0.1)


def facts(images, **counts):
    used = {
        config: result(config, counts=each)
        for seed, each in counts.items()
        for config in [replace(CONFIG, seed=int(seed[1:]))]
    }
    pool = SimpleNamespace(image_set=lambda *_: images)
    return runner.facts_of(SimpleNamespace(used=used), pool)


def test_facts_are_those_of_the_runs(images):
    found = facts(images, s0=(20, 20), s1=(20, 4), s1000=(20, 20))
    assert (found["trials"], found["seeds"], found["search_seeds"]) == (3, [0, 1], [1000])
    assert (found["training_seconds"], found["models"]) == (3.0, ["convnet"])
    (data,) = found["data"]
    # A tenth of 48 images of a class, rounded, is held out.
    assert (data["train"], data["trained_on"]) == (86, [24, 40])
    assert ("train images per network", "24 or 40") in data_items(data)


def test_all_training_images_are_named_once(images):
    (data,) = facts(images, s0=(43, 43))["data"]
    assert "train images per network" not in dict(data_items(data))


def test_claims_by_name():
    assert [claim.name for claim in runner.claims_of(["all"])] == list(runner.CLAIMS)
    assert [claim.name for claim in runner.claims_of(["noise"])] == ["noise"]
    with pytest.raises(UserError, match="noize"):
        runner.claim_of("noize")


def test_a_trainer_keeps_what_a_claim_uses(monkeypatch):
    pool = SimpleNamespace(train=lambda configs: [result(config) for config in configs])
    lines = []
    trainer = runner.PoolTrainer("quick", pool, SimpleNamespace(say=lines.append))
    assert [run.config for run in trainer.train([CONFIG])] == [CONFIG]

    def search(given, configs, rates, seeds):
        assert (given, seeds) == (pool, 1)
        return [[result(replace(c, learning_rate=rate)) for rate in rates] for c in configs]

    monkeypatch.setattr(runner, "search", search)
    ((first, *_),) = trainer.search([CONFIG])
    assert first.config.learning_rate == 0.01
    assert len(trainer.used) == 5  # the rate 0.1 is one of the grid
    trainer.say("line")
    assert lines == ["line"]


@pytest.mark.parametrize("kernels", [True, False])
def test_the_backend_of_the_losses_is_that_of_every_run(kernels: bool, monkeypatch):
    pool = SimpleNamespace(train=lambda configs: [result(config) for config in configs])
    trainer = runner.PoolTrainer("quick", pool, SimpleNamespace(), kernels)
    monkeypatch.setattr(runner, "search", lambda _, configs, *__: [pool.train(configs)])
    runs = [*trainer.train([CONFIG]), *trainer.search([CONFIG])[0]]
    assert [run.config.kernels for run in runs] == [kernels] * 2
