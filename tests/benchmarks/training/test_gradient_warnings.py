import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lossbench.benchmarks.records.gradient_stats import GradientStats
from lossbench.benchmarks.training.gradient_stats import VANISHED_BELOW
from lossbench.benchmarks.training.gradient_warnings import (
    EXPLODED_ABOVE,
    GradientWarning,
    GradientWarnings,
)
from lossbench.benchmarks.training.objective import Objective

from ..samples import gradient_stats

ALIVE = {"conv.weight": 0.5, "bn.weight": 0.1, "bn.bias": 0.1, "head.weight": 1.0, "head.bias": 0.3}
DEAD = dict.fromkeys(ALIVE, 0.0)


def stats(layers: dict[str, float] = ALIVE, *, wrong: int = 5, logit: float = 0.4) -> GradientStats:
    return gradient_stats(
        wrong=wrong,
        logit_when_wrong=logit if wrong else math.nan,
        vanished_fraction=float(logit < VANISHED_BELOW) if wrong else math.nan,
        layers=layers,
    )


def test_a_run_that_learns_is_left_alone() -> None:
    warnings = GradientWarnings("cross-entropy", 0)
    assert [warnings.check(step, stats()) for step in range(5)] == [[]] * 5


def test_a_loss_without_gradient_is_one_line() -> None:
    warnings = GradientWarnings("zero-one", 2)
    (warning,) = warnings.check(0, stats(DEAD, logit=0.0))
    assert warning == GradientWarning(
        loss="zero-one",
        seed=2,
        kind="vanished",
        layer="conv.weight",
        step=0,
        value=0.0,
        text="zero-one seed 2: the gradient of all 5 layers vanished at step 0 (0)",
    )
    assert warnings.check(10, stats(DEAD, logit=0.0)) == []


def test_without_wrong_answers_a_gradient_may_go() -> None:
    assert GradientWarnings("bce", 0).check(0, stats(DEAD, wrong=0, logit=0.0)) == []


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
    warnings = GradientWarnings("mse", 1)
    assert warnings.check(0, stats()) == []
    (warning,) = warnings.check(1250, stats(ALIVE | gone))
    assert warning.text == f"mse seed 1: {words}"
    assert (warning.layer, warning.value) == next(iter(gone.items()))


def test_the_logit_is_named() -> None:
    (warning,) = GradientWarnings("bce", 0).check(3, stats(logit=1e-9))
    assert warning.layer == "logit"
    assert warning.text == (
        "bce seed 0: the gradient of wrong predictions vanished at step 3 (mean |dL/dz| 1e-09, "
        "where |f - t| is 0.5 or more)"
    )
    (warning,) = GradientWarnings("bce", 0).check(
        3, stats(ALIVE | {"conv.weight": 1e-9}, logit=1e-9)
    )
    assert "of the logit and of conv.weight vanished" in warning.text


@pytest.mark.parametrize(
    ("classes", "wrong", "logit", "vanished"),
    [
        # sigmoid-mse at 50 %, sure of the wrong class; cross-entropy there; one mistake of 64.
        (2, 32, 3e-4, True),
        (2, 32, 0.98, False),
        (2, 32, 0.0049, True),
        (2, 32, 0.0051, False),
        (2, 1, 3e-4, False),
        (2, 1, 9e-7, True),
        (10, 57, 0.00099, True),
        (10, 57, 0.00101, False),
    ],
)
def test_a_gradient_far_below_the_error_has_vanished(classes, wrong, logit, vanished) -> None:
    found = GradientWarnings("sigmoid-mse", 0, classes).check(0, stats(wrong=wrong, logit=logit))
    assert [(each.kind, each.layer, each.value) for each in found] == (
        [("vanished", "logit", logit)] if vanished else []
    )


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_a_wrong_prediction_has_at_least_the_error_that_vanishing_is_measured_by(classes) -> None:
    objective = Objective("cross-entropy", classes)
    generator = torch.Generator().manual_seed(0)
    outputs = torch.randn(4000, objective.num_outputs, generator=generator) * torch.logspace(
        -6, 2, 4000
    ).unsqueeze(1)
    labels = torch.arange(4000) % classes
    p = objective.probabilities(outputs).double()
    error = (p - torch.nn.functional.one_hot(labels, classes)).abs().mean(1)
    wrong = objective.predict(outputs) != labels
    least = GradientWarnings("cross-entropy", 0, classes).least_error
    # The least is reached where two classes have 1/2 each.
    assert least * (1 - 1e-6) <= error[wrong].min().item() <= 1.2 * least


def test_what_follows_later_is_warned_later_and_once() -> None:
    warnings = GradientWarnings("mse", 0)
    assert warnings.check(0, stats()) == []
    first = warnings.check(10, stats(ALIVE | {"conv.weight": 0.0}))
    assert [warning.layer for warning in first] == ["conv.weight"]
    second = warnings.check(20, stats(DEAD))
    assert [warning.layer for warning in second] == ["bn.weight"]
    assert "4 of 5 layers" in second[0].text
    # Neither what comes back and goes again is warned twice.
    assert warnings.check(30, stats()) == []
    assert warnings.check(40, stats(DEAD)) == []


@pytest.mark.parametrize("value", [math.nan, math.inf, EXPLODED_ABOVE * 1.01])
def test_an_explosion_is_warned(value: float) -> None:
    warnings = GradientWarnings("mse", 0)
    (warning,) = warnings.check(7, stats(dict.fromkeys(ALIVE, value), logit=value))
    assert (warning.kind, warning.layer, warning.step) == ("exploded", "conv.weight", 7)
    assert warning.text.startswith("mse seed 0: the gradient of all 5 layers exploded at step 7 (")
    assert warnings.check(8, stats(dict.fromkeys(ALIVE, value), logit=value)) == []


def test_both_kinds_in_one_window_are_two() -> None:
    layers = ALIVE | {"conv.weight": 0.0, "head.weight": 1e5}
    warnings = GradientWarnings("mse", 0)
    warnings.check(0, stats())
    assert [warning.kind for warning in warnings.check(1, stats(layers))] == [
        "vanished",
        "exploded",
    ]


def test_a_bias_that_normalisation_takes_out_is_as_it_should_be() -> None:
    warnings = GradientWarnings("cross-entropy", 0)
    layers = {"conv.weight": 0.5, "conv.bias": 3e-9, "head.weight": 1.0, "head.bias": 0.2}
    for step, noise in enumerate([3e-9, 2e-8, 0.0, 1e-7, 2e-6, 4e-9]):
        assert warnings.check(step, stats(layers | {"conv.bias": noise})) == []


def test_a_head_pulled_both_ways_alike_is_as_it_should_be() -> None:
    assert GradientWarnings("hinge", 0).check(0, stats(ALIVE | {"head.bias": 0.0})) == []


def test_a_frozen_layer_is_as_it_should_be() -> None:
    layers = ALIVE | {"conv.weight": 0.0, "bn.weight": 0.0, "bn.bias": 0.0}
    warnings = GradientWarnings("cross-entropy", 0)
    assert warnings.check(0, stats(layers)) == []
    assert warnings.check(10, stats(layers)) == []
    # That does not hide what was alive.
    (warning,) = warnings.check(20, stats(DEAD))
    assert "of 2 of 5 layers, first head.weight," in warning.text


norms = st.one_of(st.floats(min_value=0.0), st.just(math.nan), st.just(0.0))


@given(st.lists(st.lists(norms, min_size=5, max_size=5), max_size=8))
def test_nothing_is_warned_twice_and_everything_in_one_line(rows: list[list[float]]) -> None:
    warnings = GradientWarnings("mse", 0)
    warned = [
        warning
        for step, row in enumerate(rows)
        for warning in warnings.check(step, stats(dict(zip(ALIVE, row, strict=True)), logit=row[0]))
    ]
    assert len({(warning.kind, warning.layer) for warning in warned}) == len(warned)
    assert all(len(warning.text.splitlines()) == 1 for warning in warned)
    exploded = any(not value <= EXPLODED_ABOVE for row in rows for value in row)
    assert exploded == any(warning.kind == "exploded" for warning in warned)
    assert all(warning.value < VANISHED_BELOW for warning in warned if warning.kind == "vanished")


def test_what_has_been_warned_is_not_warned_again_by_one_that_goes_on() -> None:
    rows = [stats(ALIVE), stats(DEAD, logit=0.0), stats(DEAD, logit=0.0)]
    warnings = GradientWarnings("mse", 0)
    warned = [warnings.check(step, row) for step, row in enumerate(rows[:2])]
    assert warned[1]
    later = GradientWarnings("mse", 0)
    later.load_state_dict(warnings.state_dict())
    assert later.check(2, rows[2]) == []
    assert GradientWarnings("mse", 0).check(2, rows[2]) != []
