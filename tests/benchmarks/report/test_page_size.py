import numpy as np
import pytest

from lossbench.benchmarks.plots.closed_forms import closed_form_panels
from lossbench.benchmarks.plots.svg_curves import curve_chart
from lossbench.benchmarks.records.reading import read_experiment
from lossbench.benchmarks.report.figures import accuracy_panel, beside_reference, gradient_panel
from lossbench.benchmarks.report.summary import summarise_experiment
from lossbench.losses import registry

from ..written_experiments import describe, evaluations, write_experiment

LIMIT = 3_000_000
"""Bytes of a page. That of both starts has the two charts three times, the small ones twice."""


@pytest.mark.slow
def test_the_charts_of_all_losses_over_many_epochs_fit_a_page(tmp_path):
    random, rows = np.random.default_rng(0), []
    for loss in registry.names():
        for seed in (0, 1):
            values = random.uniform(1e-7, 1, 241)
            rows += evaluations(loss, seed, values, logit_when_wrong=values)
    about = describe(losses=list(registry.names()), epochs=240)
    experiment = read_experiment(write_experiment(tmp_path / "e", about, rows))
    runs = experiment.compared
    accuracy = accuracy_panel(runs, summarise_experiment(experiment))
    large = sum(len(curve_chart(each).svg) for each in (accuracy, gradient_panel(runs)))
    small = sum(len(curve_chart(each, small=True).svg) for each in beside_reference(accuracy, runs))
    forms = sum(len(curve_chart(each).svg) for each in closed_form_panels(registry.names()))
    assert 3 * large + 2 * small + 2 * forms < 0.95 * LIMIT
