"""Gradients that have vanished or exploded, told once each."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

from lossbench.benchmarks.records.gradient_stats import GradientStats

from .gradient_probes import VANISHED_BELOW

EXPLODED_ABOVE = 1e3
"""A gradient norm larger than this, or one that is no finite number, has exploded. Without a loss
that runs away, norms of a layer are between 1e-3 and 1e2."""

LOGIT = "logit"
"""The name among the layers of dL/dz itself."""

Kind = Literal["vanished", "exploded"]


@dataclass(frozen=True)
class GradientWarning:
    """A gradient that has vanished or exploded.

    Attributes:
        loss, seed: the run.
        kind: which of the two.
        layer: the first parameter that it happened to, in the model's order, or 'logit'.
        step: the last of the logging window that it was seen in.
        value: that layer's mean gradient norm over the window; of the logit, mean |dL/dz| over the
            wrongly classified examples where it has vanished, over all where it has exploded.
        text: all of it in one line.
    """

    loss: str
    seed: int
    kind: Kind
    layer: str
    step: int
    value: float
    text: str


class GradientWarnings:
    """Looks at a run's logging windows, in their order.

    A gradient has exploded if it is above `EXPLODED_ABOVE` or not finite. It has vanished if it is
    below `VANISHED_BELOW` while some of the window's answers are wrong, with two exceptions, both
    of which are as they should be. A parameter without a gradient beside one of the same module
    that has one:
    the bias of a convolution before a batch normalisation, which takes the bias out again; the
    bias of a head where as many examples pull one way as the other. And a parameter whose gradient
    has been exactly 0 since the run began while others' has not: it is frozen, or not in use.

    What has been told of a layer is not told again in the same run.
    """

    def __init__(self, loss: str, seed: int) -> None:
        self.loss, self.seed = loss, seed
        self.told: set[tuple[Kind, str]] = set()
        self.in_use: set[str] = set()

    def state(self) -> dict[str, Any]:
        """What has been told and seen, in plain values."""
        return {"told": sorted(self.told), "in_use": sorted(self.in_use)}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` gave."""
        self.told = {(kind, name) for kind, name in state["told"]}
        self.in_use = set(state["in_use"])

    def look(self, step: int, window: GradientStats) -> list[GradientWarning]:
        """What is new in the window that ends with `step`: at most one alarm of each kind."""
        self.in_use |= {name for name, norm in window.layers.items() if norm != 0}
        found: tuple[tuple[Kind, dict[str, float]], ...] = (
            ("vanished", self._vanished(window)),
            ("exploded", self._exploded(window)),
        )
        alarms = []
        for kind, values in found:
            new = {name: value for name, value in values.items() if (kind, name) not in self.told}
            if new:
                self.told |= {(kind, name) for name in new}
                alarms.append(self._alarm(kind, step, new, len(window.layers)))
        return alarms

    def _vanished(self, window: GradientStats) -> dict[str, float]:
        if not window.wrong:
            return {}
        alive = {
            module_of(name) for name, norm in window.layers.items() if not norm < VANISHED_BELOW
        }
        gone = {
            name: norm
            for name, norm in window.layers.items()
            if module_of(name) not in alive and (name in self.in_use or not self.in_use)
        }
        if window.logit_when_wrong < VANISHED_BELOW:
            gone[LOGIT] = window.logit_when_wrong
        return gone

    def _exploded(self, window: GradientStats) -> dict[str, float]:
        values = {**window.layers, LOGIT: window.logit_mean_abs}
        return {name: value for name, value in values.items() if not value <= EXPLODED_ABOVE}

    def _alarm(
        self, kind: Kind, step: int, values: dict[str, float], layers: int
    ) -> GradientWarning:
        layer, value = next(iter(values.items()))
        hit = len(values) - (LOGIT in values)
        if hit == layers:
            where = "all layers" if layers == 1 else f"all {layers} layers"
        else:
            where = layer if hit == 1 else f"{hit} of {layers} layers, first {layer}"
            if LOGIT in values:
                where = f"the logit and of {where}" if hit else "the logit"
        comma = "," if ", " in where else ""
        text = (
            f"{self.loss} seed {self.seed}: the gradient of {where}{comma} {kind} at step {step:,} "
            f"({value:.3g})"
        )
        return GradientWarning(self.loss, self.seed, kind, layer, step, value, text)


def module_of(parameter: str) -> str:
    """'head' of 'head.bias'."""
    return parameter.rpartition(".")[0]


COLUMNS = [field.name for field in dataclasses.fields(GradientWarning)]
"""Those of warnings.csv."""
