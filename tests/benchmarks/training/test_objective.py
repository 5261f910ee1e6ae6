import pytest
import torch
import torch.nn.functional as F

from lossbench.benchmarks.config import ARTICLE_LOSSES
from lossbench.benchmarks.training.objective import Objective
from lossbench.losses import registry
from lossbench.losses.kernels.switches import this_thread

Z = torch.linspace(-3, 3, 13, dtype=torch.float64)
LABELS = torch.arange(13) % 2
T = LABELS.double()

# Each loss of the argument as a function of one logit, written without the loss library.
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

K = 5
MANY = torch.randn(40, K, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
CLASSES = torch.arange(40) % K
ONE_HOT = F.one_hot(CLASSES, K).double()
P = torch.softmax(MANY, 1)
EACH = F.binary_cross_entropy_with_logits(MANY, ONE_HOT, reduction="none").sum(1)

# The same for several classes: a binary loss is one against the rest.
EXPECTED_OF_MANY = {
    "zero-one": ((MANY > 0).double() != ONE_HOT).double().sum(1),
    "probability-sum": (1 - torch.where(ONE_HOT == 1, MANY.sigmoid(), 1 - MANY.sigmoid())).sum(1),
    "bce": EACH,
    "bce-with-logits": EACH,
    "cross-entropy": F.cross_entropy(MANY, CLASSES, reduction="none"),
    "nll": F.cross_entropy(MANY, CLASSES, reduction="none"),
    "sigmoid-mse": ((MANY.sigmoid() - ONE_HOT) ** 2 / 2).sum(1),
    "mse": ((MANY - (2 * ONE_HOT - 1)) ** 2).sum(1),
    "softmax-mse": ((P - ONE_HOT) ** 2).sum(1),
    "bernoulli-sum": F.binary_cross_entropy(P, ONE_HOT, reduction="none").sum(1),
}


@pytest.mark.parametrize("name", ARTICLE_LOSSES)
def test_values_are_those_of_the_plain_formula(name: str) -> None:
    torch.testing.assert_close(Objective(name)(Z[:, None], LABELS), EXPECTED[name])
    torch.testing.assert_close(Objective(name, K)(MANY, CLASSES), EXPECTED_OF_MANY[name])


@pytest.mark.parametrize("classes", [2, K])
@pytest.mark.parametrize("name", registry.names())
def test_the_class_of_the_largest_logit_is_predicted(name: str, classes: int) -> None:
    objective = Objective(name, classes)
    outputs, labels, expected = MANY, CLASSES, MANY.argmax(1)
    if classes == 2:
        outputs, labels, expected = Z[:, None], LABELS, (Z > 0).long()
    assert objective(outputs, labels).shape == labels.shape
    assert torch.equal(objective.predict(outputs), expected)


@pytest.mark.parametrize("classes", [2, K])
@pytest.mark.parametrize("name", registry.names())
def test_probabilities_name_the_class_that_is_predicted(name: str, classes: int) -> None:
    objective = Objective(name, classes)
    outputs = 3 * MANY[:, : objective.num_outputs]
    p = objective.probabilities(outputs)
    assert p.shape == (40, classes)
    torch.testing.assert_close(p.sum(1), torch.ones(40, dtype=p.dtype))
    assert (p >= 0).all()
    named = p.gather(1, objective.predict(outputs)[:, None])[:, 0]
    assert (named >= p.max(1).values - 1e-12).all()


def test_probabilities_are_what_the_loss_reads() -> None:
    z = torch.tensor([-3.0, 0.0, 0.5, 3.0])
    cat = {
        name: Objective(name).probabilities(z[:, None])[:, 1] for name in ("bce-with-logits", "mse")
    }
    torch.testing.assert_close(cat["bce-with-logits"], torch.sigmoid(z))
    torch.testing.assert_close(cat["mse"], torch.tensor([0, 0.5, 0.75, 1]))
    torch.testing.assert_close(Objective("cross-entropy", K).probabilities(MANY), P)
    share = MANY.sigmoid()
    torch.testing.assert_close(
        Objective("bce-with-logits", K).probabilities(MANY), share / share.sum(1, keepdim=True)
    )
    fitted = torch.tensor([[1.0, -1, -1], [0, 0, -1], [0, -0.5, -0.5]])
    torch.testing.assert_close(
        Objective("mse", 3).probabilities(fitted),
        torch.tensor([[1.0, 0, 0], [0.5, 0.5, 0], [0.5, 0.25, 0.25]]),
    )
    nothing = Objective("mse", K).probabilities(torch.full((1, K), -2.0))
    torch.testing.assert_close(nothing, torch.full((1, K), 1 / K))


@pytest.mark.parametrize("name", ["rescaled-square", "one-vs-rest-l1", "mse", "l1"])
def test_every_loss_that_fits_outputs_fits_the_same_two(name: str) -> None:
    objective = Objective(name)
    fitted = torch.tensor([[-1.0], [1.0]])
    assert objective(fitted, torch.tensor([0, 1])).tolist() == [0, 0]
    assert torch.equal(objective.probabilities(fitted), torch.eye(2))


IDENTITIES = [
    ("nll", "cross-entropy", 1),
    ("bce", "cross-entropy", 1),
    ("bce-with-logits", "cross-entropy", 1),
    ("bernoulli-sum", "cross-entropy", 2),
    ("softmax-mse", "sigmoid-mse", 4),
    ("rescaled-square", "mse", 0.25),
    ("multiclass-zero-one", "zero-one", 1),
]


@pytest.mark.parametrize(("name", "other", "factor"), IDENTITIES)
def test_for_two_classes_some_losses_are_multiples_of_others(name, other, factor) -> None:
    values, gradients = [], []
    for loss in (name, other):
        z = Z.clone().requires_grad_()
        values.append(Objective(loss)(z[:, None], LABELS).detach())
        gradients.append(torch.autograd.grad(Objective(loss)(z[:, None], LABELS).sum(), z)[0])
    torch.testing.assert_close(values[0], factor * values[1])
    torch.testing.assert_close(gradients[0], factor * gradients[1])


@pytest.mark.parametrize("kernels", [True, False])
def test_without_kernels_the_closed_forms_compute_the_loss(kernels: bool) -> None:
    objective, depths = Objective("mse", kernels=kernels), []

    def noted(input: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        depths.append(this_thread.closed_forms_only)
        return (input - target) ** 2

    objective.loss = noted
    objective(Z[:, None], LABELS)
    assert depths == [0 if kernels else 1]
    assert this_thread.closed_forms_only == 0


def test_settings_reach_the_loss() -> None:
    weight = (1.0, 3.0)
    weighted = Objective("cross-entropy", loss_arguments=(("weight", weight),))
    rows = torch.stack([-Z / 2, Z / 2], 1).float()
    expected = F.cross_entropy(rows, LABELS, torch.tensor(weight), reduction="none")
    torch.testing.assert_close(weighted(Z[:, None].float(), LABELS), expected)
    with pytest.raises(TypeError):
        Objective("cross-entropy", loss_arguments=(("wieght", weight),))
