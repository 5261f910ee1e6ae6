"""Custom losses that are not registered: any callable of (input, target).

>>> from lossbench.losses import registry
>>> entry = registry.entry("torch.nn.functional:soft_margin_loss")
>>> entry.task, entry.takes, entry.targets
('binary', 'logits', ('sign',))
>>> registry.location(entry.name)
'torch.nn.functional:soft_margin_loss=binary,logits,sign'
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from torch import Tensor, nn

from .entries import Entry
from .kinds import Loss, LossKind, NoKindError, find_kind, stated


class OwnLoss:
    """Builder of a custom loss: the `module` of its entry.

    Attributes:
        found: the class, function or instance.
        kind: what it takes.
        how: how that is known, in a few words.
    """

    def __init__(self, found: Callable[..., Any], kind: LossKind, how: str, module: str) -> None:
        self.found, self.kind, self.how = found, kind, how
        self.__module__ = module  # whose code the results depend on

    def __call__(self, reduction: str = "none") -> nn.Module:  # noqa: ARG002
        """Build the loss, always with one number per example or element."""
        return PerExample(unreduced(self.found), elements=self.kind.task == "binary")


class PerExample(nn.Module):
    """A loss that returns a number per example or element, made of one that may return their mean.

    A single number counts for each example. So their mean and its gradient are those of the loss.

    Args:
        loss: the callable.
        elements: whether it is a loss of single numbers. It is then given all numbers in one row.
    """

    def __init__(self, loss: Loss, *, elements: bool) -> None:
        super().__init__()
        self.loss, self.elements = loss, elements

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        if not self.elements:
            each = self.loss(input, target)
            return each if each.dim() else each.expand(len(input))
        each = self.loss(input.flatten(), target.flatten())
        return each.view(input.shape) if each.dim() else each.expand(input.shape)


def adopt(spec: str, found: object, words: Sequence[str], known: Iterable[Entry]) -> Entry:
    """Return an entry for a class, function or instance that is not registered.

    Args:
        spec: 'package.module:name' of it.
        found: the class, which is instantiated without arguments, function or instance. If it
            takes `reduction`, or has it as an attribute, that is 'none'.
        words: what it takes: words of a kind. What they leave open is found by trying it.
        known: registered entries; torch.nn's own class of one of them takes what that one takes.

    Raises:
        ValueError: a word is unknown, or no kind has all of them.
        TypeError: it cannot be called, or adds up its examples.
        ImportError: it cannot be built, or what it takes cannot be found out; the message says how
            to state it.
    """
    kinds = stated(words)
    if not callable(found):
        raise TypeError(f"{spec} cannot be called: it is of type {type(found).__name__}")
    kind, how = _kind_in_torch(found, known), "as lossbench's own"
    if kind not in kinds:
        kind, coupled = _tried(spec, found, kinds, trusted=bool(words))
        how = "as stated" if len(kinds) == 1 else "found by trying it"
        how += ", not the mean of its examples" * coupled
    return Entry(
        spec.replace(":", ".").lower(),
        OwnLoss(found, kind, how, spec.partition(":")[0]),
        kind.task,
        kind.takes,
        (kind.target,),
        textbook=None,
        summary=f"{spec}={kind}",
        images=False,
    )


def unreduced(found: Callable[..., Any]) -> Loss:
    """Return the callable of (input, target) that a class, function or instance is.

    With `reduction='none'`, where there is such an argument or attribute; an instance is copied.
    """
    if isinstance(found, type):
        takes_reduction = "reduction" in _arguments(found)
        return found(reduction="none") if takes_reduction else found()  # type: ignore[no-any-return]
    if isinstance(getattr(found, "reduction", None), str):
        found = copy.deepcopy(found)
        found.reduction = "none"  # type: ignore[attr-defined]
    elif isinstance(found, nn.Module):
        found = copy.deepcopy(found)
    elif "reduction" in _arguments(found):
        return partial(found, reduction="none")
    return found


def _arguments(found: Callable[..., Any]) -> tuple[str, ...]:
    try:
        return tuple(inspect.signature(found).parameters)
    except (TypeError, ValueError):  # some callables in C have none
        return ()


def _kind_in_torch(found: object, known: Iterable[Entry]) -> LossKind | None:
    """Return what a class of torch.nn takes, by the registered loss that stands for it."""
    for entry in known:
        module = entry.module
        if isinstance(module, type) and found in module.__mro__[1:] and found is not nn.Module:
            kind = LossKind(entry.task, entry.takes, entry.targets[0])
            fitted = kind.task == "binary" and kind.takes == "outputs"
            return kind._replace(target="sign") if fitted else kind
    return None


def _tried(
    spec: str, found: Callable[..., Any], kinds: Sequence[LossKind], *, trusted: bool
) -> tuple[LossKind, bool]:
    try:
        loss = unreduced(found)
    except Exception as error:  # a user's class may raise anything
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise ImportError(
            f"{spec} cannot be built without arguments: {reason}; name an instance or a function"
        ) from error
    try:
        return find_kind(loss, kinds, trusted=trusted)
    except NoKindError as error:
        raise ImportError(
            f"what {spec} takes cannot be found out: {error}; state it, such as "
            f"{spec}=binary,logits,probability or {spec}=multiclass,logits,index"
        ) from error
