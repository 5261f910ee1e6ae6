"""Claim: are likelihood, cross-entropy, H(p, q) and KL + H(p) one number?"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean as mean
from typing import NamedTuple

from lossbench.benchmarks.config import RunConfig
from lossbench.benchmarks.format import MINUS
from lossbench.benchmarks.records.claim import ClaimTable, Finding, Measure, verdict_of
from lossbench.benchmarks.stats.intervals import Interval, mean_interval
from lossbench.benchmarks.stats.verdict import verdict_above
from lossbench.benchmarks.training.result import RunResult

from .claim import Budget, Claim, Trainer
from .figures.likelihood import SLIPS, draw_forms, draw_slip, mean_pushes
from .measures.contrasts import plus_minus, signed
from .measures.likelihood_forms import FAR, FORMS, LOWERED, SOFTENED, Reading, read
from .measures.limits import at_most, size
from .measures.networks import accuracies, over_seeds

LOSS, RATE = "bce-with-logits", 0.1
# How far forms may be from the likelihood, as a share of it, and their gradients from f - t: the
# rounding of float64 and of float32.
APART = {"float64": 1e-12, "float32": 1e-5}
STEEP = {"float64": 1e-12, "float32": 1e-6}
SLIPPED = ("log_of_sum", "slip")
# A slip is another number where it is off by more than this share of the right one.
OFF = 0.01
# What has no lower bound falls by more than this share of what outputs are lowered by.
FALL = 0.9


class Size(NamedTuple):
    """Epochs and seeds of a budget."""

    epochs: int
    seeds: int


SIZES: dict[Budget, Size] = {"quick": Size(3, 3), "standard": Size(8, 5), "full": Size(20, 10)}


def examine(trainer: Trainer) -> Finding:
    epochs, seeds = SIZES[trainer.budget]
    config = RunConfig(loss=LOSS, seed=0, learning_rate=RATE, epochs=epochs, evaluations=1)
    trainer.say(f"{seeds} networks whose test predictions are weighed")
    (results,) = over_seeds(trainer, [config], seeds)
    readings = readings_of(results)
    measures = measures_of(readings)
    return Finding(
        verdict_of(measures),
        sentence_of(readings),
        measures,
        (draw_forms(readings), draw_slip(readings[0])),
        (forms_table(readings), slip_table(readings)),
        notes_of(results),
    )


def readings_of(results: Sequence[RunResult]) -> list[Reading]:
    return [read(result.test) for result in results if result.test is not None]


def measures_of(readings: Sequence[Reading]) -> tuple[Measure, ...]:
    """Measure that all forms agree in value and gradient, and that the slips do not."""
    seeds = len(readings)
    one = [
        at_most(
            f"largest difference of a form from the likelihood, as a share of it, {bits}",
            [reading.apart[bits] for reading in readings],
            limit,
            seeds,
        )
        for bits, limit in APART.items()
    ]
    one += [
        at_most(
            f"largest difference of a form's dL/dz from f - t at any image, {bits}",
            [reading.steep[bits] for reading in readings],
            limit,
            seeds,
        )
        for bits, limit in STEEP.items()
    ]
    off = f"above {OFF:g}"
    return (
        *one,
        beyond(
            "slip, ln of a sum for the sum of ln's: difference as a share of the right number",
            [abs(reading.log_of_sum - reading.product) / reading.product for reading in readings],
            OFF,
            off,
        ),
        beyond(
            "slip, 1 - ln f for ln(1 - f): difference as a share of the right number",
            [abs(reading.slip - reading.product) / reading.product for reading in readings],
            OFF,
            off,
        ),
        beyond(
            "the same slip: what it falls by on dogs for each unit that outputs are lowered by",
            [reading.fall for reading in readings],
            FALL,
            f"above {FALL:g}",
        ),
    )


def beyond(name: str, values: Sequence[float], limit: float, wanted: str) -> Measure:
    interval = mean_interval(values)
    verdict = verdict_above(interval, limit)
    return Measure(name, interval.mean, interval.low, interval.high, wanted, verdict)


def over(readings: Sequence[Reading], name: str) -> Interval:
    return mean_interval([reading.values[name] for reading in readings])


def sentence_of(readings: Sequence[Reading]) -> str:
    product = mean_interval([reading.product for reading in readings])
    apart = max(reading.apart["float64"] for reading in readings)
    off = max(reading.steep["float64"] for reading in readings)
    slips = [
        mean(getattr(reading, name) for reading in readings) for name in ("log_of_sum", "slip")
    ]
    return (
        f"On test predictions {len(FORMS)} forms, from minus the log-likelihood to KL + H(p), are "
        f"all {plus_minus(product, 4)} nats an image, at most {apart:.0e} of it apart in float64 "
        f"and their gradients at most {off:.0e}; with ln of a sum it would be "
        f"{signed(slips[0], 4)}, with 1 - ln f {signed(slips[1], 4)}, and falling without end."
    )


def forms_table(readings: Sequence[Reading]) -> ClaimTable:
    rows = [
        (
            "the likelihood itself: -ln of the product",
            "30 digits",
            plus_minus(mean_interval([reading.product for reading in readings]), 6),
            "",
        )
    ]
    for name, loss in FORMS.items():
        worst = max(abs(r.values[name] - r.product) / r.product for r in readings)
        rows.append((name, loss, plus_minus(over(readings, name), 6), size(worst)))
    for bits in APART:
        apart, steep = (
            max(getattr(reading, what)[bits] for reading in readings) for what in ("apart", "steep")
        )
        rows.append((f"all of them, {bits}", "", f"dL/dz off by {steep:.1e}", size(apart)))
    return ClaimTable(
        "One number on the same test predictions",
        ("form", "computed with", "nats an image", "off the likelihood at most, relative"),
        tuple(rows),
        (
            "Mean ± half the 95 % t interval over networks. The last two rows are the largest "
            f"differences with targets 0 and 1 and with {SOFTENED:.0%} label smoothing, where H(p) "
            "is not 0; each loss is this library's own code.",
        ),
    )


def slip_table(readings: Sequence[Reading]) -> ClaimTable:
    products = mean_interval([reading.product for reading in readings])
    rows = [("sum of ln's, as it should be", plus_minus(products, 4), "")]
    for name, field in zip(SLIPS, SLIPPED, strict=True):
        values = [getattr(reading, field) for reading in readings]
        shares = [
            abs(v - reading.product) / reading.product
            for v, reading in zip(values, readings, strict=True)
        ]
        rows.append(
            (
                name,
                minus(plus_minus(mean_interval(values), 4)),
                plus_minus(mean_interval(shares), 3),
            )
        )
    for name, field in (("binary cross-entropy", "pushed"), (SLIPS[1], "slipped")):
        pushes = [mean_pushes(reading.f, getattr(reading, field)) for reading in readings]
        right, wrong = (mean(side) for side in zip(*pushes, strict=True))
        rows.append(
            (f"dL/dz of dogs answered right, wrong: {name}", f"{right:.3f}, {wrong:.3f}", "")
        )
    for name, field in (("binary cross-entropy", "bounded"), (SLIPS[1], "unbounded")):
        ends = [getattr(reading, field)[-1] for reading in readings]
        rows.append(
            (
                f"dogs alone, outputs lowered by {LOWERED[-1]:g}: {name}",
                minus(plus_minus(mean_interval(ends), 4)),
                "",
            )
        )
    return ClaimTable(
        "The two slips on the same predictions",
        ("what", "measured", "off the right one, as a share"),
        tuple(rows),
        ("Nats an image, mean ± half the 95 % t interval over networks.",),
    )


def minus(text: str) -> str:
    """Replace hyphens by minus signs."""
    return text.replace("-", MINUS)


def notes_of(results: Sequence[RunResult]) -> tuple[str, ...]:
    images = next(len(o.test.labels) for o in results if o.test is not None)
    return (
        f"{len(results)} networks trained with {LOSS}, test accuracy "
        f"{plus_minus(mean_interval(accuracies(results)))} %, {images:,} test images each. The "
        "identities hold for any predictions; that they hold of these to the last digits says that "
        "none of the forms loses digits on what a network really says.",
        "The first slip writes ln of a sum as the sum of ln's, where it is the product of "
        "probabilities whose ln is the sum of ln's. The second writes 1 - ln f where ln(1 - f) is "
        "meant: minimised, it falls without end as dogs are made surer, and pushes hardest where "
        "the answer is right already.",
        "Computed from the probability f, binary cross-entropy loses its gradient in float32 where "
        "f rounds to 1, at outputs above 17; no test prediction here is that far out if the "
        "measures hold.",
    )


CLAIM = Claim(
    name="likelihood",
    question=(
        "Are minus the log-likelihood, binary cross-entropy, H(p, q) and KL + H(p) one number?"
    ),
    claim=(
        "They are, by value and by gradient, on what a network really says; with ln of a sum, or "
        "with 1 - ln f for ln(1 - f), it is another."
    ),
    refuted_by=(
        "Two of them differ by more than rounding on a network's test predictions, by value or by "
        "gradient; or a slip gives the same number, or has a lower bound."
    ),
    procedure=(
        f"Networks are trained with {LOSS} at a learning rate of {RATE:g}. Of their test "
        "predictions the likelihood is multiplied out with 30 digits, and minus its logarithm, "
        "over the number of images, is what five losses of this library must give as their mean: "
        f"to at most {APART['float64']:g} of it in float64 and {APART['float32']:g} in float32, "
        f"with targets 0 and 1 and with {SOFTENED:.0%} label smoothing. Their dL/dz must be f - t "
        f"to at most {STEEP['float64']:g} and {STEEP['float32']:g} at every image. On the same "
        f"predictions each slip must be off by above {OFF:g} of the right number, and the mean of "
        f"1 - ln f over dogs, with outputs lowered by {FAR:,.0f}, must fall by above {FALL:g} for "
        "each unit, both by the 95 % t interval over networks."
    ),
    source="Bishop 2006, Pattern Recognition and Machine Learning, sections 1.6.1 and 4.3.2",
    examine=examine,
)
