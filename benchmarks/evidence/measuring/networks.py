"""What claims have in common: how their networks are had, and what is read off them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lossbench.benchmarks.config import RunConfig
    from lossbench.benchmarks.evidence.claim import Trainer
    from lossbench.benchmarks.training.result import RunResult


def tuned(lab: Trainer, trials: Sequence[RunConfig], **less: Any) -> list[RunConfig]:
    """Each trial with the learning rate that a search finds for it, in which the fields `less` are
    changed: fewer images or epochs."""
    found = lab.tuned([replace(trial, **less) for trial in trials])
    return [
        replace(trial, learning_rate=best.learning_rate)
        for trial, best in zip(trials, found, strict=True)
    ]


def over_seeds(lab: Trainer, trials: Sequence[RunConfig], seeds: int) -> list[list[RunResult]]:
    """The outcomes of each trial with the seeds 0 to seeds - 1, asked about the test images."""
    outcomes = lab.train(
        [replace(trial, seed=seed, test=True) for trial in trials for seed in range(seeds)]
    )
    return [outcomes[at : at + seeds] for at in range(0, len(outcomes), seeds)]


def right(outcomes: Sequence[RunResult]) -> NDArray[np.bool_]:
    """Which test examples each network got right, (outcomes, N)."""
    import numpy as np

    return np.stack([outcome.test.correct for outcome in outcomes if outcome.test is not None])


def accuracies(outcomes: Sequence[RunResult]) -> list[float]:
    """The test accuracy of each network, percent. One that has diverged still names a class, and
    gets what that brings."""
    return [100 * float(share) for share in right(outcomes).mean(1)]


def chance_of(outcomes: Sequence[RunResult]) -> float:
    """The accuracy of always naming the most frequent class of the test images, percent."""
    import numpy as np

    labels = next(outcome.test.labels for outcome in outcomes if outcome.test is not None)
    return 100 * float(np.bincount(labels).max() / len(labels))
