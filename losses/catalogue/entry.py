"""What is known of a registered loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from torch import Tensor, nn

Task = Literal["binary", "multiclass", "multilabel"]
Takes = Literal["logits", "probabilities", "log-probabilities", "outputs", "distances"]
Target = Literal["probability", "sign", "index", "distribution", "labels"]


@dataclass(frozen=True)
class Entry:
    """A registered loss.

    Attributes:
        name: its name in commands, files and plots.
        module: its class. Called without arguments (but for `settings`) it gives the loss with
            default settings; it takes `reduction`, and with 'none' gives one number an example.
        task: 'binary', a number and a target for each example; 'multiclass', a row of numbers and
            one right class; 'multilabel', a row of numbers and any number of right classes.
        takes: what those numbers are. 'outputs' are fitted to the target themselves, 'distances'
            are small for class 1 and never negative.
        targets: the kinds of target it takes, the usual one first: 'probability' of class 1, of
            the input's shape; 'sign', +1 or -1 for class 1 or 0; 'index' of the right class;
            'distribution', a row of probabilities; 'labels', a row that lists the right classes
            and is filled up with -1.
        reference: the same loss in plain torch, (input, target, reduction) -> Tensor; None if
            there is none, and what compares with one is left out.
        summary: what it is, in a few words.
        settings: arguments of `module` that make it this loss.
        images: whether it takes (N, C, d1, ..., dK), and not (C,) and (N, C) alone.
        formula, gradient: L and dL/dz, in the notation of `losses.functional`.
        range: the values that L can have.
        use: when to take it.
        source: the paper or the torch function that it is from.
    """

    name: str
    module: Callable[..., nn.Module]
    task: Task
    takes: Takes
    targets: tuple[Target, ...]
    reference: Callable[..., Tensor] | None
    summary: str
    settings: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    images: bool = True
    formula: str = ""
    gradient: str = ""
    range: str = ""
    use: str = ""
    source: str = ""

    def build(self, **settings: Any) -> nn.Module:
        """The module with `settings`, those of the entry where they are not given."""
        return self.module(**{**self.settings, **settings})
