"""Losses at the learning rates that are best for them, and the table of the search."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lossbench.benchmarks.config import RunConfig
from lossbench.benchmarks.records.claim import ClaimTable
from lossbench.benchmarks.training.rate_search import best_rate, is_end, is_tie

from .measures import rates_table
from .text import optional

RATES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
"""Learning rates that are tried. The best one is to lie between the first and the last."""

EPOCHS = 3
"""Epochs of a network, in the search as well."""


def tuned(loss: str, **settings: Any) -> RunConfig:
    """Return the run of a loss on cats and dogs whose rate is chosen among RATES."""
    return RunConfig(loss, 0, 0.1, epochs=EPOCHS, evaluations=1, test=True, **settings)


def search_table(
    searched: Mapping[Any, Mapping[float, float]],
    names: Mapping[Any, str],
    score: str = "validation accuracy",
) -> ClaimTable:
    """Return the table of the mean score, in percent, by learning rate.

    Args:
        searched: by cell, the score of each rate.
        names: name of each cell that has a row.
        score: name of the score.
    """
    return rates_table(
        f"The search: {score}, %, by learning rate",
        searched,
        names,
        lambda score: optional(score, ".1f"),
        "The search has its own seeds and does not use the test images. A network that diverged is "
        "at chance.",
    )


def end_notes(searched: Mapping[Any, Mapping[float, float]], names: Mapping[Any, str]) -> list[str]:
    """Return notes on the cells whose best rate is an end of those tried, or as good as all."""
    ties = [name for cell, name in names.items() if is_tie(searched[cell])]
    ends = [
        name
        for cell, name in names.items()
        if name not in ties and is_end(best_rate(searched[cell]), searched[cell])
    ]
    notes = []
    if ties:
        notes.append(
            f"No rate was better than another for {', '.join(ties)}: the lowest one was taken."
        )
    if ends:
        notes.append(
            f"The best rate is an end of those tried for {', '.join(ends)}: one beyond it may be "
            "better still."
        )
    return notes
