"""Registry of losses by name. A registered loss can be trained, tested and benchmarked.

>>> from lossbench.losses import registry
>>> registry.names("binary")[:2]
('zero-one', 'probability-sum')
>>> registry.get("cross-entropy", label_smoothing=0.1)  # doctest: +NORMALIZE_WHITESPACE
CrossEntropyLoss(ignore_index=-100, label_smoothing=0.1, z_loss=0.0, softcap=None,
    reduction='mean')
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any, TypeVar

from torch import nn

from . import (
    absolute,
    asymmetric,
    bce,
    bernoulli,
    bi_tempered,
    checks,
    class_errors,
    cross_entropies,
    distillation,
    error_rate,
    focal,
    generalized_cross_entropies,
    hinge_embedding,
    hinges,
    imbalance,
    log_probabilities,
    multi_margin,
    own,
    poly,
    regression,
    similarity,
    soft_margin,
    squared_logs,
    symmetric_cross_entropies,
)
from .entries import TARGETS, Entry, Takes, Target, Task
from .kinds import stated

__all__ = [
    "ENTRIES",
    "Entry",
    "add",
    "entry",
    "get",
    "installed",
    "location",
    "names",
    "register",
]

ENTRIES: tuple[Entry, ...] = (
    *error_rate.ENTRIES,
    *focal.ENTRIES,
    *asymmetric.ENTRIES,
    *poly.ENTRIES,
    *squared_logs.ENTRIES,
    *bce.ENTRIES,
    *log_probabilities.ENTRIES,
    *bernoulli.ENTRIES,
    *cross_entropies.ENTRIES,
    *imbalance.ENTRIES,
    *distillation.ENTRIES,
    *cross_entropies.ENTRIES_OF_LOGITS,
    *regression.ENTRIES,
    *class_errors.ENTRIES,
    *absolute.ENTRIES,
    *similarity.ENTRIES,
    *hinges.ENTRIES,
    *multi_margin.ENTRIES,
    *hinge_embedding.ENTRIES,
    *soft_margin.ENTRIES,
    *generalized_cross_entropies.ENTRIES,
    *symmetric_cross_entropies.ENTRIES,
    *bi_tempered.ENTRIES,
)
"""The losses of this library. Catalogue, plots and tables follow this order."""

GROUP = "lossbench.losses"
"""Group of the entry points by which installed packages provide losses."""

Module = TypeVar("Module", bound=Callable[..., nn.Module])

_entries: dict[str, Entry] = {entry.name: entry for entry in ENTRIES}
_locations: dict[str, str] = {}


def names(task: Task | None = None) -> tuple[str, ...]:
    """Return the registered names, in the order of registration; those of `task` if given.

    Raises ValueError for an unknown task.
    """
    if task is not None and task not in TARGETS:
        raise ValueError(f"unknown task {task!r}: use one of {', '.join(TARGETS)}")
    return tuple(name for name, entry in _entries.items() if task in (None, entry.task))


def installed() -> tuple[str, ...]:
    """Return the names of losses that installed packages provide by an entry point.

    A package is imported, and its losses registered, when one of them is looked up by name.
    """
    return tuple(point.name for point in entry_points(group=GROUP) if point.name not in _entries)


def entry(name: str) -> Entry:
    """Return the entry of a loss.

    Args:
        name: a registered name, the name of an installed package's entry point, or
            'package.module:name', your own class, function or instance. It is registered
            under its own name, or as `package.module.name`. An '=' and words of
            `kinds.KINDS` may state what it takes; the rest is found by trying it.
    Raises:
        TypeError: name is not a string, or what it names is no loss.
        KeyError: there is no loss of that name; the message names the nearest one.
        ValueError: what a custom loss takes is stated wrongly, or is registered otherwise.
        ImportError: the module cannot be imported, or what its loss takes cannot be found out.
    """
    if not isinstance(name, str):
        raise TypeError(f"a loss is found by its name, not by {name!r}")
    if name in _entries:
        return _entries[name]
    if ":" in name:
        return _of_location(name)
    for point in entry_points(group=GROUP, name=name):
        loaded = _attempt(point.load, f"the installed loss {name!r} ({point.value})")
        return _entries[name] if name in _entries else _of_class(point.value, loaded)
    known = (*_entries, *installed())
    raise KeyError(
        f"unknown loss {name!r}: {checks.did_you_mean(name, known)}registered are "
        f"{', '.join(known)}; your own is package.module:name"
    )


def location(name: str) -> str | None:
    """Return where a registered custom loss was found, 'package.module:name' as in `entry`.

    In another process `entry` of it registers the same loss. None for the other losses.
    """
    return _locations.get(name)


def get(name: str, **settings: Any) -> nn.Module:
    """Build the module registered under `name`, with `settings`.

    Raises the errors of `entry`, and those of the module for wrong settings.

    >>> get("bce-with-logits", reduction="sum")
    BCEWithLogitsLoss(reduction='sum')
    >>> get("bce-with-logit")
    Traceback (most recent call last):
    KeyError: "unknown loss 'bce-with-logit': did you mean 'bce-with-logits'? ...
    """
    return entry(name).build(**settings)


def add(entry: Entry) -> None:
    """Register a loss. Raise ValueError if its name is taken, TypeError if it is not an Entry."""
    if not isinstance(entry, Entry):
        raise TypeError(f"what is added must be an Entry, not {type(entry).__name__}")
    if entry.name in _entries:
        raise ValueError(f"a loss named {entry.name!r} is already registered: choose another name")
    _entries[entry.name] = entry


def register(
    name: str,
    *,
    task: Task = "multiclass",
    takes: Takes = "logits",
    targets: tuple[Target, ...] = (),
    summary: str = "",
    **facts: Any,
) -> Callable[[Module], Module]:
    """Return a class decorator that registers a loss.

    The class takes `reduction`, and (input, target) when called. `targets` is by default
    ('probability',) for a binary loss and ('index',) for a multiclass one; the other arguments are
    the attributes of `Entry`. Without a `textbook` the tests and benchmarks leave out what needs
    one.

    >>> @register("margin", task="binary", summary="how far a logit is on the wrong side")
    ... class Perceptron(nn.Module):
    ...     def __init__(self, reduction="mean"):
    ...         super().__init__()
    ...         self.reduction = reduction
    ...
    ...     def forward(self, input, target):
    ...         each = (input * (1 - 2 * target)).clamp_min(0)
    ...         return each if self.reduction == "none" else each.mean()

    Raises ValueError if the name is taken, and what `Entry` raises.
    """
    if not isinstance(name, str):
        raise TypeError('a loss is registered with its name: @losses.register("my-loss")')

    def added(module: Module) -> Module:
        kinds = targets or TARGETS.get(task, ())[:1]
        about = {"textbook": None, "summary": summary or name, **facts}
        add(Entry(name, module, task, takes, kinds, **about))
        return module

    return added


def _imported(name: str) -> object:
    module_name, _, class_name = name.partition(":")
    # An installed command does not search the working directory; the user's module is there.
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    module = _attempt(lambda: importlib.import_module(module_name), f"module {module_name!r}")
    loaded = getattr(module, class_name, None)
    if loaded is None:
        near = checks.did_you_mean(class_name, dir(module))
        hint = near and f": {near.strip()}"
        raise ImportError(f"module {module_name!r} has no {class_name!r}{hint}")
    return loaded


def _attempt(load: Callable[[], object], what: str) -> object:
    try:
        return load()
    except (Exception, SystemExit) as error:  # what is imported may raise whatever it likes
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise ImportError(f"{what} cannot be imported: {reason}") from error


def _of_location(name: str) -> Entry:
    spec, _, after = name.partition("=")
    found, words = _imported(spec), after.split(",") if after else []
    known = next((e for e in _entries.values() if _stands_for(e, found)), None)
    if known is None:
        known = own.adopt(spec, found, words, ENTRIES)
        add(known)
    elif stated(words) and not set(words) <= {known.task, known.takes, *known.targets}:
        kind = ",".join((known.task, known.takes, known.targets[0]))
        raise ValueError(f"{spec} is registered as {kind}, which is not {after}")
    kind = f"={known.module.kind}" if isinstance(known.module, own.OwnLoss) else ""
    _locations[known.name] = spec + kind
    return known


def _stands_for(entry: Entry, found: object) -> bool:
    return entry.module is found or getattr(entry.module, "found", None) is found


def _of_class(name: str, module: object) -> Entry:
    for entry in _entries.values():
        if entry.module is module:
            return entry
    raise ImportError(f"{name} is not a registered loss: put @losses.register(...) above its class")
