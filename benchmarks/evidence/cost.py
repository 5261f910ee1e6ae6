"""Cost of examining a claim: networks to train, and about how long that takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from statistics import fmean as mean
from typing import NamedTuple

from lossbench.benchmarks.config import RunConfig
from lossbench.benchmarks.format import duration, plural
from lossbench.benchmarks.training.executors.pool import Pool, image_arguments
from lossbench.benchmarks.training.rate_search import best_rate, mean_by_rate
from lossbench.benchmarks.training.result import RunResult

from .claim import Claim

CostGroup = tuple[str, int | None, str, int | None, float | None, int]
"""What the time of a training image depends on: model, width, images and their size, the accuracy
at which training ends early, and the epochs on flipped labels, which never do."""

MEASURED = 12
"""Kept networks whose time is looked up, of each group, evenly among them."""


class Cost(NamedTuple):
    """Networks up to a look.

    Attributes:
        seeds: number of seeds of the look.
        missing: networks that are not trained yet.
        kept: number of networks that were trained before.
    """

    seeds: int
    missing: list[RunConfig]
    kept: int


def kept(pool: Pool, config: RunConfig) -> RunResult | None:
    """Return the result of a run if it was trained before."""
    return pool.cache.get(config, pool.image_set(image_arguments(config)).fingerprint)


def costs(claim: Claim, first_seed: int, pool: Pool, kernels: bool) -> list[Cost]:
    """Return the cost of a claim up to its first and up to its last look.

    Which learning rates are judged is known once all networks of the search are kept. Until then no
    network that is judged counts as kept.
    """
    searches = {
        cell: {c: kept(pool, replace(c, kernels=kernels)) for c in configs}
        for cell, configs in claim.search_configs().items()
    }
    tried = {config: result for each in searches.values() for config, result in each.items()}
    rates = {}
    for cell, results in searches.items():
        known = [result for result in results.values() if result is not None]
        if len(known) == len(results):
            rates[cell] = best_rate(mean_by_rate(known, claim.analysis.score))
    found = []
    for seeds in dict.fromkeys((claim.design.looks[0], claim.design.looks[-1])):
        judged = claim.judged_configs(rates, range(first_seed, first_seed + seeds))
        missing = [config for config, result in tried.items() if result is None]
        kept_networks = len(tried) - len(missing)
        for cell, configs in judged.items():
            chosen = cell in rates or cell not in searches
            each = [] if not chosen else [c for c in configs if is_kept(pool, c, kernels)]
            kept_networks += len(each)
            missing += [config for config in configs if config not in each]
        found.append(Cost(seeds, missing, kept_networks))
    return found


def is_kept(pool: Pool, config: RunConfig, kernels: bool) -> bool:
    """Tell whether a run was trained before, without reading it."""
    config = replace(config, kernels=kernels)
    fingerprint = pool.image_set(image_arguments(config)).fingerprint
    return pool.cache.path(config, fingerprint).exists()


def training_images(pool: Pool, config: RunConfig) -> float:
    """Return the number of training images that a run sees, over all epochs, if it does not end
    early. An evaluated image takes a third of a trained one's time, and counts as that."""
    images = pool.image_set(image_arguments(config))
    everything, own = len(images.train.labels), images.validation
    held_out = everything * config.validation if own is None else len(own.labels)
    count = everything - (held_out if own is None else 0)
    if config.train_images is not None:
        count = min(count, config.train_images)
    # Class 0 stays whole, the others are made rarer.
    count *= (1 + 1 / config.imbalance) / 2
    evaluated = config.evaluations * held_out / 3
    return config.flipped_epochs * count + config.epochs * (count + evaluated)


def seconds_per_image(
    pool: Pool, claims: Iterable[Claim], first_seeds: Mapping[str, int], kernels: bool
) -> dict[CostGroup, float]:
    """Return the measured seconds per training image of each group of networks in some claims.

    They are those of networks that were trained before, early ends included. Of a group without
    any, one network is trained now, and kept.
    """
    wanted: dict[CostGroup, list[RunConfig]] = {}
    for claim in claims:
        seeds = range(first_seeds[claim.name], first_seeds[claim.name] + claim.design.looks[0])
        for by_cell in (claim.search_configs(), claim.judged_configs({}, seeds)):
            for each in by_cell.values():
                for config in each:
                    config = replace(config, kernels=kernels)
                    wanted.setdefault(cost_group(config), []).append(config)
    found = {}
    for name, configs in wanted.items():
        known = [config for config in dict.fromkeys(configs) if is_kept(pool, config, kernels)]
        few = known[:: max(1, len(known) // MEASURED)]
        results = [result for config in few if (result := kept(pool, config))]
        if not results:
            least = min(training_images(pool, config) for config in configs)
            short = [config for config in configs if training_images(pool, config) == least]
            middle = short[len(short) // 2]
            results = pool.train([middle], "measuring the time of a network")
        found[name] = mean(
            result.seconds / training_images(pool, result.config) for result in results
        )
    return found


def cost_group(config: RunConfig) -> CostGroup:
    """Return what the time of a training image of a network depends on."""
    early = config.stop_at_accuracy
    before = config.flipped_epochs
    return config.model, config.width, config.data, config.image_size, early, before


def listing(
    claims: Sequence[Claim], first_seeds: Mapping[str, int], pool: Pool, kernels: bool
) -> list[str]:
    """Return lines that say what the first look and the way to the cap of each claim will cost."""
    speed = seconds_per_image(pool, claims, first_seeds, kernels)
    at_once = pool.workers or 1
    lines: list[str] = []
    # Claims share networks.
    all_missing: tuple[set[RunConfig], set[RunConfig]] = (set(), set())

    def seconds(configs: Iterable[RunConfig]) -> float:
        return sum(speed[cost_group(c)] * training_images(pool, c) for c in configs) / at_once

    width = max(len(claim.name) for claim in claims)
    for claim in claims:
        texts = []
        each = costs(claim, first_seeds[claim.name], pool, kernels)
        for index, cost in enumerate((each[0], each[-1])):
            all_missing[index].update(cost.missing)
            texts.append(
                f"{plural(cost.seeds, 'seed')}: {plural(len(cost.missing), 'network')} to train, "
                f"{cost.kept} kept, about {duration(seconds(cost.missing))}"
            )
        lines.append(f"{claim.name:{width}}  " + "; at most ".join(dict.fromkeys(texts)))
    if len(claims) > 1:
        first, last = (duration(seconds(configs)) for configs in all_missing)
        lines.append(f"first looks of all: about {first}; all to their caps: at most about {last}")
    return lines
