"""Dataclasses as plain data for JSON, and back, by their type hints."""

from __future__ import annotations

import dataclasses
import math
import types
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import ArrayLike

NOT_IN_JSON = ("nan", "inf", "-inf")
"""Texts of the numbers that JSON lacks."""


def to_plain(value: Any) -> Any:
    """Return a value as lists, dictionaries by name, texts, finite numbers and None.

    A mapping becomes a list of pairs, because its keys may be numbers. Fields that have their
    default are left out.

    Args:
        value: a dataclass, a mapping, a sequence, an array, a text, a number or None.
    """
    if dataclasses.is_dataclass(value):
        return dict(_fields(value))
    if isinstance(value, Mapping):
        return [[to_plain(key), to_plain(part)] for key, part in value.items()]
    if isinstance(value, np.ndarray | np.generic):
        return to_plain(value.tolist())
    if isinstance(value, list | tuple):
        return [to_plain(part) for part in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def from_plain(hint: Any, value: Any, where: str = "it") -> Any:
    """Return what `to_plain` made plain; sequences are tuples, and arrays of float64.

    Args:
        hint: the type: a dataclass or a hint of its fields.
        value: read from JSON.
        where: names the value in a message.

    Raises:
        ValueError: the value is not of the type.
    """
    origin, args = get_origin(hint), get_args(hint)
    if hint == ArrayLike:
        return np.array(from_plain(Sequence[float], value, where), np.float64)
    if origin in (Union, types.UnionType):
        return _one_of(args, value, where)
    if dataclasses.is_dataclass(hint) and isinstance(value, dict):
        return _dataclass(hint, value, where)
    if isinstance(value, list):
        if origin is Sequence:
            parts = enumerate(value)
            return tuple(from_plain(args[0], part, f"{where}[{i}]") for i, part in parts)
        if origin is Mapping:
            pair = types.GenericAlias(tuple, args)
            return dict(from_plain(pair, part, where) for part in value)
        if origin is tuple and len(value) == len(args):
            return tuple(from_plain(*part, where) for part in zip(args, value, strict=True))
    if hint is float and (type(value) in (int, float) or value in NOT_IN_JSON):
        return _number(value, where)
    if value in args if origin is Literal else type(value) is hint:
        return value
    wanted = getattr(hint, "__name__", hint)
    raise ValueError(f"{where} should be {wanted}, not {value!r:.40}")


def _fields(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield name and plain value of the fields that have not their default."""
    for field in dataclasses.fields(value):
        plain = to_plain(getattr(value, field.name))
        if _is_required(field) or plain != to_plain(_default(field)):
            yield field.name, plain


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return _default(field) is dataclasses.MISSING


def _default(field: dataclasses.Field[Any]) -> Any:
    made = field.default_factory
    return field.default if made is dataclasses.MISSING else made()


def _number(value: float | str, where: str) -> float:
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if isinstance(value, int | float) and math.isinf(number):
        raise ValueError(f"{where} should be a number of float64, not {value!r:.40}")
    return number


def _one_of(hints: Sequence[Any], value: Any, where: str) -> Any:
    """Return the value as the first of the types that it can be."""
    problems = []
    for hint in hints:
        try:
            return from_plain(hint, value, where)
        except ValueError as error:
            problems.append(error)
    raise problems[0]


def _dataclass(cls: Any, value: Mapping[str, Any], where: str) -> Any:
    hints, known = get_type_hints(cls), {}
    for field in dataclasses.fields(cls):
        if field.name in value:
            part = value[field.name]
            known[field.name] = from_plain(hints[field.name], part, f"{where}.{field.name}")
        elif _is_required(field):
            raise ValueError(f"{where} has no {field.name}")
    return cls(**known)
