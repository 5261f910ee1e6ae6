"""The article's figure: size of the gradient over the probability of the right class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from lossbench.losses import registry
from lossbench.losses.kernels import closed_forms_only

from .closed_forms import evaluate_at_logits
from .curves import Axis, Curve, CurvePanel

FORMULAS = {
    "bce-with-logits": ("cross-entropy", "cross-entropy\n|f - t|"),
    "sigmoid-mse": ("sigmoid-mse", "squared error\n|(f - t) f (1 - f)|"),
}
"""Loss -> the loss whose style its curve has, and the label of the curve."""


def gradient_sizes(loss: str, p: Sequence[float]) -> list[float]:
    """Return |dL/dz| of a loss where the right class has the probabilities p, each inside (0, 1).

    By symmetry it is the same for both classes of the losses of `FORMULAS`.
    """
    z = torch.logit(torch.tensor(p, dtype=torch.float64))
    with closed_forms_only():
        _, gradient = evaluate_at_logits(registry.entry(loss), z)
    sizes: list[float] = gradient.abs().tolist()
    return sizes


def confidence_panel(marks: Mapping[str, float]) -> CurvePanel:
    """Return the gradients of cross-entropy and of the squared error of a sigmoid.

    Args:
        marks: name -> probability of the right class, of images marked on both curves.
    """
    p, marked = np.linspace(1e-4, 1 - 1e-4, 201).tolist(), list(marks.values())
    curves = [
        Curve(
            styled, p, gradient_sizes(loss, p), text, points=(marked, gradient_sizes(loss, marked))
        )
        for loss, (styled, text) in FORMULAS.items()
    ]
    return CurvePanel(
        curves,
        Axis(
            "probability of the right class\n← confidently wrong            right →",
            ticks={0: "0", 0.25: "0.25", 0.5: "0.5", 0.75: "0.75", 1: "1"},
            limits=(0, 1),
        ),
        Axis("size of dL/dz", limits=(0, 1.05)),
        verticals={p: name for name, p in marks.items()},
        label_side="left",
    )
