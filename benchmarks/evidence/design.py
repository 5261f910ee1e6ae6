"""Design of a claim: all that is fixed before anything is trained, and its tests."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from lossbench.benchmarks.config import RunConfig
from lossbench.benchmarks.records.claim import Measure
from lossbench.benchmarks.stats.intervals import (
    Interval,
    mean_interval,
    standard_deviation,
    t_interval,
)
from lossbench.benchmarks.stats.sequential import ERROR, LOOKS, nominal_level
from lossbench.benchmarks.stats.significance import detectable_mean
from lossbench.benchmarks.stats.verdict import MINIMUM_SEEDS, Verdict

from .text import signed

Direction = Literal["above", "below", "within"]
Cells = Mapping[Any, RunConfig]

FIRST_SEED = 100
"""First seed of a claim. Networks with lower ones were looked at while the claims were written."""


@dataclass(frozen=True)
class Expected:
    """A quantity, and where the claim expects it.

    Attributes:
        quantity: what is measured, one value per seed.
        direction: on which side of the limit; 'within': within ± the limit.
        limit: the limit; for 'within' the margin, above 0.
        unit: unit of quantity and limit. That of a ratio is 'times': it is compared on the
            logarithmic scale, and 'within' is from 1 / limit to the limit.
    """

    quantity: str
    direction: Direction
    limit: float
    unit: str = "points"

    @property
    def is_ratio(self) -> bool:
        """True if the quantity is a ratio."""
        return self.unit == "times"

    @property
    def name(self) -> str:
        """The quantity with its unit."""
        return f"{self.quantity}, {'ratio' if self.is_ratio else self.unit}".rstrip(", ")

    @property
    def wanted(self) -> str:
        """The expectation in words, such as 'above +2 points' or 'within 1/2 to 2 times'."""
        if self.is_ratio:
            low = f"1/{self.limit:g} to " if self.direction == "within" else ""
            return f"{self.direction} {low}{self.limit:g} times"
        sign = f"±{self.limit:g}" if self.direction == "within" else signed(self.limit, None)
        return f"{self.direction} {sign} {self.unit}".rstrip()

    @property
    def range(self) -> tuple[float, float]:
        """The values that are expected, on the scale of the test."""
        limit = math.log(self.limit) if self.is_ratio else self.limit
        return {
            "above": (limit, math.inf),
            "below": (-math.inf, limit),
            "within": (-limit, limit),
        }[self.direction]


@dataclass(frozen=True)
class Quantity:
    """A measured quantity: one value per seed.

    Attributes:
        values: the values; natural logarithms of a ratio.
        image_error: standard error of their mean over test images; 0 if there are none.
        least, most: the true mean may be larger, or smaller: the value is a bound.
    """

    values: tuple[float, ...]
    image_error: float = 0.0
    least: bool = False
    most: bool = False

    @property
    def error(self) -> float:
        """Standard error of the mean over seeds and test images; 0 without any spread."""
        return math.hypot(self._seed_error, self.image_error)

    @property
    def degrees(self) -> float:
        """Satterthwaite's degrees of freedom of the standard error; many for the images' part."""
        if not self._seed_error:
            return math.inf
        return (len(self.values) - 1) * (self.error / self._seed_error) ** 4

    @property
    def _seed_error(self) -> float:
        n = len(self.values)
        return standard_deviation(self.values) / math.sqrt(n) if n > 1 else 0.0

    @property
    def is_known(self) -> bool:
        """False if the true mean may be larger and smaller: the values say nothing then."""
        return not (self.least and self.most)

    def interval(self, level: float) -> Interval:
        """Return the mean with an interval for other seeds and other test images.

        Seeds and images are crossed random effects, see `stats.crossed`.
        """
        seeds = mean_interval(self.values, level)
        if seeds.mean is None or seeds.high is None:
            return seeds
        return t_interval(seeds.mean, self.error, self.degrees, seeds.n, level)


class Tested(NamedTuple):
    """A quantity with what the claim expects of it, and the verdict."""

    expected: Expected
    quantity: Quantity
    measure: Measure
    detectable: float | None


@dataclass(frozen=True, kw_only=True)
class Design:
    """All that is fixed before a claim's networks are trained. Its hash stands in the report.

    The claim holds if every quantity is where it is expected. Each is tested with the whole
    `error`, because all of them must hold. It does not hold if any is elsewhere: there the error is
    divided by Holm's rule. Both count all looks.

    Attributes:
        question: the question, in one sentence.
        expects: the quantities that decide.
        cells: the networks by cell. Each is trained with every seed, and evaluated on the test
            images if its `test` is set. Its seed stands for all.
        searches: for the cells whose learning rate is chosen, the networks that choose it. They
            have seeds of their own and never use the test images.
        rates: learning rates that are tried.
        search_seeds: networks per learning rate.
        looks: numbers of seeds after which the claim is tested; the last one is the cap.
        error: probability of a wrong verdict over all looks.
    """

    question: str
    expects: tuple[Expected, ...] = ()
    cells: Cells
    searches: Cells = field(default_factory=dict)
    rates: tuple[float, ...] = ()
    search_seeds: int = 2
    looks: tuple[int, ...] = LOOKS
    error: float = ERROR

    @property
    def hash(self) -> str:
        """The first 12 hex digits of the SHA-256 of all fields."""
        content = {each.name: getattr(self, each.name) for each in dataclasses.fields(self)}
        content["expects"] = [vars(each) for each in self.expects]
        for name in ("cells", "searches"):
            content[name] = [[str(cell), _set(c)] for cell, c in content[name].items()]
        text = json.dumps(content, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def in_words(self) -> str:
        """Return looks, cap and error as a sentence."""
        if len(self.looks) == 1:
            return f"One look, with {self.looks[0]} seeds; error {100 * self.error:g} %."
        level = nominal_level(self.looks, self.error)
        looks = ", ".join(map(str, self.looks[:-1]))
        return (
            f"Looks with {looks} and at most {self.looks[-1]} paired seeds, until the claim is "
            f"decided. The error over all looks is {100 * self.error:g} %, so that each look has "
            f"p < {level:.4f}."
        )

    def test(self, quantities: Sequence[Quantity]) -> list[Tested]:
        """Test the quantities, given in the order of `expects`.

        Equal values are no certainty: they leave a quantity undecided.
        """
        pairs = list(zip(self.expects, quantities, strict=True))
        verdicts = [self._verdict(*pair, self.error) for pair in pairs]
        suspects = {k for k, verdict in enumerate(verdicts) if verdict == "does not hold"}
        left = len(pairs)
        while suspects and (
            clear := {
                k
                for k in suspects
                if self._verdict(*pairs[k], self.error / left) == "does not hold"
            }
        ):
            suspects -= clear
            left -= len(clear)
        for k in suspects:
            verdicts[k] = "undecided"
        return [self._tested(*pair, verdict) for pair, verdict in zip(pairs, verdicts, strict=True)]

    def level(self, expected: Expected, error: float) -> float:
        """Return the coverage of the interval at a look."""
        if expected.direction == "within":
            # Two one-sided tests (Schuirmann 1987), of which only one can be wrong.
            return 1 - 2 * nominal_level(self.looks, error, 1)
        return 1 - nominal_level(self.looks, error, 2)

    def _verdict(self, expected: Expected, quantity: Quantity, error: float) -> Verdict:
        values = quantity.values
        if len(values) < MINIMUM_SEEDS or min(values) == max(values):
            return "undecided"
        interval = quantity.interval(self.level(expected, error))
        assert interval.low is not None
        assert interval.high is not None
        low = -math.inf if quantity.most else interval.low
        high = math.inf if quantity.least else interval.high
        bottom, top = expected.range
        if (bottom == -math.inf or bottom < low) and (top == math.inf or high < top):
            return "holds"
        return "does not hold" if high <= bottom or low >= top else "undecided"

    def _tested(self, expected: Expected, quantity: Quantity, verdict: Verdict) -> Tested:
        level = self.level(expected, self.error)
        interval = quantity.interval(level)
        ends = interval.mean, interval.low, interval.high
        detectable = None
        if quantity.error and len(quantity.values) > 1:
            detectable = detectable_mean(quantity.error, quantity.degrees, level)
        if expected.is_ratio:
            ends = tuple(None if x is None else math.exp(x) for x in ends)  # type: ignore[assignment]
            detectable = None if detectable is None else math.exp(detectable)
        bound = {
            (False, False): "",
            (True, False): " (at least that)",
            (False, True): " (at most that)",
            (True, True): " (not known: each of the two has runs that did not get there)",
        }
        name = expected.name + bound[quantity.least, quantity.most]
        if not quantity.is_known:
            ends, detectable = (None, None, None), None
        return Tested(
            expected, quantity, Measure(name, *ends, expected.wanted, verdict), detectable
        )


def _set(config: RunConfig) -> dict[str, Any]:
    """Return the settings that are not the default, so that a new one changes no hash."""
    defaults = {f.name: f.default for f in dataclasses.fields(RunConfig)}
    return {k: v for k, v in config.to_json().items() if v != defaults[k]}
