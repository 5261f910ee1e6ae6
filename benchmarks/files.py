"""Files that a reader sees whole or not at all."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any


def write_whole(path: Path, content: bytes) -> None:
    """Write under another name and rename: there is the old file, and then the whole new one.

    Raises OSError if it cannot be written; nothing is left behind then.
    """
    scratch = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        scratch.write_bytes(content)
        os.replace(scratch, path)
    finally:
        with suppress(OSError):
            scratch.unlink(missing_ok=True)


def write_arrays(path: Path, arrays: Mapping[str, Any]) -> None:
    """`write_whole` of arrays by name, as a compressed .npz."""
    import numpy as np  # the command's help needs none

    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    write_whole(path, buffer.getvalue())


def write_json(path: Path, value: Any) -> None:
    """`write_whole` of JSON. Raises ValueError for NaN and infinity, which JSON has not."""
    write_whole(path, (json.dumps(value, indent=2, allow_nan=False) + "\n").encode())
