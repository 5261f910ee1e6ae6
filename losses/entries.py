"""Entry of the registry: a loss, what it takes, and its texts for the catalogue."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import checks
from .textbook import of_examples, settings_of

Task = Literal["binary", "multiclass", "multilabel"]
Takes = Literal["logits", "probabilities", "log-probabilities", "outputs", "distances"]
Target = Literal["probability", "sign", "index", "distribution", "logits", "labels"]

TARGETS: dict[str, tuple[Target, ...]] = {
    "binary": ("probability", "sign"),
    "multiclass": ("index", "distribution", "logits"),
    "multilabel": ("labels", "probability"),
}
"""Task -> kinds of target, the default first."""


@dataclass(frozen=True)
class Entry:
    """A registered loss.

    Attributes:
        name: name in commands, files and plots.
        module: class of the loss. Its arguments have defaults. It takes `reduction`; with 'none'
            it returns one number per example, or per element.
        task: 'binary': one number and one target per example. 'multiclass': a row of numbers and
            one right class. 'multilabel': a row of numbers and any number of right classes.
        takes: the kind of these numbers. 'outputs' are fitted to the target itself; 'distances' are
            not negative, and small for class 1.
        targets: the kinds of target that it takes, the default first. 'probability': of class 1,
            of the input's shape. 'sign': +1 for class 1, -1 for class 0. 'index': the right class.
            'distribution': a row of probabilities. 'logits': a teacher's row of logits.
            'labels': a row that lists the right classes, padded with -1.
        textbook: the loss as one writes it in plain torch, (z, t, settings...) -> Tensor, as in
            `losses.textbook`; its settings are attributes of the module. None: no comparison.
        summary: description in a few words.
        settings: arguments of `module` that make it this loss.
        images: whether it takes (N, C, d1, ..., dK) besides (C,) and (N, C).
        formula, gradient: L and dL/dz, in the notation of `losses.functional`.
        range: values that L can have.
        use: purpose of the loss.
        source: paper or torch function.

    Raises ValueError for a name that is not a valid file name or for an unknown task, `takes` or
    target, TypeError for a module, textbook, settings or targets of another type.
    """

    name: str
    module: Callable[..., nn.Module]
    task: Task
    takes: Takes
    targets: tuple[Target, ...]
    textbook: Callable[..., Tensor] | None
    summary: str
    settings: Mapping[str, Any] = field(default_factory=dict, hash=False)
    images: bool = True
    formula: str = ""
    gradient: str = ""
    range: str = ""
    use: str = ""
    source: str = ""

    def __post_init__(self) -> None:
        if not (isinstance(self.name, str) and re.fullmatch(r"[a-z0-9][a-z0-9._-]*", self.name)):
            raise ValueError(
                f"{self.name!r} cannot be the name of a loss: use lower-case letters, digits, '-', "
                "'_' and '.'"
            )
        if not callable(self.module) or isinstance(self.module, nn.Module):
            raise TypeError(
                f"module of the loss {self.name!r} must be a class that gives modules, not "
                f"{self.module!r}"
            )
        if not (self.textbook is None or callable(self.textbook)):
            raise TypeError(f"textbook of the loss {self.name!r} must be a function or None")
        if not isinstance(self.settings, Mapping):
            raise TypeError(f"settings of the loss {self.name!r} must be a dict")
        self._one_of("task", self.task, get_args(Task))
        self._one_of("takes", self.takes, get_args(Takes))
        if isinstance(self.targets, str) or not self.targets:
            raise TypeError(
                f"targets of the loss {self.name!r} must be a tuple of names, not {self.targets!r}"
            )
        for target in self.targets:
            self._one_of("targets", target, TARGETS[self.task])

    def _one_of(self, field: str, value: object, known: tuple[str, ...]) -> None:
        if value not in known:
            raise ValueError(
                f"{field} of the loss {self.name!r} cannot be {value!r}: "
                f"{checks.did_you_mean(value, known)}use one of {', '.join(known)}"
            )

    def build(self, **settings: Any) -> nn.Module:
        """Return the module, built with `settings` over those of the entry."""
        return self.module(**{**self.settings, **settings})

    def build_of_torch(self, **settings: Any) -> nn.Module | None:
        """Return torch.nn's own module of this loss, built like `build`; None if it has none."""
        module = getattr(nn, getattr(self.module, "__name__", ""), None)
        if not (isinstance(self.module, type) and module in self.module.__mro__):
            return None
        try:
            return module(**{**self.settings, **settings})  # type: ignore[no-any-return]
        except TypeError:  # a setting that torch has not
            return None

    def textbook_settings(self, **settings: Any) -> dict[str, Any]:
        """Return what the textbook formula takes by name, with `settings` over the entry's."""
        names = settings_of(self.textbook) if self.textbook else ()
        module = self.build(**settings) if names else None
        return {name: getattr(module, name) for name in names}

    @property
    def reference(self) -> Callable[..., Tensor] | None:
        """The textbook formula for any input and target that the loss takes, with autograd.

        (input, target, reduction='mean', **settings) -> Tensor; None without a formula.
        """
        return None if self.textbook is None else self._reference

    def _reference(
        self, input: Tensor, target: Tensor, reduction: str = "mean", **settings: Any
    ) -> Tensor:
        assert self.textbook is not None
        formula = partial(self.textbook, **self.textbook_settings(**settings))
        return of_examples(formula, input, target, reduction, classes=self.task != "binary")

    def input_from_logits(self, logits: Tensor) -> Tensor:
        """Return what the loss takes, for a network's logits (N,) or (N, C).

        Probabilities are the sigmoid (binary) or softmax, log-probabilities the log-softmax.
        Distances are softplus(-z): they shrink as the predicted probability of the class rises.
        Logits and outputs are z itself.
        """
        match self.takes:
            case "probabilities":
                return logits.sigmoid() if self.task == "binary" else logits.softmax(-1)
            case "log-probabilities":
                return logits.log_softmax(-1)
            case "distances":
                return F.softplus(-logits)
        return logits

    def two_class_logits(self, z: Tensor) -> Tensor:
        """Return what stands for the one logit z of two classes, (N,) or (N, 2) from z (N,).

        A binary loss is given z. A loss of rows is given (-z/2, z/2): their softmax is
        (1 - sigmoid(z), sigmoid(z)). If it fits rows to the target itself, it is given
        (1/2 - z/2, 1/2 + z/2): one-hot for z = -1 and z = 1, the targets of a binary loss of
        outputs.
        """
        if self.task == "binary":
            return z
        rows = torch.stack([-z, z], -1) / 2
        return rows + 0.5 if self.takes == "outputs" else rows

    def target_from_labels(
        self, labels: Tensor, logits: Tensor, target_type: Target | None = None
    ) -> Tensor:
        """Return the loss's target for class indices (N,), one right class per example.

        Args:
            labels: integers in {0, 1} for logits (N,), in [0, C) for logits (N, C).
            logits: give the number of classes and the target's dtype.
            target_type: one of `targets`, by default the first. Binary losses of outputs get 'sign'
                by default, so that the network's output is above 0 for class 1, as with logits.

        For logits (N, C) the target is (N, C) unless it is 'index'. At the right class and at all
        others it is 1 and 0 for 'probability' and 'distribution', 1 and -1 for 'sign', and 0 and
        -inf for 'logits', those of a teacher who is certain. 'labels' is a row of class indices
        that ends with -1, as `multilabel_margin_loss` takes it: here the one right class.
        """
        if target_type is None:
            fitted = self.task == "binary" and self.takes == "outputs"
            target_type = "sign" if fitted else self.targets[0]
        if target_type == "index":
            return labels
        if target_type == "labels":
            return F.pad(labels.unsqueeze(1), (0, logits.shape[1] - 1), value=-1)
        if logits.dim() > 1:
            labels = F.one_hot(labels.long(), logits.shape[1])
        target = labels.to(logits.dtype)
        if target_type == "logits":
            return target.log()
        return 2 * target - 1 if target_type == "sign" else target

    def per_example_loss(
        self, loss: Callable[[Tensor, Tensor], Tensor], logits: Tensor, labels: Tensor
    ) -> Tensor:
        """Return the loss (N,) of a network's logits (N,) or (N, C) and class indices (N,).

        A loss with one number per element is summed over the classes.

        Args:
            loss: `build(reduction="none")`, or another function of input and target.

        >>> import torch
        >>> from lossbench.losses import registry
        >>> entry = registry.entry("bce")
        >>> z, labels = torch.tensor([0.0, 2.0]), torch.tensor([0, 1])
        >>> entry.per_example_loss(entry.build(reduction="none"), z, labels)
        tensor([0.6931, 0.1269])
        """
        each = loss(self.input_from_logits(logits), self.target_from_labels(labels, logits))
        return each.sum(1) if each.dim() > 1 else each
