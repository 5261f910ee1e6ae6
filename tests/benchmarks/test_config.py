import dataclasses
import json
import math
from pathlib import Path

import pytest

from lossbench.benchmarks.config import (
    OPTIMIZERS,
    RESERVED_NAMES,
    CompareConfig,
    RunConfig,
    TuneConfig,
    rates_of,
    validate,
)
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
    for rate in (0.1, 0.3):
        given = dataclasses.replace(tuned, learning_rate=rate)
        refusal(lambda given=given: validate(given), str(rate), "--tuned")
    preset = {**PRESETS["cifar-full"], "preset": "cifar-full", "tuned": True}
    # No search has its settings: a search needs validation images.
    refusal(lambda: validate(CompareConfig(**preset)), "--tuned", "--validation 0.1")
    preset["validation"] = 0.1
    validate(CompareConfig(**preset))
    refusal(lambda: validate(CompareConfig(**preset | {"learning_rate": 0.2})), "0.2", "--tuned")


def test_an_optimizer_has_its_usual_rates_unless_others_are_given() -> None:
    for name, usual in OPTIMIZERS.items():
        for optimizer in (name, f"{name}(eps=1)"):
            assert rates_of(CompareConfig(optimizer=optimizer)) == (usual.default,)
            assert rates_of(TuneConfig(optimizer=optimizer)) == usual.tried
        assert rates_of(CompareConfig(optimizer=name, learning_rate=7.0)) == (7.0,)
        assert rates_of(TuneConfig(optimizer=name, rates=(1.0, 2.0))) == (1.0, 2.0)
        assert sorted(usual.tried) == list(usual.tried)
        assert usual.default in usual.tried[1:-1]


@pytest.mark.parametrize("optimizer", ["adm", "", "(momentum=0)", "Adam", "torch.optim.Adam"])
def test_an_unknown_optimizer_is_refused(optimizer: str, refusal) -> None:
    for config in (CompareConfig(learning_rate=0.1), TuneConfig()):
        wrong = dataclasses.replace(config, optimizer=optimizer)
        refusal(lambda wrong=wrong: validate(wrong), "unknown optimizer", "package.module:Class")


def test_a_class_needs_a_rate_or_a_search(refusal) -> None:
    own = "torch.optim:RMSprop"
    refusal(lambda: validate(CompareConfig(optimizer=own)), own, "--learning-rate")
    refusal(lambda: validate(TuneConfig(optimizer=own)), own, "--rates")
    validate(CompareConfig(optimizer=own, learning_rate=0.01))
    validate(CompareConfig(optimizer=own, tuned=True))
    validate(TuneConfig(optimizer=own, rates=(0.01, 0.1)))


def test_a_run_is_known_again_after_its_images_have_moved() -> None:
    run = RunConfig("mse", 0, 0.1, data="here")
    assert (
        run.key()
        == dataclasses.replace(
            run, data="there", split=("test=a",), classes=("a", "b"), duplicates="drop"
        ).key()
    )
    assert run.key(of="images") != run.key(of="others")
    assert run.key() != dataclasses.replace(run, seed=1).key()


def test_the_settings_survive_json() -> None:
    config = CompareConfig(
        losses=("mse", "bce"), split=("test=a",), classes=("a", "b"), runs=Path("somewhere")
    )
    back = json.loads(json.dumps(config.to_json()))
    back |= {name: tuple(back[name]) for name in ("losses", "split", "classes")}
    back |= {"runs": Path(back["runs"])}
    assert CompareConfig(**back) == config
