"""Name -> loss. What is registered can be trained, tested and measured by its name.

>>> from losses import registry
>>> registry.get("cross-entropy", label_smoothing=0.1)
CrossEntropyLoss(reduction='mean', ignore_index=-100, label_smoothing=0.1)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

from torch import Tensor, nn

from . import modules, reference

Task = Literal["binary", "multiclass"]
Takes = Literal["logits", "probabilities", "log-probabilities", "outputs"]


@dataclass(frozen=True)
class Entry:
    """A registered loss.

    Attributes:
        name: its name in commands, files and plots.
        module: its class. Called without arguments it gives the loss with default settings; it
            takes `reduction`, and with 'none' gives one number an example.
        task: 'binary', a number and a float target for each example, or 'multiclass', a row of
            numbers and a class index.
        takes: what those numbers are. 'outputs' are fitted to the target themselves.
        reference: the same loss in plain torch, (input, target, reduction) -> Tensor.
        summary: what it is, in a few words.
    """

    name: str
    module: Callable[..., nn.Module]
    task: Task
    takes: Takes
    reference: Callable[..., Tensor]
    summary: str


_entries: dict[str, Entry] = {
    entry.name: entry
    for entry in (
        Entry(
            "zero-one",
            modules.ZeroOneLoss,
            "binary",
            "logits",
            reference.zero_one,
            "count of wrong predictions",
        ),
        Entry(
            "probability-sum",
            modules.ProbabilitySumLoss,
            "binary",
            "logits",
            reference.probability_sum,
            "1 minus the probability of the right class",
        ),
        Entry(
            "bce",
            modules.BCELoss,
            "binary",
            "probabilities",
            reference.bce,
            "binary cross-entropy of probabilities",
        ),
        Entry(
            "bce-with-logits",
            modules.BCEWithLogitsLoss,
            "binary",
            "logits",
            reference.bce_with_logits,
            "binary cross-entropy from logits",
        ),
        Entry(
            "cross-entropy",
            modules.CrossEntropyLoss,
            "multiclass",
            "logits",
            reference.cross_entropy,
            "softmax cross-entropy",
        ),
        Entry(
            "nll",
            modules.NLLLoss,
            "multiclass",
            "log-probabilities",
            reference.nll,
            "negative log-likelihood of log-probabilities",
        ),
        Entry(
            "sigmoid-mse",
            modules.SigmoidMSELoss,
            "binary",
            "logits",
            reference.sigmoid_mse,
            "half the squared error of a sigmoid",
        ),
        Entry(
            "mse",
            modules.MSELoss,
            "binary",
            "outputs",
            reference.mse,
            "squared error of the raw output",
        ),
        Entry(
            "softmax-mse",
            modules.SoftmaxMSELoss,
            "multiclass",
            "logits",
            reference.softmax_mse,
            "squared error of a softmax (Brier)",
        ),
        Entry(
            "bernoulli-sum",
            modules.BernoulliSumLoss,
            "multiclass",
            "logits",
            reference.bernoulli_sum,
            "sum of Bernoulli cross-entropies of a softmax",
        ),
    )
}


def names(task: Task | None = None) -> tuple[str, ...]:
    """The registered names, in the order of registration; of one task, if given."""
    return tuple(name for name, entry in _entries.items() if task in (None, entry.task))


def entry(name: str) -> Entry:
    """What is registered under `name`.

    Raises KeyError, with the nearest valid name, if nothing is.
    """
    if name not in _entries:
        near = get_close_matches(name, _entries, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise KeyError(f"unknown loss {name!r}: {hint}registered are {', '.join(_entries)}")
    return _entries[name]


def get(name: str, **settings: object) -> nn.Module:
    """The module registered under `name`, built with `settings`.

    Raises KeyError for an unknown name, and what the module raises for wrong settings.
    """
    return entry(name).module(**settings)


def register(entry: Entry) -> None:
    """Add a loss of one's own. Raises ValueError if its name is taken."""
    if entry.name in _entries:
        raise ValueError(f"a loss named {entry.name!r} is already registered: choose another name")
    _entries[entry.name] = entry
