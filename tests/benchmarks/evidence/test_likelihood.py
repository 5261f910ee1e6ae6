import numpy as np
import pytest

from lossbench.benchmarks.evidence import likelihood_forms
from lossbench.benchmarks.evidence.likelihood_forms import FORMS

from .worlds import ordinary_predictions, result


def verdicts(analysis):
    return [measure.verdict for measure in analysis.measures()]


def test_refuted_where_a_network_is_too_sure(analyse):
    def world(config):
        predictions = ordinary_predictions(config.seed)
        # A probability that rounds to 1 has lost its logarithm.
        predictions.outputs[0] = 40.0 if config.seed == 101 else 1.0
        return result(config, predictions)

    found = verdicts(analyse("likelihood", world=world)[0])
    assert found[:2] == ["does not hold"] * 2
    assert found[4:] == ["holds"] * 3


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("factor", [1 + 1e-4, float("nan")])
def test_refuted_where_a_form_is_another_number(analyse, monkeypatch, name, factor):
    true = likelihood_forms.forms
    monkeypatch.setattr(
        likelihood_forms,
        "forms",
        lambda z, t: {k: v * (factor if k == name else 1) for k, v in true(z, t).items()},
    )
    assert verdicts(analyse("likelihood")[0])[:4] == ["does not hold"] * 4


def test_refuted_where_a_gradient_is_another(analyse, monkeypatch):
    true = likelihood_forms.forms

    def forms(z, t):
        return true(z, t) | {"H(p, q)": true(z, t)["H(p, q)"].detach() + 0 * z}

    monkeypatch.setattr(likelihood_forms, "forms", forms)
    found = verdicts(analyse("likelihood")[0])
    assert found[:4] == ["holds"] * 2 + ["does not hold"] * 2


def test_refuted_where_the_slips_are_right(analyse):
    analysis, _ = analyse("likelihood")
    for k, forms in enumerate(analysis.forms):
        near = forms.likelihood * (1 + 1e-4 * k)
        values = {"log_of_sum": near, "slip": near, "slip_fall": 1e-3 * k}
        for name, value in values.items():
            object.__setattr__(forms, name, value)
    assert verdicts(analysis)[4:] == ["does not hold"] * 3


def test_numbers_are_those_of_the_forms(examine, analyse):
    analysis, _ = analyse("likelihood")
    mean = np.mean([forms.likelihood for forms in analysis.forms])
    finding = examine("likelihood")
    worst = max(forms.value_error["float64"] for forms in analysis.forms)
    assert f"by at most {worst:.0e} of" in finding.sentence
    forms, slips, _ = finding.tables
    assert len(forms.rows) == 1 + len(FORMS) + 2
    assert {row[2].split()[0] for row in forms.rows[:6]} == {f"{mean:.6f}"}
    first = analysis.forms[0]
    gradients = slips.rows[3][1].split(", ")
    right = np.mean([f.f[f.f <= 0.5].mean() for f in analysis.forms])
    assert float(gradients[0]) == pytest.approx(right, abs=1e-3)
    assert f"the slip at {first.slip_shifted[-1]:.1f}." in finding.figures[1].alt
    off = np.mean([abs(f.slip - f.likelihood) / f.likelihood for f in analysis.forms])
    assert finding.measures[5].value == pytest.approx(off)
