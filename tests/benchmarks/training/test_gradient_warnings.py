import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lossbench.benchmarks.records.gradient_stats import GradientStats
from lossbench.benchmarks.training.gradient_probes import VANISHED_BELOW
from lossbench.benchmarks.training.gradient_warnings import (
    EXPLODED_ABOVE,
    GradientWarning,
    GradientWarnings,
)

ALIVE = {"conv.weight": 0.5, "bn.weight": 0.1, "bn.bias": 0.1, "head.weight": 1.0, "head.bias": 0.3}
DEAD = dict.fromkeys(ALIVE, 0.0)


def window(
    layers: dict[str, float] = ALIVE, *, wrong: int = 5, logit: float = 0.4
) -> GradientStats:
    return GradientStats(
        steps=1,
        examples=64,
        wrong=wrong,
        loss=1.0,
        accuracy=1 - wrong / 64,
        logit_mean_abs=logit,
        logit_when_wrong=logit if wrong else math.nan,
        vanished_fraction=float(logit < VANISHED_BELOW) if wrong else math.nan,
        parameter_norm=1.0,
        layers=layers,
        logit_log10=torch.zeros(64),
    )


def test_a_run_that_learns_is_left_alone() -> None:
    alarms = GradientWarnings("cross-entropy", 0)
    assert [alarms.look(step, window()) for step in range(5)] == [[]] * 5


def test_a_loss_without_gradient_is_one_line() -> None:
    alarms = GradientWarnings("zero-one", 2)
    (alarm,) = alarms.look(0, window(DEAD, logit=0.0))
    assert alarm == GradientWarning(
        loss="zero-one",
        seed=2,
        kind="vanished",
        layer="conv.weight",
        step=0,
        value=0.0,
        text="zero-one seed 2: the gradient of all 5 layers vanished at step 0 (0)",
    )
    assert alarms.look(10, window(DEAD, logit=0.0)) == []


def test_without_wrong_answers_a_gradient_may_go() -> None:
    assert GradientWarnings("bce", 0).look(0, window(DEAD, wrong=0, logit=0.0)) == []


@pytest.mark.parametrize(
    ("gone", "words"),
    [
        ({"conv.weight": 1e-7}, "the gradient of conv.weight vanished at step 1,250 (1e-07)"),
        (
            {"conv.weight": 3e-8, "bn.weight": 0.0, "bn.bias": 0.0},
            "the gradient of 3 of 5 layers, first conv.weight, vanished at step 1,250 (3e-08)",
        ),
    ],
)
def test_layers_are_named(gone, words: str) -> None:
    alarms = GradientWarnings("mse", 1)
    assert alarms.look(0, window()) == []
    (alarm,) = alarms.look(1250, window(ALIVE | gone))
    assert alarm.text == f"mse seed 1: {words}"
    assert (alarm.layer, alarm.value) == next(iter(gone.items()))


def test_the_logit_is_named() -> None:
    (alarm,) = GradientWarnings("bce", 0).look(3, window(logit=1e-9))
    assert alarm.layer == "logit"
    assert alarm.text == "bce seed 0: the gradient of the logit vanished at step 3 (1e-09)"
    (alarm,) = GradientWarnings("bce", 0).look(3, window(ALIVE | {"conv.weight": 1e-9}, logit=1e-9))
    assert "of the logit and of conv.weight vanished" in alarm.text


def test_what_follows_later_is_told_later_and_once() -> None:
    alarms = GradientWarnings("mse", 0)
    assert alarms.look(0, window()) == []
    first = alarms.look(10, window(ALIVE | {"conv.weight": 0.0}))
    assert [alarm.layer for alarm in first] == ["conv.weight"]
    second = alarms.look(20, window(DEAD))
    assert [alarm.layer for alarm in second] == ["bn.weight"]
    assert "4 of 5 layers" in second[0].text
    # Neither what comes back and goes again is told twice.
    assert alarms.look(30, window()) == []
    assert alarms.look(40, window(DEAD)) == []


@pytest.mark.parametrize("value", [math.nan, math.inf, EXPLODED_ABOVE * 1.01])
def test_an_explosion_is_told(value: float) -> None:
    alarms = GradientWarnings("mse", 0)
    (alarm,) = alarms.look(7, window(dict.fromkeys(ALIVE, value), logit=value))
    assert (alarm.kind, alarm.layer, alarm.step) == ("exploded", "conv.weight", 7)
    assert alarm.text.startswith("mse seed 0: the gradient of all 5 layers exploded at step 7 (")
    assert alarms.look(8, window(dict.fromkeys(ALIVE, value), logit=value)) == []


def test_both_kinds_in_one_window_are_two() -> None:
    layers = ALIVE | {"conv.weight": 0.0, "head.weight": 1e5}
    alarms = GradientWarnings("mse", 0)
    alarms.look(0, window())
    assert [alarm.kind for alarm in alarms.look(1, window(layers))] == ["vanished", "exploded"]


def test_a_bias_that_normalisation_takes_out_is_as_it_should_be() -> None:
    alarms = GradientWarnings("cross-entropy", 0)
    layers = {"conv.weight": 0.5, "conv.bias": 3e-9, "head.weight": 1.0, "head.bias": 0.2}
    for step, noise in enumerate([3e-9, 2e-8, 0.0, 1e-7, 2e-6, 4e-9]):
        assert alarms.look(step, window(layers | {"conv.bias": noise})) == []


def test_a_head_pulled_both_ways_alike_is_as_it_should_be() -> None:
    assert GradientWarnings("hinge", 0).look(0, window(ALIVE | {"head.bias": 0.0})) == []


def test_a_frozen_layer_is_as_it_should_be() -> None:
    layers = ALIVE | {"conv.weight": 0.0, "bn.weight": 0.0, "bn.bias": 0.0}
    alarms = GradientWarnings("cross-entropy", 0)
    assert alarms.look(0, window(layers)) == []
    assert alarms.look(10, window(layers)) == []
    # That does not hide what was alive.
    (alarm,) = alarms.look(20, window(DEAD))
    assert "of 2 of 5 layers, first head.weight," in alarm.text


norms = st.one_of(st.floats(min_value=0.0), st.just(math.nan), st.just(0.0))


@given(st.lists(st.lists(norms, min_size=5, max_size=5), max_size=8))
def test_nothing_is_told_twice_and_everything_in_one_line(rows: list[list[float]]) -> None:
    alarms = GradientWarnings("mse", 0)
    told = [
        alarm
        for step, row in enumerate(rows)
        for alarm in alarms.look(step, window(dict(zip(ALIVE, row, strict=True)), logit=row[0]))
    ]
    assert len({(alarm.kind, alarm.layer) for alarm in told}) == len(told)
    assert all(len(alarm.text.splitlines()) == 1 for alarm in told)
    exploded = any(not value <= EXPLODED_ABOVE for row in rows for value in row)
    assert exploded == any(alarm.kind == "exploded" for alarm in told)
    assert all(alarm.value < VANISHED_BELOW for alarm in told if alarm.kind == "vanished")


def test_what_has_been_told_is_not_told_again_by_one_that_goes_on() -> None:
    rows = [window(ALIVE), window(DEAD, logit=0.0), window(DEAD, logit=0.0)]
    alarms = GradientWarnings("mse", 0)
    told = [alarms.look(step, row) for step, row in enumerate(rows[:2])]
    assert told[1]
    later = GradientWarnings("mse", 0)
    later.restore(alarms.state())
    assert later.look(2, rows[2]) == []
    assert GradientWarnings("mse", 0).look(2, rows[2]) != []
