import dataclasses
import json
import math
from pathlib import Path

import pytest

from benchmarks.config import Comparison, check


def test_the_defaults_are_valid() -> None:
    check(Comparison())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("epochs", 0),
        ("batch_size", 1),
        ("seeds", 0),
        ("log_every", 0),
        ("evaluations", 0),
        ("width", 0),
        ("learning_rate", 0.0),
        ("learning_rate", -1.0),
        ("learning_rate", math.nan),
        ("learning_rate", math.inf),
        ("losses", ()),
        ("losses", ("mse", "bce", "mse")),
        ("name", ""),
        ("name", ".."),
        ("name", "a/b"),
        ("name", "a\\b"),
    ],
)
def test_a_value_that_no_comparison_can_have_is_refused_by_its_flag(field, value, refusal) -> None:
    config = dataclasses.replace(Comparison(), **{field: value})
    refusal(lambda: check(config), f"--{field.replace('_', '-')}")


def test_the_settings_survive_json() -> None:
    config = Comparison(losses=("mse", "bce"), runs=Path("somewhere"))
    back = json.loads(json.dumps(config.to_json()))
    back |= {"losses": tuple(back["losses"]), "runs": Path(back["runs"])}
    assert Comparison(**back) == config
