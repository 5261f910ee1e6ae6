"""Files that a reader sees whole or not at all."""

from __future__ import annotations

import json
import os
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


def write_json(path: Path, value: Any) -> None:
    """`write_whole` of JSON. Raises ValueError for NaN and infinity, which JSON has not."""
    write_whole(path, (json.dumps(value, indent=2, allow_nan=False) + "\n").encode())
