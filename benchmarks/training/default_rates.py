"""The learning rates of a comparison that names none: those of a search of the default setting.

The search is rates.json beside this file, as `lossbench tune` writes it; CONTRIBUTING.md has the
command.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lossbench.benchmarks.config import OPTIMIZERS

from .identities import find_identities, identity_rate

TABLE = Path(__file__).with_name("rates.json")


def read_table() -> dict[str, Any]:
    """Return the content of rates.json."""
    return dict(json.loads(TABLE.read_text(encoding="utf-8")))


def describe_table() -> str:
    """Describe the search in one line, for reports."""
    about = read_table()
    shared = about["shared"]
    return (
        f"searched on {about['data']['validation']:,} validation images of {about['data']['name']} "
        f"with {shared['model']}, {shared['epochs']} epochs, {shared['schedule']} schedule and "
        f"{about['seeds']} seeds ({about['date'][:10]})"
    )


def default_rates(names: Sequence[str]) -> dict[str, float]:
    """Return the learning rate of each loss with SGD, if none is named.

    It is that of the table. A loss that is a multiple of one in the table, for two classes, gets
    the rate that makes its steps equal, and every other loss the usual rate of SGD.

    Args:
        names: registered names of losses.
    """
    table = {name: float(loss["best"]) for name, loss in read_table()["losses"].items()}
    identities = find_identities([*table, *(name for name in names if name not in table)], 2)
    for name, identity in identities.items():
        table[name] = identity_rate(identity, table[identity.of], "sgd")
    return {name: table.get(name, OPTIMIZERS["sgd"].default) for name in names}
