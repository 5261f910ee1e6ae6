import pytest
import torch
import torch.nn.functional as F

from benchmarks.config import ARTICLE
from benchmarks.training.objective import Objective
from losses import registry

Z = torch.linspace(-3, 3, 13, dtype=torch.float64)
LABELS = torch.arange(13) % 2
T = LABELS.double()
ROWS = torch.stack([-Z / 2, Z / 2], 1)

# What each loss is as a function of one logit, written without the loss library.
SIGMA = torch.sigmoid(Z)
NLL = F.binary_cross_entropy_with_logits(Z, T, reduction="none")
EXPECTED = {
    "zero-one": ((Z > 0).double() != T).double(),
    "probability-sum": 1 - torch.where(LABELS == 1, SIGMA, 1 - SIGMA),
    "bce": NLL,
    "bce-with-logits": NLL,
    "cross-entropy": NLL,
    "nll": NLL,
    "sigmoid-mse": (SIGMA - T) ** 2 / 2,
    "mse": (Z - (2 * T - 1)) ** 2,
    "softmax-mse": 2 * (SIGMA - T) ** 2,
    "bernoulli-sum": 2 * NLL,
}


def test_every_loss_of_the_argument_is_expected_here() -> None:
    assert set(EXPECTED) == set(ARTICLE)


@pytest.mark.parametrize("name", EXPECTED)
def test_a_loss_is_what_it_should_be_of_the_logit(name: str) -> None:
    objective = Objective(name)
    logits = Z if objective.num_outputs == 1 else ROWS
    torch.testing.assert_close(objective(logits, LABELS), EXPECTED[name])


@pytest.mark.parametrize("name", registry.names())
def test_predictions_say_cat_above_zero_and_dog_otherwise(name: str) -> None:
    objective = Objective(name)
    logits = Z if objective.num_outputs == 1 else ROWS
    assert torch.equal(objective.wrong(logits, LABELS), (Z > 0) != (LABELS == 1))


@pytest.mark.parametrize("name", registry.names())
def test_outputs_become_logits_of_the_shape_that_the_loss_takes(name: str) -> None:
    objective = Objective(name)
    logits = objective.logits(torch.zeros(5, objective.num_outputs))
    assert objective(logits, LABELS[:5]).shape == (5,)


@pytest.mark.parametrize("name", EXPECTED)
def test_a_better_logit_is_never_a_greater_loss(name: str) -> None:
    # Down to the target of 1 that `mse` fits; beyond it squared error grows again.
    objective = Objective(name)
    z = torch.linspace(-5, 1, 50)
    logits = z if objective.num_outputs == 1 else torch.stack([-z / 2, z / 2], 1)
    each = objective(logits, torch.ones(50, dtype=torch.long))
    assert (each.diff() <= 1e-6).all()


def test_an_unknown_name_is_a_key_error() -> None:
    with pytest.raises(KeyError, match="did you mean 'bce'"):
        Objective("bcee")
