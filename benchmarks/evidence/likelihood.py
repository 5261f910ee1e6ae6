"""Claim: are likelihood, cross-entropy, H(p, q) and KL + H(p) one number?"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from statistics import fmean as mean

import numpy as np
from numpy.typing import NDArray

from lossbench.benchmarks.config import RunConfig
from lossbench.benchmarks.format import MINUS, magnitude
from lossbench.benchmarks.plots.curves import Axis, Curve, CurvePanel
from lossbench.benchmarks.plots.intervals import RowPanel
from lossbench.benchmarks.plots.panels import PanelFigure
from lossbench.benchmarks.records.claim import ClaimTable, Measure

from .claim import Analysis, Claim
from .design import Design, Expected, Quantity, Tested
from .figures import figure, seed_row
from .likelihood_forms import FAR, FORMS, SHIFTS, SMOOTHING, Forms, evaluate_forms
from .measures import at_most, tests_table
from .runs import accuracies, tested
from .text import mean_text

LOSS, RATE = "bce-with-logits", 0.1
# Largest relative difference of a form from the likelihood, and largest difference of its gradient
# from f - t: the rounding of float64 and of float32.
VALUE_ERROR = {"float64": 1e-12, "float32": 1e-5}
GRADIENT_ERROR = {"float64": 1e-12, "float32": 1e-6}
# A slip is another number if it differs by more than this fraction of the right one.
DIFFERENT = 0.01
# A loss has no lower bound if it falls by more than this times the logarithm of the factor by which
# far logits are multiplied.
FALL = 0.9

BCE = "binary cross-entropy"
SLIPS: dict[str, Callable[[Forms], float]] = {
    "slip: ln of the sum": lambda forms: forms.log_of_sum,
    "slip: ln(1 - ln f) for ln(1 - f)": lambda forms: forms.slip,
}
SLIP = list(SLIPS)[1]
# Losses whose colours the right and the wrong formula have.
RIGHT, WRONG = "cross-entropy", "sigmoid-mse"
BETWEEN = "from logits lowered by {:,.0f} to {:,.0f}".format(*FAR)


SLIP_NAMES = ("ln of a sum for the sum of ln's", "ln(1 - ln f) for ln(1 - f)")
DESIGN = Design(
    question=(
        "Are minus the log-likelihood, binary cross-entropy, H(p, q) and KL + H(p) one number?"
    ),
    expects=(
        *(
            Expected(
                f"slip, {name}: difference as a fraction of the right number",
                "above",
                DIFFERENT,
                "",
            )
            for name in SLIP_NAMES
        ),
        Expected(
            f"the same slip: its fall on dogs {BETWEEN}, over ln of the ratio",
            "above",
            FALL,
            "",
        ),
    ),
    cells={LOSS: RunConfig(LOSS, 0, RATE, epochs=3, evaluations=1, test=True)},
    looks=(3,),
)


@dataclass
class Likelihood(Analysis):
    """Test predictions of networks, and all forms evaluated on them."""

    def __post_init__(self) -> None:
        self.forms = [evaluate_forms(predictions) for predictions in tested(self.runs[LOSS])]

    def text(self, value: Callable[[Forms], float], digits: int) -> str:
        """Format the mean over networks with half its interval."""
        return mean_text(list(map(value, self.forms)), digits).replace("-", MINUS)

    def measures(self) -> Sequence[Measure]:
        seeds = len(self.forms)
        value_name = "largest relative difference of a form from the likelihood"
        gradient_name = "largest difference of a form's dL/dz from f - t at any image"
        errors = [
            at_most(f"{name}, {bits}", [error(forms)[bits] for forms in self.forms], limit, seeds)
            for name, error, limits in (
                (value_name, attrgetter("value_error"), VALUE_ERROR),
                (gradient_name, attrgetter("gradient_error"), GRADIENT_ERROR),
            )
            for bits, limit in limits.items()
        ]
        return (*errors, *(test.measure for test in self.tests()))

    def tests(self) -> list[Tested]:
        """Test whether the slips are other numbers."""
        differences = [Quantity(tuple(map(relative(slip), self.forms))) for slip in SLIPS.values()]
        return DESIGN.test([*differences, Quantity(tuple(each.slip_fall for each in self.forms))])

    def sentence(self) -> str:
        value_error = max(forms.value_error["float64"] for forms in self.forms)
        return (
            f"On test predictions {len(FORMS)} forms, from minus the log-likelihood to KL + H(p), "
            f"differ by at most {value_error:.0e} of their value in float64."
        )

    def figures(self) -> Sequence[PanelFigure]:
        return (self._forms_figure(), self._slip_figure())

    def _forms_figure(self) -> PanelFigure:
        rows = [
            seed_row(name, loss, [forms.values[name] for forms in self.forms], "{:.4f}")
            for name, loss in FORMS.items()
        ]
        rows += [
            seed_row(name, WRONG, list(map(slip, self.forms)), "{:.4f}", hollow=True)
            for name, slip in SLIPS.items()
        ]
        product = mean(map(likelihood, self.forms))
        listed = "; ".join(f"{row.label} {row.text}" for row in rows)
        return figure(
            "forms.png",
            [RowPanel(rows, "nats per image", references={product: "", 0.0: ""})],
            title="Five names of one number, and two slips",
            caption=(
                "Marker: mean over networks; bar: its 95 % interval; ticks: the networks. Line: "
                "minus ln of the product of the probabilities of all right classes, per image."
            ),
            alt=f"Nats per image: {listed}. The product itself: {product:.4f}.",
        )

    def _slip_figure(self) -> PanelFigure:
        forms = self.forms[0]
        order = np.argsort(forms.f)
        few = order[:: max(1, len(order) // 40)]
        gradients = {RIGHT: forms.f, WRONG: forms.slip_gradient}
        shifted = {RIGHT: forms.bce_shifted, WRONG: forms.slip_shifted}
        names = {RIGHT: BCE, WRONG: "slip"}
        left = [
            Curve(
                loss,
                forms.f[order],
                gradients[loss][order],
                name,
                points=(forms.f[few], gradients[loss][few]),
                emphasis=False,
            )
            for loss, name in names.items()
        ]
        right = [
            Curve(loss, SHIFTS, shifted[loss], name, markers="filled", emphasis=False)
            for loss, name in names.items()
        ]
        listed = "; ".join(
            f"{name} {', '.join(f'{g:.2f}' for g in mean_gradients(forms.f, gradients[loss]))}"
            for loss, name in names.items()
        )
        panels = [
            CurvePanel(
                left,
                Axis("probability f of being a cat\n← right                  wrong →"),
                Axis("dL/dz of a dog", limits=(-0.02, 1.06)),
            ),
            CurvePanel(
                right,
                Axis("amount by which all logits of dogs are lowered: ever surer and right"),
                Axis("mean loss of dogs, nats"),
                horizontals={0.0: ""},
            ),
        ]
        return figure(
            "slip.png",
            panels,
            title="ln(1 - ln f) in place of ln(1 - f), on one network's predictions for dogs",
            caption="Markers of the first panel: images of dogs.",
            alt=(
                f"First: mean dL/dz of dogs classified right, wrong: {listed}. Second: with logits "
                f"lowered by {SHIFTS[-1]:g} binary cross-entropy is at "
                f"{forms.bce_shifted[-1]:.4f}, the slip at {forms.slip_shifted[-1]:.1f}."
            ),
        )

    def tables(self) -> Sequence[ClaimTable]:
        return (self._forms_table(), self._slip_table(), tests_table(self.tests()))

    def _forms_table(self) -> ClaimTable:
        product = self.text(likelihood, 6)
        rows = [("the likelihood itself: -ln of the product", "30 digits", product, "")]
        for name, loss in FORMS.items():
            value = value_of(name)
            error = max(relative(value)(forms) for forms in self.forms)
            rows.append((name, loss, self.text(value, 6), magnitude(error)))
        for bits in VALUE_ERROR:
            value_error = max(forms.value_error[bits] for forms in self.forms)
            gradient_error = max(forms.gradient_error[bits] for forms in self.forms)
            gradient = f"error of dL/dz {gradient_error:.1e}"
            rows.append((f"all of them, {bits}", "", gradient, magnitude(value_error)))
        return ClaimTable(
            "One number on the same test predictions",
            ("form", "computed with", "nats per image", "largest relative error"),
            tuple(rows),
            (
                "Mean ± half the 95 % t interval over networks. The last two rows are the largest "
                f"errors with targets 0 and 1 and with {SMOOTHING:.0%} label smoothing, where H(p) "
                "is not 0; each loss is this library's own code.",
            ),
        )

    def _slip_table(self) -> ClaimTable:
        rows = [("sum of ln's, the right one", self.text(likelihood, 4), "")]
        for name, slip in SLIPS.items():
            rows.append((name, self.text(slip, 4), self.text(relative(slip), 3)))
        for name, gradient in ((BCE, attrgetter("f")), (SLIP, attrgetter("slip_gradient"))):
            means = [mean_gradients(forms.f, gradient(forms)) for forms in self.forms]
            right, wrong = (mean(column) for column in zip(*means, strict=True))
            text = f"{right:.3f}, {wrong:.3f}"
            rows.append((f"dL/dz of dogs classified right, wrong: {name}", text, ""))
        lowest: dict[str, Callable[[Forms], float]] = {
            BCE: lambda forms: float(forms.bce_shifted[-1]),
            SLIP: lambda forms: float(forms.slip_shifted[-1]),
        }
        for name, value in lowest.items():
            name = f"dogs alone, logits lowered by {SHIFTS[-1]:g}: {name}"
            rows.append((name, self.text(value, 4), ""))
        return ClaimTable(
            "The two slips on the same predictions",
            ("quantity", "measured", "relative difference from the right one"),
            tuple(rows),
            ("Nats per image, mean ± half the 95 % t interval over networks.",),
        )

    def notes(self) -> Sequence[str]:
        images = len(tested(self.runs[LOSS])[0].labels)
        return (
            f"{len(self.forms)} networks trained with {LOSS}, test accuracy "
            f"{mean_text(accuracies(self.runs[LOSS]))} %, {images:,} test images each. "
            "The identities hold for any predictions; that they hold for these to the last digits "
            "shows that no form loses digits on the outputs of a trained network.",
            "The first slip writes ln of a sum as the sum of ln's, where it is the product of "
            "probabilities whose ln is the sum of ln's. The second writes ln(1 - ln f) where "
            "ln(1 - f) is meant. Minimised, it has no lower bound: as dogs become surer it falls "
            "as minus the logarithm of the logit's size. Its gradient (1 - f) / (1 - ln f) is "
            "largest where the prediction is right already and vanishes where it is confidently "
            "wrong.",
            "Computed from the probability f, binary cross-entropy loses its gradient in float32 "
            "where f rounds to 1, at logits above 17; no test prediction reaches that if the "
            "measures hold.",
        )


def likelihood(forms: Forms) -> float:
    """Return minus the logarithm of the likelihood, per image."""
    return forms.likelihood


def value_of(name: str) -> Callable[[Forms], float]:
    """Return the function that gives the value of a form."""
    return lambda forms: forms.values[name]


def relative(value: Callable[[Forms], float]) -> Callable[[Forms], float]:
    """Return the function that gives the relative difference of a value from the likelihood."""
    return lambda forms: abs(value(forms) - forms.likelihood) / forms.likelihood


def mean_gradients(f: NDArray[np.float64], gradient: NDArray[np.float64]) -> list[float]:
    """Return the mean dL/dz of correctly classified dogs and of the others, NaN without any."""
    groups = (gradient[f <= 0.5], gradient[f > 0.5])
    return [float(group.mean()) if len(group) else math.nan for group in groups]


CLAIM = Claim(
    name="likelihood",
    claim=(
        "Minus the log-likelihood, binary cross-entropy, H(p, q) and KL + H(p) are one number, "
        "with one gradient."
    ),
    refuted_by=(
        "Two of them differ by more than rounding on a network's test predictions, by value or by "
        "gradient; or a slip gives the same number, or has a lower bound."
    ),
    procedure=(
        f"Networks are trained with {LOSS} at a learning rate of {RATE:g}. The likelihood of their "
        "test predictions is multiplied out with 30 digits, and minus its logarithm, over the "
        "number of images, is what five losses of this library must give as their mean: to at most "
        f"{VALUE_ERROR['float64']:g} of it in float64 and {VALUE_ERROR['float32']:g} in float32, "
        f"with targets 0 and 1 and with {SMOOTHING:.0%} label smoothing. Their dL/dz must be f - t "
        f"to at most {GRADIENT_ERROR['float64']:g} and {GRADIENT_ERROR['float32']:g} at every "
        "image. On the same predictions each slip must differ from the right number by above "
        f"{DIFFERENT:g} of it, and the mean of -ln(1 - ln f) over dogs must fall, {BETWEEN}, by "
        f"above {FALL:g} times the logarithm of their ratio."
    ),
    source="Bishop 2006, Pattern Recognition and Machine Learning, sections 1.6.1 and 4.3.2",
    kind="proved and checked",
    design=DESIGN,
    analysis=Likelihood,
)
