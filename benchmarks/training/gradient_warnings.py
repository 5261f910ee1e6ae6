"""Detect gradients that have vanished or exploded, and warn once of each."""

from __future__ import annotations

from typing import Any

from lossbench.benchmarks.records.gradient_stats import GradientStats
from lossbench.benchmarks.records.results import GradientWarning, WarningKind

from .gradient_stats import VANISHED_BELOW

EXPLODED_ABOVE = 1e3
"""Norm above which a gradient counts as exploded. Usual norms of a layer are 1e-3 to 1e2."""

SHARE_OF_ERROR = 0.01
"""Fraction of the error |f - t| below which the gradient of wrong predictions has vanished."""

OFTEN_WRONG = 0.1
"""Fraction of wrong predictions from which on a gradient is compared with their error."""

LOGIT = "logit"
"""Name of dL/dz among the layers."""


class GradientWarnings:
    """Detector of vanished and exploded gradients of one run.

    A gradient has exploded if it is above `EXPLODED_ABOVE` or not finite. It has vanished if it is
    below `VANISHED_BELOW` while some predictions are wrong. The mean |dL/dz| of wrong predictions
    has vanished as well if at least `OFTEN_WRONG` of all are wrong and it is below `SHARE_OF_ERROR`
    of their error. The error |f - t| of a wrong prediction is at least 1/2; its mean over the
    logits of C classes is at least 1/C. It is the gradient of cross-entropy. Of parameters, two
    kinds are left out:

    - a parameter beside another one of the same module that has a gradient. Batch normalization
      cancels the bias of the convolution before it, and the bias of a head has no gradient where
      the examples of both classes balance;
    - a parameter whose gradient has been exactly 0 in all of the run, while others have one: it is
      frozen or unused.

    Each layer is warned of once per kind.

    Args:
        loss, seed: the run.
        num_classes: of the data.
    """

    def __init__(self, loss: str, seed: int, num_classes: int = 2) -> None:
        self.loss, self.seed = loss, seed
        self.least_error = 1 / num_classes
        self.warned: set[tuple[WarningKind, str]] = set()
        self.in_use: set[str] = set()

    def state_dict(self) -> dict[str, Any]:
        """Return what was warned of and seen, in plain values."""
        return {"warned": sorted(self.warned), "in_use": sorted(self.in_use)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self.warned = {(kind, name) for kind, name in state["warned"]}
        self.in_use = set(state["in_use"])

    def check(self, step: int, stats: GradientStats) -> list[GradientWarning]:
        """Return the new warnings of a logging interval, at most one of each kind.

        Args:
            step: the last of the interval.
            stats: its statistics.
        """
        self.in_use |= {name for name, norm in stats.layers.items() if norm != 0}
        kinds: tuple[tuple[WarningKind, dict[str, float]], ...] = (
            ("vanished", self._vanished(stats)),
            ("exploded", self._exploded(stats)),
        )
        warnings = []
        for kind, layers in kinds:
            new = {name: value for name, value in layers.items() if (kind, name) not in self.warned}
            if new:
                self.warned |= {(kind, name) for name in new}
                warnings.append(self._warning(kind, step, new, len(stats.layers)))
        return warnings

    def _vanished(self, stats: GradientStats) -> dict[str, float]:
        if not stats.wrong:
            return {}
        alive = {
            module_of(name) for name, norm in stats.layers.items() if not norm < VANISHED_BELOW
        }
        vanished = {
            name: norm
            for name, norm in stats.layers.items()
            if module_of(name) not in alive and (name in self.in_use or not self.in_use)
        }
        often = stats.wrong >= OFTEN_WRONG * stats.examples
        enough = SHARE_OF_ERROR * self.least_error if often else VANISHED_BELOW
        if stats.logit_when_wrong < enough:
            vanished[LOGIT] = stats.logit_when_wrong
        return vanished

    def _exploded(self, stats: GradientStats) -> dict[str, float]:
        values = {**stats.layers, LOGIT: stats.logit_mean_abs}
        return {name: value for name, value in values.items() if not value <= EXPLODED_ABOVE}

    def _warning(
        self, kind: WarningKind, step: int, values: dict[str, float], layers: int
    ) -> GradientWarning:
        layer, value = next(iter(values.items()))
        count = len(values) - (LOGIT in values)
        if count == layers:
            where = "all layers" if layers == 1 else f"all {layers} layers"
        else:
            where = layer if count == 1 else f"{count} of {layers} layers, first {layer}"
            if LOGIT in values:
                where = f"the logit and of {where}" if count else "the logit"
        number = f"{value:.3g}"
        if kind == "vanished" and list(values) == [LOGIT]:
            where = "wrong predictions"
            number = f"mean |dL/dz| {number}, where |f - t| is {self.least_error:.3g} or more"
        comma = "," if ", " in where else ""
        text = (
            f"{self.loss} seed {self.seed}: the gradient of {where}{comma} {kind} at step {step:,} "
            f"({number})"
        )
        return GradientWarning(self.loss, self.seed, kind, layer, step, value, text)


def module_of(parameter: str) -> str:
    """Return the module's name of a parameter: 'head' for 'head.bias'."""
    return parameter.rpartition(".")[0]
