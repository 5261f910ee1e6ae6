"""What a report says of the networks that a claim used."""

from dataclasses import replace
from types import SimpleNamespace

from lossbench.benchmarks.config import RunConfig
from lossbench.benchmarks.evidence.runner import facts_of
from lossbench.benchmarks.report.provenance import data_items

from .invented import outcome


def used(counts_by_seed):
    trials = {seed: RunConfig("mse", seed, 0.1) for seed in counts_by_seed}
    return {
        trial: replace(outcome(trial), counts=counts_by_seed[seed])
        for seed, trial in trials.items()
    }


def test_what_the_networks_had_and_not_what_there_was(images):
    pool = SimpleNamespace(image_set=lambda *_: images)
    lab = SimpleNamespace(used=used({0: (20, 20), 1: (20, 4), 1000: (20, 20)}))
    facts = facts_of(lab, pool)
    assert (facts["trials"], facts["seeds"], facts["search_seeds"]) == (3, [0, 1], [1000])
    (data,) = facts["data"]
    # A tenth of 48 images of a class, rounded, is held out.
    assert (data["train"], data["trained_on"]) == (86, [24, 40])
    assert ("train images per network", "24 or 40") in data_items(data)


def test_all_of_them_is_not_said_twice(images):
    pool = SimpleNamespace(image_set=lambda *_: images)
    (data,) = facts_of(SimpleNamespace(used=used({0: (43, 43)})), pool)["data"]
    assert "train images per network" not in dict(data_items(data))
