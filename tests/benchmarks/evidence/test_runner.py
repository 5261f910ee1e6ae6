"""Look by look: the list of claims, designs that are registered, costs, and the facts of runs."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from lossbench.benchmarks.config import RunConfig
from lossbench.benchmarks.errors import UserError
from lossbench.benchmarks.evidence import cost, runner
from lossbench.benchmarks.evidence.design import FIRST_SEED
from lossbench.benchmarks.records.claim import read_claim
from lossbench.benchmarks.report.provenance import data_items

from .worlds import WORLDS, result, square_loss_world

CONFIG = RunConfig("mse", 0, 0.1)


class FakePool:
    """A pool whose results a world makes up, and which keeps them like the true one."""

    def __init__(self, images, world):
        self.images, self.world = images, world
        self.workers, self.kept, self.trained = 2, {}, []
        self.device = torch.device("cpu")
        self.cache = SimpleNamespace(
            get=lambda config, _: self.kept.get(config),
            path=lambda config, _: SimpleNamespace(exists=lambda: config in self.kept),
        )

    def __call__(self, *_):
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def image_set(self, _):
        return self.images

    def train(self, configs, task="training"):
        assert task
        for config in dict.fromkeys(configs):
            if config not in self.kept:
                self.trained.append(config)
                self.kept[config] = self.world(config)
        return [self.kept[config] for config in configs]


class Said(list):
    """A reporter that keeps what is said."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    say = list.append


@pytest.fixture
def pool(images, monkeypatch):
    pool = FakePool(images, square_loss_world)
    monkeypatch.setattr(runner, "Pool", pool)
    return pool


def examine(runs, claims, **options):
    said = Said()
    options = {"looks": None} | options
    runner.examine(claims, runs, torch.device("cpu"), None, "command", said, False, **options)
    return said


SQUARE = runner.claim_of("square-loss")


def test_a_claim_goes_on_until_it_is_decided(tmp_path, pool):
    """Near the margin it takes more than a look, and every look is an increment."""
    pool.world = lambda config: square_loss_world(config, mse=0.726)
    said = examine(tmp_path, [SQUARE])
    looks = [line for line in said if line.startswith("square-loss, ")]
    assert len(looks) > 1
    assert all(": undecided  (" in line for line in looks[:-1])
    record = read_claim(tmp_path / "evidence" / "square-loss")
    # The command prints the finding at the end.
    assert not any(record["sentence"] in line for line in said)
    assert record["verdict"] == "holds"
    seeds = record["about"]["seeds"]
    assert seeds == list(range(FIRST_SEED, FIRST_SEED + SQUARE.design.looks[len(looks) - 1]))
    assert len(pool.trained) == len(set(pool.trained)) == record["about"]["trials"]
    assert not any(config.kernels for config in pool.trained)
    # Once more, nothing is trained, and the finding is the same.
    count = len(pool.trained)
    said = examine(tmp_path, [SQUARE])
    assert len(pool.trained) == count
    again = read_claim(tmp_path / "evidence" / "square-loss")
    assert (again["measures"], again["sentence"]) == (record["measures"], record["sentence"])


def test_looks_may_be_limited_and_resumed(tmp_path, pool):
    pool.world = lambda config: square_loss_world(config, mse=0.726)
    examine(tmp_path, [SQUARE], looks=1)
    record = read_claim(tmp_path / "evidence" / "square-loss")
    assert record["verdict"] == "undecided"
    assert len(record["about"]["seeds"]) == SQUARE.design.looks[0]
    count = len(pool.trained)
    examine(tmp_path, [SQUARE], looks=2)
    cells = len(SQUARE.design.cells)
    more = SQUARE.design.looks[1] - SQUARE.design.looks[0]
    assert len(pool.trained) == count + cells * more


def test_a_claim_ends_at_its_cap(tmp_path, pool):
    design = replace(SQUARE.design, looks=(5, 8))
    pool.world = lambda config: square_loss_world(config, mse=0.72)
    examine(tmp_path, [replace(SQUARE, design=design)])
    record = read_claim(tmp_path / "evidence" / "square-loss")
    assert (record["verdict"], len(record["about"]["seeds"])) == ("undecided", 8)


def test_the_design_is_written_before_anything_is_trained(tmp_path, pool):
    class CutError(Exception):
        pass

    def cut(_):
        raise CutError

    pool.world = cut
    with pytest.raises(CutError):
        examine(tmp_path, [SQUARE])
    directory = tmp_path / "evidence" / "square-loss"
    record = read_claim(directory)
    assert record["about"]["design"]["hash"] == SQUARE.design.hash
    assert (record["verdict"], record["sentence"]) == ("undecided", "Nothing is trained yet.")
    assert [each["value"] for each in record["measures"]] == [None]
    assert SQUARE.design.hash in (directory / "report.md").read_text()


def test_another_design_begins_with_unused_seeds_and_says_so(tmp_path, pool):
    examine(tmp_path, [SQUARE])
    used = {config.seed for config in pool.trained if config.seed < 1000}
    changed = replace(SQUARE, design=replace(SQUARE.design, error=0.04))
    said = examine(tmp_path, [changed])
    first = FIRST_SEED + SQUARE.design.looks[-1]
    (line,) = (line for line in said if "design has changed" in line)
    assert f"unused seeds from {first} on" in line
    directory = tmp_path / "evidence" / "square-loss"
    about = read_claim(directory)["about"]
    assert about["design"]["hash"] == changed.design.hash
    assert about["seeds"][0] == about["design"]["first_seed"] == first
    assert not used & set(about["seeds"])
    earlier = f"{SQUARE.design.hash}, seeds {FIRST_SEED} to {first - 1}"
    assert about["design"]["earlier"] == [earlier]
    assert earlier in (directory / "report.md").read_text()
    # The same design again keeps its seeds.
    assert not any("has changed" in line for line in examine(tmp_path, [changed]))
    assert read_claim(directory)["about"]["design"] == about["design"]


@pytest.mark.usefixtures("pool")
def test_seeds_run_out(tmp_path):
    examine(tmp_path, [SQUARE])
    path = tmp_path / "evidence" / "square-loss" / "claim.json"
    record = json.loads(path.read_text())
    record["about"]["design"] |= {"hash": "another", "first_seed": 950}
    path.write_text(json.dumps(record))
    with pytest.raises(UserError, match="no seeds are left"):
        examine(tmp_path, [SQUARE])


@pytest.mark.usefixtures("pool")
def test_a_report_of_an_earlier_version_has_no_design(tmp_path):
    examine(tmp_path, [SQUARE])
    path = tmp_path / "evidence" / "square-loss" / "claim.json"
    record = json.loads(path.read_text())
    del record["about"]["design"]
    path.write_text(json.dumps(record))
    assert not any("has changed" in line for line in examine(tmp_path, [SQUARE]))
    assert read_claim(path.parent)["about"]["design"]["first_seed"] == FIRST_SEED


def test_costs_are_listed_before_anything_is_trained(tmp_path, pool):
    def world(config):
        zero_one = config.loss == "zero-one" or config.evaluations == 6
        return WORLDS["zero-one" if zero_one else "square-loss"](config)

    pool.world = world
    networks = 3 * len(SQUARE.design.rates) * SQUARE.design.search_seeds
    said = examine(tmp_path, [SQUARE, runner.claim_of("zero-one")], looks=1)
    line = next(line for line in said if line.startswith("square-loss "))
    assert f"5 seeds: {networks + 3 * 5} networks to train, 0 kept" in line
    assert f"at most 40 seeds: {networks + 3 * 40} networks" in line
    line = next(line for line in said if line.startswith("zero-one "))
    # One of each model was trained to measure its time. There is one look.
    assert "3 seeds: 16 networks to train, 2 kept" in line
    assert "at most" not in line
    assert "first looks of all: about " in said[2]
    said = examine(tmp_path, [SQUARE], looks=1)
    assert f"5 seeds: 0 networks to train, {networks + 15} kept, about 0 s" in said[0]
    assert f"at most 40 seeds: {3 * 35} networks to train" in said[0]


def test_times_are_measured_and_scaled(pool):
    """A network of ten epochs takes ten times that of one, and two cores half of it."""
    pool.world = lambda config: replace(square_loss_world(config), seconds=4.0, counts=(43, 43))
    claim = replace(
        SQUARE,
        design=replace(
            SQUARE.design,
            cells={loss: replace(c, epochs=10) for loss, c in SQUARE.design.cells.items()},
            searches={},
            looks=(5,),
        ),
    )
    lines = cost.listing([claim], {"square-loss": 100}, pool, False)
    (speed,) = cost.seconds_per_image(pool, [claim], {"square-loss": 100}, False).values()
    (first,) = pool.trained
    images = 10 * (86.4 + 9.6 / 3)
    assert cost.training_images(pool, first) == pytest.approx(images)
    assert speed == pytest.approx(4.0 / images)
    assert lines == [
        f"square-loss  5 seeds: 14 networks to train, 1 kept, about "
        f"{cost.duration(14 * speed * images / 2)}"
    ]


def test_rare_classes_and_few_images_cost_less(pool):
    config = replace(CONFIG, evaluations=0)
    assert cost.training_images(pool, replace(config, imbalance=10.0)) == pytest.approx(
        2 * 86.4 * 0.55
    )
    assert cost.training_images(pool, replace(config, train_images=20)) == 40


def facts(images, **counts):
    used = {
        config: result(config, counts=each)
        for seed, each in counts.items()
        for config in [replace(CONFIG, seed=int(seed[1:]))]
    }
    return runner.facts_of(used, SimpleNamespace(image_set=lambda *_: images))


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
    assert set(WORLDS) == set(runner.CLAIMS)
    folder = Path(runner.__file__).parent
    assert all((folder / f"{name.replace('-', '_')}.py").exists() for name in runner.CLAIMS)
    with pytest.raises(UserError, match="noize"):
        runner.claim_of("noize")


@pytest.mark.parametrize("kernels", [True, False])
def test_the_backend_of_the_losses_is_that_of_every_run(kernels, pool):
    trainer = runner.PoolTrainer(pool, kernels)
    (found,) = trainer([CONFIG])
    assert found.config.kernels == kernels
    assert trainer.used == {found.config: found}
