"""Float32 keeps its digits: every loss of the library, in the tails and at the edges."""

import math

import pytest
import torch
import torch.nn.functional as F

from lossbench.benchmarks.curves import tails
from lossbench.benchmarks.curves.tails import EDGES, GROUPS, Batch, RelativeErrors
from lossbench.losses.registry import ENTRIES

ENTRY = {entry.name: entry for entry in ENTRIES}
# A difference of logits d is rounded by up to d 2^-24, and so, relatively, is exp(-d); what is left
# of float32 at its end, exp(-87), is 4e-6.
BOUNDS: dict[float | str, float] = {1.0: 2e-6, 8.0: 4e-6, 50.0: 4e-6, EDGES: 4e-6}
BOUND = 4e-6


def measured(name: str, loss, group: float | str, count: int = 24) -> RelativeErrors:
    batches = tails.batches(ENTRY[name], group, count)
    return tails.worst([tails.measure(ENTRY[name], loss, batch) for batch in batches])


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("name", ENTRY)
def test_float32_keeps_its_digits_and_limits(name: str, group: float | str) -> None:
    count = 300 if ENTRY[name].task == "binary" else 24
    errors = measured(name, ENTRY[name].build(reduction="none"), group, count)
    assert errors.value <= BOUNDS[group]
    assert errors.gradient <= BOUNDS[group]


# --- the measure itself --------------------------------------------------------------------------


def cross_entropy(z, target):
    return F.cross_entropy(z, target, reduction="none")


def test_what_torch_rounds_away_is_an_error_of_one() -> None:
    assert measured("cross-entropy", cross_entropy, 50.0).value == 1
    assert measured("cross-entropy", cross_entropy, 1.0).value < BOUND


def test_a_nan_at_an_infinite_logit_is_seen() -> None:
    assert math.isnan(measured("cross-entropy", cross_entropy, EDGES).value)


@pytest.mark.parametrize("name", ["bce-with-logits", "cross-entropy", "multilabel-margin"])
@pytest.mark.parametrize("group", [1.0, EDGES])
def test_a_slightly_wrong_loss_is_seen(name: str, group: float | str) -> None:
    ours = ENTRY[name].build(reduction="none")
    errors = measured(name, lambda z, t: ours(z, t) * (1 + 1e-5), group)
    assert errors.value > BOUND
    assert errors.gradient > BOUND


def a_batch(value: float, gradient: float) -> Batch:
    one = torch.tensor([1.0])
    truth = torch.tensor([[value]]).double(), torch.tensor([[gradient]]).double()
    return Batch(one, one.unsqueeze(-1), [one], *truth)


@pytest.mark.parametrize(
    ("truth", "gives", "error"),
    [
        (2.0, 3.0, 0.5),
        (math.inf, 3.0, math.inf),
        (math.inf, math.inf, 0.0),
        (0.0, 1e-39, 0.0),  # no digits are left there
        (0.0, 1.0, 1 / tails.TINY),
        (1e-45, math.nan, math.nan),
        (math.nan, 3.0, 0.0),  # a kink
        (math.nan, math.nan, math.nan),
    ],
)
def test_the_error_of_a_value(truth: float, gives: float, error: float) -> None:
    loss = lambda x, _t: 0 * x + gives  # noqa: E731
    found = tails.measure(ENTRY["mse"], loss, a_batch(truth, 0.0)).value
    assert found == pytest.approx(error, rel=1e-6, nan_ok=True)


@pytest.mark.parametrize("name", ["bce", "nll", "hinge-embedding"])
def test_losses_are_given_what_they_take(name: str) -> None:
    low, high = {"bce": (0, 1), "nll": (-math.inf, 0), "hinge-embedding": (0, math.inf)}[name]
    for group in GROUPS:
        for batch in tails.batches(ENTRY[name], group, 20):
            assert batch.input.dtype == torch.float32
            assert ((batch.input >= low) & (batch.input <= high)).all()


@pytest.mark.parametrize("name", ENTRY)
def test_as_many_examples_are_drawn_as_are_asked_for(name: str) -> None:
    assert len(next(tails.batches(ENTRY[name], 1.0, 20)).input) == 20
