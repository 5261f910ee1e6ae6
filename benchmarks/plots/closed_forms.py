"""closed_forms.png: value and gradient of each loss over the logit, without any training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from lossbench.benchmarks.format import indefinite_article
from lossbench.losses import registry
from lossbench.losses.kernels import closed_forms_only
from lossbench.losses.registry import Entry

from .canvas import (
    DPI,
    RC,
    SYNTHETIC,
    figure_height,
    label_margin,
    render_png,
    short_name,
    stamp_synthetic,
)
from .curves import Axis, Curve, CurvePanel, draw_panel

Z_LIMIT = 8.0
# The squared error of a raw output would flatten all others; its line leaves the axes instead.
VALUE_LIMITS = (-0.25, 9.0)
GRADIENT_LIMITS = (-2.25, 0.75)


def evaluate_at_logits(entry: Entry, z: Tensor, label: int = 1) -> tuple[Tensor, Tensor]:
    """Return value and gradient dL/dz of a loss at each logit, (N,) each.

    They are the one logit z of two classes, see `Entry.two_class_logits`. A multilabel loss gets
    class `label` as present and the other one as absent. The closed forms compute them, so that
    a figure needs no compiler and is the same on every machine.

    Args:
        entry: the loss.
        z: logits, (N,).
        label: the right class, 0 or 1.
    """
    z = z.detach().requires_grad_()
    labels = torch.full((len(z),), label)
    loss = entry.build(reduction="none")
    with closed_forms_only():
        value = entry.per_example_loss(loss, entry.two_class_logits(z), labels)
        (gradient,) = torch.autograd.grad(value.sum(), z)
    return value.detach(), gradient


def closed_form_panels(losses: Sequence[str], classes: Sequence[str] = ()) -> list[CurvePanel]:
    """Return two panels over the logit, value and gradient; none if no loss is registered.

    Args:
        losses: names; those that are not registered are left out.
        classes: class names by label; two of them label the axis.
    """
    # An even number of points: the jump of a step function at z = 0 falls between two.
    z = np.linspace(-Z_LIMIT, Z_LIMIT, 802)
    logits, known = torch.from_numpy(z), set(registry.names())
    curves = {
        loss: evaluate_at_logits(registry.entry(loss), logits) for loss in losses if loss in known
    }
    if not curves:
        return []
    wrong, right = classes if len(classes) == 2 else ("", "")
    two = len(classes) == 2
    target = f"the image is {indefinite_article(right)}" if two else "its class is the right one"
    ends = (
        (indefinite_article(wrong), indefinite_article(right))
        if two
        else ("another class", "this class")
    )
    x = Axis(
        f"logit z\n← confidently wrong: sure of {ends[0]}        sure of {ends[1]} →",
        limits=(-Z_LIMIT, Z_LIMIT),
    )
    titles = (
        f"What does a logit z cost when {target} (t = 1)?",
        "How large is the gradient with respect to that logit?",
    )
    axes = (Axis("loss L", limits=VALUE_LIMITS), Axis("gradient dL/dz", limits=GRADIENT_LIMITS))
    return [
        CurvePanel(
            [_curve(loss, z, parts[index].numpy(), axes[index]) for loss, parts in curves.items()],
            x,
            axes[index],
            titles[index],
            verticals={0: ""},
            horizontals={0: ""},
            label_side="left",
        )
        for index in (0, 1)
    ]


def _curve(loss: str, z: NDArray[Any], values: NDArray[Any], axis: Axis) -> Curve:
    low, high = axis.limits
    outside = low is None or high is None or not low <= values[0] <= high
    return Curve(loss, z, values, short_name(loss) + (" (off scale)" if outside else ""))


def draw_closed_forms(panels: Sequence[CurvePanel], *, synthetic: bool) -> bytes | None:
    """Draw the panels of `closed_form_panels`.

    Args:
        panels: two panels, or none.
        synthetic: stamp the figure.

    Returns:
        A PNG, None without panels.
    """
    if not panels:
        return None
    with matplotlib.rc_context(RC):
        count = len(panels[0].curves)
        height = figure_height(count)
        figure = Figure(figsize=(10, height), dpi=DPI)
        grid = figure.subplots(2, 1, sharex=True)
        margin = label_margin(curve.loss for curve in panels[0].curves)
        left, top, bottom = 0.30 + margin, 1 - 0.46 / height, 0.88 / height
        figure.subplots_adjust(left=left, right=0.925, top=top, bottom=bottom, hspace=0.24)
        for axes, panel in zip(grid, panels, strict=True):
            draw_panel(axes, panel, gap=0.085)
        grid[0].set_xlabel("")
        grid[0].tick_params(labelbottom=True)
        figure.align_ylabels()
        if synthetic:
            stamp_synthetic(figure)
        return render_png(figure, SYNTHETIC if synthetic else "closed forms of the losses")
