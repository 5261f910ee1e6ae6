"""Check the types of values read from JSON."""

from __future__ import annotations

import math
from typing import Any

NUMBER = int | float


def schema_error(value: Any, shape: Any, where: str = "") -> str | None:
    """Return where a value read from JSON differs from a shape, or None.

    Args:
        value: the value.
        shape: a type or a union of types (numbers must be finite); a list of one shape, that of
            every item; or a dictionary of shapes by key, any of which may be missing.
        where: keys that lead to the value, for the message.
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
    """Raise ValueError for NaN and Infinity, which JSON lacks; for
    `json.loads(parse_constant=...)`."""
    raise ValueError(f"{constant} is not JSON")
