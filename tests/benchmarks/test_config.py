import dataclasses
import json
import math
from pathlib import Path

import pytest

from lossbench.benchmarks.config import RESERVED_NAMES, CompareConfig, TuneConfig, validate
from lossbench.benchmarks.presets import PRESETS


def test_the_defaults_are_valid() -> None:
    validate(CompareConfig())
    validate(TuneConfig())


COMPARE = [
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
    ("weight_decay", -0.1),
    ("weight_decay", math.inf),
    ("validation", -0.1),
    ("validation", 1.0),
    ("validation", math.nan),
    ("seeds", 10**9),
    ("checkpoint_every", -1.0),
    ("checkpoint_every", math.nan),
    ("checkpoint_every", math.inf),
    ("losses", ()),
    ("losses", ("mse", "bce", "mse")),
    ("name", ""),
    ("name", ".."),
    ("name", "a/b"),
    ("name", "a\\b"),
    *(("name", name) for name in RESERVED_NAMES),
]
TUNE = [
    ("rates", ()),
    ("rates", (0.1,)),
    ("rates", (0.1, 0.1)),
    ("rates", (0.1, 0.0)),
    ("rates", (0.1, math.nan)),
    ("seeds", 0),
    ("workers", 0),
    ("validation", 0.0),
    ("epochs", 0),
]


@pytest.mark.parametrize(
    ("config", "field", "value"),
    [(CompareConfig(), *each) for each in COMPARE] + [(TuneConfig(), *each) for each in TUNE],
)
def test_an_impossible_value_is_refused_by_its_flag(config, field, value, refusal) -> None:
    config = dataclasses.replace(config, **{field: value})
    refusal(lambda: validate(config), f"--{field.replace('_', '-')}")


def test_rates_that_were_found_leave_no_room_for_another(refusal) -> None:
    tuned = dataclasses.replace(CompareConfig(), tuned=True)
    validate(tuned)
    refusal(lambda: validate(dataclasses.replace(tuned, learning_rate=0.3)), "0.3", "--tuned")
    preset = {**PRESETS["cifar-full"], "preset": "cifar-full", "tuned": True}
    validate(CompareConfig(**preset))
    refusal(lambda: validate(CompareConfig(**preset | {"learning_rate": 0.2})), "0.2", "--tuned")


def test_the_settings_survive_json() -> None:
    config = CompareConfig(losses=("mse", "bce"), runs=Path("somewhere"))
    back = json.loads(json.dumps(config.to_json()))
    back |= {"losses": tuple(back["losses"]), "runs": Path(back["runs"])}
    assert CompareConfig(**back) == config
