"""Losses that are a multiple of another loss, as experiment.json lists them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .schema import NUMBER, schema_error

SHAPE = {"of": str, "factor": NUMBER, "difference": NUMBER}


@dataclass(frozen=True)
class Identity:
    """A loss whose gradient is that of another loss, times a number.

    Attributes:
        of: the other loss.
        factor: the number, above 0.
        difference: largest measured difference of the gradient from `factor` times the other,
            relative to the largest gradient.
    """

    of: str
    factor: float
    difference: float

    def __str__(self) -> str:
        return self.of if self.factor == 1 else f"{self.factor:g} \N{MULTIPLICATION SIGN} {self.of}"


def read_identities(about: Mapping[str, Any]) -> dict[str, Identity]:
    """Return the identities that an experiment.json lists, by loss; none if it has no list.

    Raises:
        ValueError: they have another shape.
    """
    listed = about.get("identities", {})
    wrong = schema_error(listed, dict)
    for name, each in listed.items() if wrong is None else ():
        wrong = wrong or schema_error(each, dict, f"identities.{name}")
        wrong = wrong or schema_error(each, SHAPE, f"identities.{name}")
        if wrong is None and set(each) != set(SHAPE):
            wrong = f"identities.{name} should have {', '.join(SHAPE)}"
        if wrong is None and each["of"] in listed:
            wrong = f"identities.{name}.of should be no identity itself, as {each['of']!r:.40} is"
    if wrong:
        raise ValueError(wrong)
    return {name: Identity(**each) for name, each in listed.items()}


def run_keys(
    losses: Iterable[str], seeds: Iterable[int], identities: Collection[str]
) -> list[tuple[str, int]]:
    """Return (loss, seed) of every run of an experiment, seeds first.

    An identity is trained with the first seed alone: more seeds would repeat the other loss.
    """
    losses = list(losses)
    return [
        (loss, seed)
        for number, seed in enumerate(seeds)
        for loss in losses
        if number == 0 or loss not in identities
    ]
