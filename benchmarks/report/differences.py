"""Differences in test accuracy from cross-entropy, with their uncertainty and verdict."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lossbench.benchmarks.config import REFERENCE
from lossbench.benchmarks.errors import UserError
from lossbench.benchmarks.records.reading import read_correct
from lossbench.benchmarks.stats.intervals import Interval, bootstrap_difference, paired_difference
from lossbench.benchmarks.stats.significance import (
    holm,
    minimum_detectable_difference,
    paired_t_pvalue,
)
from lossbench.benchmarks.stats.verdict import MINIMUM_SEEDS

SIGNIFICANCE = 0.05

Accuracies = dict[int, float]
"""Final test accuracy by seed."""


def minus_cross_entropy(
    directory: Path, accuracies: dict[str, Accuracies]
) -> dict[str, dict[str, Any]]:
    """Compare the test accuracy of each loss with that of cross-entropy.

    Args:
        directory: of the experiment.
        accuracies: per loss with a finished run. Without cross-entropy nothing is compared.

    Returns:
        Per loss, in fractions, as in summary.json: mean, low, high, n: difference paired by seed,
        with its 95 % t interval. p: of the paired t test, None below two seeds. p_holm: corrected
        for all losses compared. detectable: smallest true difference found with a power of 0.8.
        examples: paired 95 % bootstrap interval over test images, averaged over seeds, None without
        predictions. verdict: 'better' or 'worse' if p_holm < 0.05, `examples` excludes 0 and
        n >= MINIMUM_SEEDS, else 'undecided'.

    Raises:
        UserError: predictions are unreadable, or of different test images.
    """
    reference = accuracies.get(REFERENCE, {})
    read = cache(lambda loss, seed: read_correct(directory, loss, seed))
    differences: dict[str, dict[str, Any]] = {}
    for loss, own in accuracies.items():
        seeds = [seed for seed in own if seed in reference]
        if loss == REFERENCE or not seeds:
            continue
        a, b = [own[seed] for seed in seeds], [reference[seed] for seed in seeds]
        examples = _over_examples(read, loss, seeds)
        differences[loss] = {
            **paired_difference(a, b).as_dict(),
            "p": paired_t_pvalue(a, b) if len(seeds) > 1 else None,
            "p_holm": None,
            "detectable": minimum_detectable_difference([x - y for x, y in zip(a, b, strict=True)]),
            "examples": None if examples is None else examples.as_dict(),
        }
    with_p = [each for each in differences.values() if each["p"] is not None]
    for each, p in zip(with_p, holm([each["p"] for each in with_p]), strict=True):
        each["p_holm"] = p
    for each in differences.values():
        each["verdict"] = _verdict(each)
    return differences


def _verdict(difference: dict[str, Any]) -> str:
    p, examples = difference["p_holm"], difference["examples"]
    if difference["n"] < MINIMUM_SEEDS or p is None or examples is None or p >= SIGNIFICANCE:
        return "undecided"
    if difference["mean"] > 0 and examples["low"] > 0:
        return "better"
    return "worse" if difference["mean"] < 0 and examples["high"] < 0 else "undecided"


def _over_examples(
    read: Callable[[str, int], NDArray[np.bool_] | None], loss: str, seeds: list[int]
) -> Interval | None:
    arrays = [read(name, seed) for name in (loss, REFERENCE) for seed in seeds]
    correct = [each for each in arrays if each is not None]
    if len(correct) < 2 * len(seeds):
        return None
    if len({len(each) for each in correct}) > 1 or not len(correct[0]):
        raise UserError(
            f"cannot compare {loss} with {REFERENCE}: their predictions.npz are of different test "
            "images; train both again in one comparison"
        )
    return bootstrap_difference(np.stack(correct[: len(seeds)]), np.stack(correct[len(seeds) :]))
