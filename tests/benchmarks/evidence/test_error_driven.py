import numpy as np
import pytest
import torch
import torch.nn.functional as F

from lossbench.benchmarks.evidence import error_driven
from lossbench.benchmarks.evidence.error_driven import BENT, CLAIM, DRIVEN, SIZES, fit
from lossbench.benchmarks.evidence.figures import error_driven as error_driven_pictures
from lossbench.benchmarks.evidence.measures.gradient_formulas import GRADIENT_FORMULAS, error
from lossbench.benchmarks.evidence.measures.logit_gradients import LogitGradients
from lossbench.benchmarks.records.claim import verdict_of

from .invented import InventedLab, check, outcome


@pytest.fixture
def unpainted(monkeypatch):
    """Pictures are laid out and not painted, which takes most of the time."""
    monkeypatch.setattr(error_driven_pictures, "render_png", lambda *_: b"")


def two(z):
    """The two logits whose difference is z."""
    return torch.stack([-z / 2, z / 2], 1)


TORCH = {
    "cross-entropy": lambda z, t: F.cross_entropy(two(z), t.long(), reduction="none"),
    "nll": lambda z, t: F.nll_loss(F.log_softmax(two(z), 1), t.long(), reduction="none"),
    "bce": lambda z, t: F.binary_cross_entropy(torch.sigmoid(z), t, reduction="none"),
    "bce-with-logits": lambda z, t: F.binary_cross_entropy_with_logits(z, t, reduction="none"),
    "bernoulli-sum": lambda z, t: F.binary_cross_entropy(
        two(z).softmax(1), F.one_hot(t.long(), 2).to(z.dtype), reduction="none"
    ).sum(1),
    "probability-sum": lambda z, t: 1 - torch.sigmoid((2 * t - 1) * z),
    "sigmoid-mse": lambda z, t: (torch.sigmoid(z) - t) ** 2 / 2,
    "softmax-mse": lambda z, t: ((two(z).softmax(1) - F.one_hot(t.long(), 2)) ** 2).sum(1),
    "mse": lambda z, t: (z - (2 * t - 1)) ** 2,
    "zero-one": lambda z, t: 0 * z + ((z > 0) != t.bool()),
}
"""The ten losses as torch has them, with respect to the margin z."""


def pairs(trial, count=3000):
    """What torch's gradients are, in float64, of logits around where the trial begins."""
    draw = torch.Generator().manual_seed(trial.seed)
    z = 2 * torch.randn(count, generator=draw, dtype=torch.float64)
    z = z if trial.initial_probability is None else z - 6
    z = z.float().double().requires_grad_()
    t = torch.randint(0, 2, (count,), generator=draw).double()
    (g,) = torch.autograd.grad(TORCH[trial.loss](z, t).sum(), z)
    return torch.stack([torch.zeros(count), z.detach(), t, g], 1).numpy().astype(np.float32)


def lab_of(budget="quick", bend=lambda _, rows: rows):
    return InventedLab(budget, lambda trial: outcome(trial, examples=bend(trial, pairs(trial))))


@pytest.mark.parametrize("loss", GRADIENT_FORMULAS)
def test_laws_are_the_gradients_of_torch(loss):
    z = torch.linspace(-12, 12, 241, dtype=torch.float64).repeat(2).requires_grad_()
    t = torch.arange(2).repeat_interleave(241).double()
    (g,) = torch.autograd.grad(TORCH[loss](z, t).sum(), z)
    odds = ((2 * t - 1) * z).detach().numpy()
    # torch's own bce loses what 1 - f has lost.
    np.testing.assert_allclose(
        GRADIENT_FORMULAS[loss].magnitude(odds), g.abs().numpy(), rtol=1e-6, atol=1e-12
    )


def test_laws_are_of_the_ten_of_the_argument():
    from lossbench.benchmarks.config import ARTICLE_LOSSES

    assert set(GRADIENT_FORMULAS) == set(ARTICLE_LOSSES) == {*DRIVEN, *BENT, "zero-one"}


@pytest.mark.parametrize("loss", [loss for loss in GRADIENT_FORMULAS if loss != "zero-one"])
def test_formulas_in_words_are_the_laws(loss):
    e = np.array([0.02, 0.3, 0.5, 0.8, 0.97])
    text = (
        GRADIENT_FORMULAS[loss]
        .formula.replace("2 |", "2 * |")
        .replace("|ln", "abs(ln")
        .replace("1|", "1)")
    )
    text = text.replace("e²", "e * e").replace(" (", " * (").replace("4 e", "4 * e")
    text = text.replace("2 e", "2 * e").replace("ln *", "ln")
    said = eval(text, {"e": e, "ln": np.log, "abs": np.abs})
    np.testing.assert_allclose(said, GRADIENT_FORMULAS[loss].magnitude(-np.log(e / (1 - e))))


def test_holds_for_the_gradients_of_torch():
    lab = lab_of()
    finding = CLAIM.examine(lab)
    assert finding.verdict == "holds", finding.measures
    check(CLAIM, finding)
    assert all(trial.record_examples for trial in lab.asked)
    assert not any(trial.test for trial in lab.asked)
    assert len(lab.asked) == len(set(lab.asked)) == 10 * 2 * SIZES["quick"].seeds


def bent_by(loss, factor):
    def bend(trial, rows):
        if trial.loss == loss:
            rows[:, 3] *= factor(rows)
        return rows

    return bend


@pytest.mark.parametrize("loss", DRIVEN)
@pytest.mark.usefixtures("unpainted")
def test_one_example_that_is_off_refutes(loss):
    def factor(rows):
        e = np.abs(1 / (1 + np.exp(-rows[:, 1])) - rows[:, 2])
        return np.where(np.arange(len(rows)) == np.argmax(e), 1.0001, 1.0)

    finding = CLAIM.examine(lab_of(bend=bent_by(loss, factor)))
    assert finding.verdict == "does not hold"


@pytest.mark.usefixtures("unpainted")
def test_a_proportion_to_the_error_that_is_not_the_error_refutes():
    finding = CLAIM.examine(lab_of(bend=bent_by("cross-entropy", lambda _: 1.001)))
    assert finding.verdict == "does not hold"


@pytest.mark.parametrize("loss", BENT)
@pytest.mark.usefixtures("unpainted")
def test_another_loss_in_proportion_refutes(loss):
    def bend(trial, rows):
        if trial.loss == loss:
            rows[:, 3] = 0.25 * (1 / (1 + np.exp(-rows[:, 1])) - rows[:, 2])
        return rows

    finding = CLAIM.examine(lab_of(bend=bend))
    assert finding.verdict == "does not hold"
    assert {m.verdict for m in finding.measures if not m.name.startswith(loss)} == {"holds"}


@pytest.mark.usefixtures("unpainted")
def test_two_seeds_decide_nothing(monkeypatch):
    monkeypatch.setitem(SIZES, "quick", SIZES["quick"]._replace(seeds=2))
    finding = CLAIM.examine(lab_of())
    assert {measure.verdict for measure in finding.measures} == {"undecided"}


@pytest.mark.usefixtures("unpainted")
def test_a_network_that_diverged_decides_nothing_of_a_loss():
    def bend(trial, rows):
        if trial.loss == "mse" and trial.seed == 1:
            rows[50:, 1:] = np.nan
        return rows

    finding = CLAIM.examine(lab_of(bend=bend))
    assert finding.verdict == verdict_of(finding.measures) == "undecided"
    assert "nan" not in finding.sentence


@pytest.mark.parametrize("loss", ["cross-entropy", "sigmoid-mse", "mse"])
def test_fit_is_least_squares_through_0(loss):
    odds = np.random.default_rng(3).normal(-1, 3, 500)
    seen = LogitGradients(odds, GRADIENT_FORMULAS[loss].magnitude(odds))
    e = error(odds)
    (slope,), (rest,), *_ = np.linalg.lstsq(e[:, None], seen.magnitude, rcond=None)
    found = fit(loss, seen)
    assert found.slope == pytest.approx(slope)
    assert found.explained == pytest.approx(1 - rest / (500 * seen.magnitude.var()), abs=1e-12)


def test_quiet_gradients_have_no_regression():
    finding = fit("zero-one", LogitGradients(np.linspace(-3, 3, 50), np.zeros(50)))
    assert finding.slope == 0
    assert np.isnan(finding.explained)
    assert finding.off == 0


@pytest.mark.usefixtures("unpainted")
def test_pictures_name_no_finding_before_it_is_made():
    """A title is a question, whatever was measured."""
    finding = CLAIM.examine(lab_of())
    assert all("?" in picture.alt.split(":")[0] for picture in finding.pictures)
    assert error_driven.in_words(1 - 1e-9) == "1 \N{MINUS SIGN} 1e-09"


@pytest.mark.usefixtures("unpainted")
def test_the_examples_that_are_counted_are_those_of_cross_entropy():
    lab = lab_of()
    finding = CLAIM.examine(lab)
    count = sum(len(pairs(trial)) for trial in lab.asked if trial.loss in DRIVEN)
    assert f"Over {count:,} examples" in finding.sentence
