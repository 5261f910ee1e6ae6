"""The forms that are one number by the claim, and the two slips that are not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from mpmath import mp  # type: ignore[import-untyped]

from lossbench.benchmarks.training.result import Predictions
from lossbench.losses import functional as F

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

FORMS = {
    "minus ln of the likelihood": "nll",
    "binary cross-entropy": "bce",
    "the same, from logits": "bce-with-logits",
    "H(p, q)": "cross-entropy",
    "KL(p, q) + H(p)": "kl-div",
}
"""Name of each form and the loss that computes it."""

SOFTENED = 0.1
"""Label smoothing of the second set of targets, beside 0 and 1; with it H(p) is not 0."""

LOWERED = np.arange(21.0)
FAR = 1000.0
"""Amount by which the logits of dogs are lowered, to see how low a loss can go."""


@dataclass(frozen=True)
class Reading:
    """Values of all forms for the predictions of one network.

    Attributes:
        product: minus the logarithm of the product of the probabilities of all right answers,
            divided by the number of images N; computed with 30 digits.
        values: mean of every form over the images, in float64.
        apart: largest relative difference of a form from the product, by precision.
        steep: largest difference of a form's dL/dz from f - t, by precision.
        log_of_sum: minus the logarithm of the sum of these probabilities, divided by N.
        slip: mean of -[t ln f + (1 - t)(1 - ln f)].
        f, pushed, slipped: for dogs, their probability f of being a cat, and dL/dz of binary
            cross-entropy, f, and of the slip, 1 - f.
        bounded, unbounded: mean loss of dogs as their logits are lowered by `LOWERED`: binary
            cross-entropy and the slip.
        fall: decrease of the slip when the logits are lowered by `FAR`.
    """

    product: float
    values: dict[str, float]
    apart: dict[str, float]
    steep: dict[str, float]
    log_of_sum: float
    slip: float
    f: NDArray[np.float64]
    pushed: NDArray[np.float64]
    slipped: NDArray[np.float64]
    bounded: NDArray[np.float64]
    unbounded: NDArray[np.float64]
    fall: float


def read(said: Predictions) -> Reading:
    """Compute all forms for a network with one logit.

    Raises:
        ValueError: it has more outputs or a non-finite output, or a class is missing.
    """
    if said.outputs.shape[1] != 1 or not np.isfinite(said.outputs).all():
        raise ValueError("one finite output an image was wanted")
    if set(said.labels.tolist()) != {0, 1}:
        raise ValueError(f"dogs and cats were wanted, not labels {set(said.labels.tolist())}")
    z = said.outputs[:, 0].astype(np.float64)
    labels = said.labels.astype(np.float64)
    hard, values = compared(z, labels)
    soft, _ = compared(z, (1 - SOFTENED) * labels + SOFTENED / 2)
    dogs = z[labels == 0]
    f = np.exp(log_sigmoid(dogs))
    lowered = dogs[:, None] - LOWERED
    at = -1 + log_sigmoid(dogs).mean()
    return Reading(
        product=minus_log_product(z, labels),
        values=values,
        apart={bits: float(np.maximum(hard[bits][0], soft[bits][0])) for bits in hard},
        steep={bits: float(np.maximum(hard[bits][1], soft[bits][1])) for bits in hard},
        log_of_sum=float(-np.log(np.exp(log_sigmoid((2 * labels - 1) * z)).sum()) / len(z)),
        slip=float(slip(z, labels).mean()),
        f=f,
        pushed=f,
        slipped=np.exp(log_sigmoid(-dogs)),
        bounded=-log_sigmoid(-lowered).mean(0),
        unbounded=slip(lowered, np.zeros_like(lowered)).mean(0),
        fall=float((at - slip(dogs - FAR, np.zeros_like(dogs)).mean()) / FAR),
    )


def compared(
    z: NDArray[np.float64], t: NDArray[np.float64]
) -> tuple[dict[str, tuple[float, float]], dict[str, float]]:
    """Return the largest differences from the product and from f - t by precision, and the
    values."""
    truth = minus_log_product(z, t)
    slope = (1 - t) * np.exp(log_sigmoid(z)) - t * np.exp(log_sigmoid(-z))
    off: dict[str, tuple[float, float]] = {}
    values: dict[str, float] = {}
    for bits, dtype in (("float64", torch.float64), ("float32", torch.float32)):
        logit = torch.tensor(z, dtype=dtype, requires_grad=True)
        means, slopes = {}, []
        for name, each in forms(logit, torch.tensor(t, dtype=dtype)).items():
            (gradient,) = torch.autograd.grad(each.sum(), logit, retain_graph=True)
            means[name] = float(each.detach().mean())
            slopes.append(float(np.abs(gradient.double().numpy() - slope).max()))
        apart = np.abs(np.array(list(means.values())) - truth) / truth
        # NumPy's maximum of a NaN is NaN.
        off[bits] = (float(apart.max()), float(np.max(slopes)))
        values = values or means
    return off, values


def forms(z: Tensor, t: Tensor) -> dict[str, Tensor]:
    """Return every form of each image, (N,), from its logit and its probability of being a cat."""
    rows = torch.stack([-z / 2, z / 2], 1)
    q, p = torch.log_softmax(rows, 1), torch.stack([1 - t, t], 1)
    classes = [torch.full_like(t, label, dtype=torch.int64) for label in (0, 1)]
    each = [F.nll_loss(q, label, reduction="none") for label in classes]
    computed = {
        "nll": p[:, 0] * each[0] + p[:, 1] * each[1],
        "bce": F.binary_cross_entropy(torch.sigmoid(z), t, reduction="none"),
        "bce-with-logits": F.binary_cross_entropy_with_logits(z, t, reduction="none"),
        "cross-entropy": F.cross_entropy(rows, p, reduction="none"),
        "kl-div": F.kl_div(q, p, reduction="none").sum(1) - torch.xlogy(p, p).sum(1),
    }
    return {name: computed[loss] for name, loss in FORMS.items()}


def minus_log_product(z: NDArray[np.float64], t: NDArray[np.float64]) -> float:
    """Return -ln of the product over images of f^t (1 - f)^(1 - t), divided by their number.

    This is the likelihood by definition, multiplied with 30 digits: float64 has no number so small.
    """
    with mp.workdps(30):
        product = mp.mpf(1)
        for logit, target in zip(z.tolist(), t.tolist(), strict=True):
            f = 1 / (1 + mp.exp(-mp.mpf(logit)))
            rest = 1 / (1 + mp.exp(mp.mpf(logit)))
            product *= f**target * rest ** (1 - mp.mpf(target))
        return float(-mp.log(product) / len(z))


def log_sigmoid(z: NDArray[Any]) -> NDArray[np.float64]:
    """Return ln f, also where f rounds to 0."""
    values: NDArray[np.float64] = -np.logaddexp(0.0, -z)
    return values


def slip(z: NDArray[np.float64], t: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return -[t ln f + (1 - t)(1 - ln f)], which has 1 - ln f in place of ln(1 - f)."""
    log = log_sigmoid(z)
    return -(t * log + (1 - t) * (1 - log))
