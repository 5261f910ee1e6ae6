"""closed_forms.png: value and gradient of each loss over the logit, without any training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from lossbench.benchmarks.format import indefinite_article
from lossbench.losses import registry
from lossbench.losses.registry import Entry

from .canvas import (
    DPI,
    FAINT,
    RC,
    Label,
    figure_height,
    label_lines,
    label_margin,
    line_style,
    render_png,
    short_name,
    stamp_synthetic,
)

Z_LIMIT = 8.0
# The squared error of a raw output would flatten all others; its line leaves the axes instead.
VALUE_LIMITS = (-0.25, 9.0)
GRADIENT_LIMITS = (-2.25, 0.75)


def evaluate_at_logits(entry: Entry, z: Tensor, label: int = 1) -> tuple[Tensor, Tensor]:
    """Return value and gradient dL/dz of a loss at each logit, (N,) each.

    A loss of rows gets the two logits (-z/2, z/2), whose difference is z. A multilabel loss gets
    class `label` as present and the other one as absent.

    Args:
        entry: the loss.
        z: logits, (N,).
        label: the right class, 0 or 1.
    """
    z = z.detach().requires_grad_()
    logits = z if entry.task == "binary" else torch.stack([-z / 2, z / 2], -1)
    labels = torch.full((len(z),), label)
    value = entry.per_example_loss(entry.build(reduction="none"), logits, labels)
    (gradient,) = torch.autograd.grad(value.sum(), z)
    return value.detach(), gradient


def draw_closed_forms(
    losses: list[str], *, synthetic: bool, classes: Sequence[str] = ()
) -> bytes | None:
    """Draw two panels over the logit: value and gradient.

    Args:
        losses: names; those that are not registered are left out.
        synthetic: stamp the figure.
        classes: class names by label; two of them label the axis.

    Returns:
        A PNG, None if no loss is registered.
    """
    # An even number of points: the jump of a step function at z = 0 falls between two.
    z = np.linspace(-Z_LIMIT, Z_LIMIT, 802)
    logits, known = torch.from_numpy(z), set(registry.names())
    curves = {
        loss: evaluate_at_logits(registry.entry(loss), logits) for loss in losses if loss in known
    }
    if not curves:
        return None
    wrong, right = classes if len(classes) == 2 else ("", "")
    two = len(classes) == 2
    target = f"the image is {indefinite_article(right)}" if two else "its class is the right one"
    ends = (
        (indefinite_article(wrong), indefinite_article(right))
        if two
        else ("another class", "this class")
    )
    with matplotlib.rc_context(RC):
        height = figure_height(len(curves))
        figure = Figure(figsize=(10, height), dpi=DPI)
        upper, lower = figure.subplots(2, 1, sharex=True)
        left, top, bottom = 0.30 + label_margin(curves), 1 - 0.46 / height, 0.88 / height
        figure.subplots_adjust(left=left, right=0.925, top=top, bottom=bottom, hspace=0.24)
        upper.set_title(f"What does a logit z cost when {target} (t = 1)?")
        upper.set_ylabel("loss L")
        lower.set_title("How large is the gradient with respect to that logit?")
        lower.set_ylabel("gradient dL/dz")
        lower.set_xlabel(
            f"logit z\n← confidently wrong: sure of {ends[0]}        sure of {ends[1]} →"
        )
        values = {loss: value.numpy() for loss, (value, _) in curves.items()}
        gradients = {loss: gradient.numpy() for loss, (_, gradient) in curves.items()}
        _draw(upper, z, values, VALUE_LIMITS)
        _draw(lower, z, gradients, GRADIENT_LIMITS)
        upper.tick_params(labelbottom=True)
        figure.align_ylabels()
        if synthetic:
            stamp_synthetic(figure)
        return render_png(figure, "SYNTHETIC IMAGES" if synthetic else "closed forms of the losses")


def _draw(
    axes: Axes, z: NDArray[Any], curves: dict[str, NDArray[Any]], limits: tuple[float, float]
) -> None:
    """Draw the curves, with labels at the left, where the losses differ most."""
    labels = []
    for loss, values in curves.items():
        axes.plot(z, values, **line_style(loss))
        y = min(max(float(values[0]), limits[0]), limits[1])
        suffix = "" if y == values[0] else " (off scale)"
        labels.append(Label(y, short_name(loss) + suffix, loss))
    axes.set_xlim(-Z_LIMIT, Z_LIMIT)
    axes.set_ylim(*limits)
    axes.axvline(0, color=FAINT, linewidth=0.8, zorder=1)
    axes.axhline(0, color=FAINT, linewidth=0.8, zorder=1)
    axes.yaxis.tick_right()
    axes.yaxis.set_label_position("right")
    axes.spines[["left", "right"]].set_visible(False)
    axes.grid(color="#E6E6E6", zorder=0)
    label_lines(axes, labels, gap=0.085, left=True)
