"""Read JSON, and check the types of its values."""

from __future__ import annotations

import json
import math
import types
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from lossbench.benchmarks.errors import UserError, one_line

NUMBER = int | float


def schema_error(value: Any, shape: Any, where: str = "") -> str | None:
    """Return where a value read from JSON differs from a shape, or None.

    Args:
        value: the value.
        shape: a type or a union of types (numbers must be finite); a list of one shape, that of
            every item; a dictionary of shapes by key, any of which may be missing; or a tuple of
            texts, one of which it is.
        where: keys that lead to the value, for the message.
    """
    if isinstance(shape, tuple):
        if value in shape:
            return None
        return f"{where.lstrip('.') or 'it'} should be {' or '.join(shape)}, not {value!r:.40}"
    expected = type(shape) if isinstance(shape, list | dict) else shape
    if not isinstance(value, expected) or (isinstance(value, float) and not math.isfinite(value)):
        wanted = getattr(expected, "__name__", expected)
        return f"{where.lstrip('.') or 'it'} should be {wanted}, not {value!r:.40}"
    if isinstance(shape, list):
        inner = ((each, shape[0], f"{where}[{index}]") for index, each in enumerate(value))
    elif isinstance(shape, dict):
        inner = ((value[k], shape[k], f"{where}.{k}") for k in shape if k in value)
    else:
        return None
    return next((wrong for each in inner if (wrong := schema_error(*each))), None)


def read_json(path: Path, missing: str) -> Any:
    """Read a file of JSON, which has no NaN and no infinity.

    Raises:
        UserError: the file cannot be read; its text is `missing` if there is none.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"), parse_constant=_reject_constant)
    except FileNotFoundError:
        raise UserError(missing) from None
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"cannot read {path}: {one_line(error)}") from None


def _reject_constant(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def dataclass_shape(cls: type) -> dict[str, Any]:
    """Return the shape of a dataclass as JSON, for `schema_error`, from its type hints."""
    hints = get_type_hints(cls, include_extras=True)
    return {name: _shape(hint) for name, hint in hints.items()}


def _shape(hint: Any) -> Any:
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _shape(args[0])
    if origin is Literal:
        return args
    if origin is tuple:
        return [_shape(args[0])]
    if origin in (Union, types.UnionType):
        shapes = [_shape(each) for each in args]
        # A list has no union: a setting of a list or None is a list in JSON.
        if lists := [shape for shape in shapes if isinstance(shape, list)]:
            return lists[0]
        return reduce(or_, shapes)
    return NUMBER if hint is float else str if hint is Path else hint
