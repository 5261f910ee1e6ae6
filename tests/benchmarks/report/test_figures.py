import numpy as np
import pytest

from lossbench.benchmarks.config import ARTICLE_LOSSES
from lossbench.benchmarks.records.reading import read_experiment
from lossbench.benchmarks.report.figures import (
    caption,
    comparison_panels,
    decades_of,
    draw_comparison,
    power_of_ten,
)
from lossbench.benchmarks.report.summary import summarise_experiment
from lossbench.losses import registry

from ..samples import opened
from ..written_experiments import describe, evaluations, write_experiment

LIMIT = 250_000  # bytes


def drawn(directory):
    experiment = read_experiment(directory)
    return draw_summary(experiment, summarise_experiment(experiment))


def draw_summary(experiment, summary):
    return draw_comparison(experiment, summary, comparison_panels(experiment, summary))


@pytest.mark.slow
def test_all_losses_over_many_epochs_stay_small(tmp_path):
    random = np.random.default_rng(0)
    epochs = 60
    rows = []
    for loss in ARTICLE_LOSSES:
        for seed in range(3):
            values = random.uniform(1e-7, 1, epochs + 1)
            rows += evaluations(loss, seed, values, logit_when_wrong=values)
    about = describe(losses=list(ARTICLE_LOSSES), seeds=[0, 1, 2], epochs=epochs)
    data = drawn(write_experiment(tmp_path / "e", about, rows))
    assert len(data) <= LIMIT
    image = opened(data)
    assert image.width == 1600
    assert image.info["dpi"] == pytest.approx((160, 160), abs=0.1)


@pytest.mark.slow
def test_every_loss_of_the_library_has_room_for_its_name(tmp_path):
    rows = [row for loss in registry.names() for row in evaluations(loss, 0, [0.5, 0.6, 0.7])]
    data = drawn(write_experiment(tmp_path / "e", describe(seeds=[0]), rows))
    assert len(data) <= LIMIT
    assert opened(data).height > 1344


@pytest.mark.slow
@pytest.mark.parametrize("gradient", [[0, 0, 0], ["", "", ""], [1e-30, 1e-20, 1], ["", 0.1, ""]])
def test_gradients_that_a_logarithm_dislikes(tmp_path, gradient):
    rows = evaluations("zero-one", 0, [0.5, 0.5, 0.5], logit_when_wrong=gradient)
    rows += evaluations(r"a $\frac$ name", 0, [0.5, 0.5, 0.5], logit_when_wrong=gradient)
    data = drawn(write_experiment(tmp_path / "e", describe(), rows))
    assert opened(data).size == (1600, 1344)


def test_a_gradient_of_zero_is_drawn(tmp_path):
    rows = evaluations("zero-one", 0, [0.5, 0.5, 0.5], logit_when_wrong=[0, 0, 0])
    image = opened(drawn(write_experiment(tmp_path / "e", describe(seeds=[0]), rows)))
    panel = np.asarray(image.convert("RGB"))[800:1240, 200:1150]
    grey = (panel == [0x6B, 0x6B, 0x6B]).all(axis=2)
    assert grey.any(axis=0).all()  # from the left end to the right


def test_unfinished_runs_are_not_drawn(tmp_path):
    rows = evaluations("mse", 0, [0.5, 0.6, 0.7])
    about = describe(seeds=[0])
    alone = drawn(write_experiment(tmp_path / "alone", about, rows))
    rows += evaluations("bce", 0, [0.1, 0.9])
    assert drawn(write_experiment(tmp_path / "both", about, rows)) == alone


def test_the_picture_says_over_how_many_seeds(experiment):
    found = read_experiment(experiment)
    summary = summarise_experiment(found)
    assert "mean of 2 seeds" in caption(found, summary)
    assert "Line: validation images" in caption(found, summary)
    assert "4 validation and 20 test images" in caption(found, summary)
    assert "Line: training images" in caption(found, summary | {"curve": "train_accuracy"})
    del summary["losses"]["mse"]["test_accuracy"]["per_seed"]["1"]
    assert "mean of 1 to 2 seeds" in caption(found, summary)


def test_synthetic_is_stamped_across(experiment):
    found = read_experiment(experiment)
    synthetic = summarise_experiment(found) | {"synthetic": True, "note": "SYNTHETIC IMAGES"}
    plain, stamped = opened(drawn(experiment)), opened(draw_summary(found, synthetic))
    assert "SYNTHETIC" in stamped.text["Description"]
    gray, other = (np.asarray(image.convert("L"), dtype=int) for image in (plain, stamped))
    # The letters reach over both panels.
    assert all((abs(part) > 20).mean() > 0.01 for part in np.array_split(gray - other, 2))


@pytest.mark.parametrize(
    ("values", "decades"),
    [
        ([0.02, 0.5, 3], (-2, 1, None)),
        ([0, 0.02, 0.5], (-2, 0, "0")),
        ([1e-20, 0, 0.5], (-9, 0, "< 1e-9")),
        ([0, 0], (-1, 0, "0")),
        ([1e-20], (-9, -8, "< 1e-9")),
        ([], (-1, 0, None)),
        ([1.0], (0, 1, None)),
    ],
)
def test_decades_hold_the_values_and_name_what_lies_below(values, decades):
    assert decades_of(values) == decades


def test_power_of_ten():
    assert [power_of_ten(e) for e in (-5, -2, 0, 2, 6)] == ["1e-5", "0.01", "1", "100", "1e6"]


def test_a_run_without_validation_images_shows_its_training_accuracy(tmp_path):
    def figure(*accuracies):
        nothing = {"validation_accuracy": ["nan"] * 3}
        rows = evaluations("mse", 0, [0.5, 0.6, 0.7], train_accuracy=accuracies, **nothing)
        name = f"{accuracies}"
        return drawn(write_experiment(tmp_path / name, describe(seeds=[0]), rows))

    assert figure(0.5, 0.6, 0.7) != figure(0.5, 0.9, 0.7)


def test_the_marker_is_at_the_test_accuracy(tmp_path):
    def marker(accuracy):
        rows = evaluations("zero-one", 0, [0.2, 0.2, 0.2])
        rows[-1] |= {"test_accuracy": accuracy}
        rows += evaluations("mse", 0, [0.0, 1.0, 0.5])
        image = opened(drawn(write_experiment(tmp_path / str(accuracy), describe(seeds=[0]), rows)))
        column = np.asarray(image.convert("RGB"))[180:760, 1140:1180]
        where = np.nonzero((column == [0x6B, 0x6B, 0x6B]).all(axis=2).sum(axis=1) > 12)[0]
        return where.min() + 180

    assert marker(0.9) < marker(0.3)
