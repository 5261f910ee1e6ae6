"""Reliability diagrams: accuracy against confidence."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lossbench.benchmarks.config import REFERENCE
from lossbench.benchmarks.stats.metrics import reliability

from .curves import Axis, Curve, CurvePanel

CALIBRATED = "accuracy = confidence"


def reliability_panel(
    loss: str, probabilities: NDArray[Any], labels: NDArray[np.int64], text: str
) -> CurvePanel:
    """Return accuracy over confidence in 15 bins, beside the line of calibrated predictions.

    The area of a marker is the share of the predictions in its bin.

    Args:
        loss: loss whose style the curve has.
        probabilities: (N, K).
        labels: (N,).
        text: text in the panel.
    """
    confidence, accuracy, count = reliability(probabilities, labels)
    filled = count > 0
    x, y = 100 * confidence[filled], 100 * accuracy[filled]
    shares = tuple((count[filled] / count.sum()).tolist())
    least = 100 / probabilities.shape[1]
    lowest = min(0.6 * least, float(y.min()) - 5)
    ends = [least, 100]
    return CurvePanel(
        [
            Curve(REFERENCE, ends, ends, emphasis=False, muted=True, name=CALIBRATED),
            Curve(loss, x, y, shares=shares),
        ],
        Axis("confidence, %", limits=(least - 3, 103)),
        Axis("accuracy, %", limits=(lowest, 103)),
        loss,
        text=text,
    )
