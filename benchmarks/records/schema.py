"""Whether what was read from JSON has the shape that is wanted."""

from __future__ import annotations

import math
from typing import Any

NUMBER = int | float


def schema_error(value: Any, shape: Any, where: str = "") -> str | None:
    """What in a value read from JSON has not the shape that is wanted, None if all of it has.

    Args:
        shape: a type or a union of them, of which numbers are finite ones; a list of one shape,
            that of every item; or a dictionary of shapes by key, of which any may be missing.
        where: the keys that lead to the value, for the message.
    """
    kind = type(shape) if isinstance(shape, list | dict) else shape
    if not isinstance(value, kind) or (isinstance(value, float) and not math.isfinite(value)):
        wanted = getattr(kind, "__name__", kind)
        return f"{where.lstrip('.') or 'it'} should be {wanted}, not {value!r:.40}"
    if isinstance(shape, list):
        inner = ((each, shape[0], f"{where}[{place}]") for place, each in enumerate(value))
    elif isinstance(shape, dict):
        inner = ((value[k], shape[k], f"{where}.{k}") for k in shape if k in value)
    else:
        return None
    return next((wrong for each in inner if (wrong := schema_error(*each))), None)


def reject_constant(constant: str) -> None:
    """For `json.loads`: Python reads NaN and Infinity, and JSON has neither. Raises ValueError."""
    raise ValueError(f"{constant} is not JSON")
