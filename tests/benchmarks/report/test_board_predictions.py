import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from PIL import Image
from tensorboard.plugins.pr_curve import metadata
from tensorboard.util import tensor_util

from lossbench.benchmarks.data import ImageSet
from lossbench.benchmarks.report import board_predictions
from lossbench.benchmarks.report.board_predictions import (
    THRESHOLDS,
    Mistake,
    SeedPredictions,
    draw_mistakes,
    image_summary,
    pr_curve,
    pr_curves,
    read_predictions,
    round_down,
    worst_mistakes,
)


def predictions_of(probabilities, labels) -> SeedPredictions:
    return SeedPredictions(
        np.array(probabilities, dtype=np.float32), np.array(labels, dtype=np.int64)
    )


def write(path: Path, probabilities, labels) -> Path:
    path.mkdir()
    said = predictions_of(probabilities, labels)
    np.savez(path / "predictions.npz", probabilities=said.probabilities, labels=said.labels)
    return path


@given(
    st.lists(st.tuples(st.booleans(), st.floats(0, 1, width=32)), min_size=1, max_size=60),
)
def test_a_pr_curve_counts_at_every_threshold(examples) -> None:
    truth = np.array([t for t, _ in examples])
    scores = np.array([s for _, s in examples], dtype=np.float32)
    rows = tensor_util.make_ndarray(pr_curve("x", truth, scores).tensor)
    assert rows.shape == (6, THRESHOLDS + 1)
    for i in range(THRESHOLDS):
        found = np.minimum(scores.astype(float) * THRESHOLDS, THRESHOLDS - 1) >= i
        right, wrong = (found & truth).sum(), (found & ~truth).sum()
        assert rows[:4, i].tolist() == [
            right,
            wrong,
            (~found & ~truth).sum(),
            (~found & truth).sum(),
        ]
        assert rows[5, i] == pytest.approx(right / max(truth.sum(), 1))
        if right:
            assert rows[4, i] == pytest.approx(right / (right + wrong))


@given(
    st.lists(st.tuples(st.booleans(), st.floats(0, 1, width=32)), min_size=1, max_size=60),
)
def test_a_pr_curve_starts_at_recall_0_on_a_level(examples) -> None:
    truth = np.array([True, *(t for t, _ in examples)])
    scores = np.array([0.25, *(s for _, s in examples)], dtype=np.float32)
    true, false, _, _, precision, recall = tensor_util.make_ndarray(
        pr_curve("x", truth, scores).tensor
    )
    assert recall[-1] == 0
    # TensorBoard drops points at the end that count nothing.
    assert true[-1] + false[-1] > 0
    first = np.flatnonzero(recall)[-1]
    assert (precision[first:] == precision[first]).all()
    assert precision.min() > 0


def test_of_two_classes_one_has_a_curve_and_of_more_each() -> None:
    two = pr_curves(predictions_of([[[0.9, 0.1], [0.2, 0.8]]], [0, 1]), ["dog", "cat"])
    assert [value.tag for value in two] == ["test/cat"]
    assert two[0].metadata.plugin_data.plugin_name == metadata.PLUGIN_NAME
    # The scores of cats are 0.1 for the dog and 0.8 for the cat: at one half all is right.
    assert tensor_util.make_ndarray(two[0].tensor)[:4, 100].tolist() == [1, 0, 1, 0]
    three = pr_curves(predictions_of([np.eye(3)], [0, 1, 2]), ["a", "b", "c"])
    assert [value.tag for value in three] == ["test/a", "test/b", "test/c"]


def test_the_seeds_of_a_loss_are_one_curve() -> None:
    once = predictions_of([[[0.9, 0.1], [0.2, 0.8]]], [0, 1])
    twice = predictions_of([*once.probabilities, *once.probabilities], once.labels)
    (a,), (b,) = pr_curves(once, ["dog", "cat"]), pr_curves(twice, ["dog", "cat"])
    a, b = tensor_util.make_ndarray(a.tensor), tensor_util.make_ndarray(b.tensor)
    assert np.array_equal(2 * a[:4], b[:4])
    assert np.array_equal(a[4:], b[4:])


def test_the_worst_mistakes_are_those_of_all_seeds_together() -> None:
    first = [[0.01, 0.99], [0.4, 0.6], [0.9, 0.1], [0.3, 0.7]]
    second = [[0.99, 0.01], [0.2, 0.8], [0.8, 0.2], [0.3, 0.7]]
    found = worst_mistakes(predictions_of([first, second], [0, 0, 0, 1]))
    # The first image is right half of the time and surely, the third always, the fourth too.
    assert [(m.image, m.label, m.predicted) for m in found] == [(1, 0, 1)]
    assert found[0].probability == pytest.approx(0.7)


def test_the_worst_mistakes_of_many_classes() -> None:
    rng = np.random.default_rng(1)
    probabilities = rng.dirichlet([1] * 5, (3, 200)).astype(np.float32)
    labels = rng.integers(0, 5, 200)
    found = worst_mistakes(predictions_of(probabilities, labels), count=16)
    mean = probabilities.mean(axis=0)
    wrong = {i: max(p for k, p in enumerate(mean[i]) if k != labels[i]) for i in range(200)}
    expected = sorted((i for i in wrong if wrong[i] > mean[i, labels[i]]), key=lambda i: -wrong[i])
    assert [m.image for m in found] == expected[:16]
    assert all(mean[m.image, m.predicted] == wrong[m.image] for m in found)


def test_a_network_that_has_diverged_says_nothing(tmp_path: Path) -> None:
    good = write(tmp_path / "a", [[0.9, 0.1]], [0])
    bad = write(tmp_path / "b", [[np.nan, np.nan]], [0])
    both = read_predictions([good, bad])
    assert both is not None
    assert both.probabilities.shape == (1, 1, 2)
    assert read_predictions([bad]) is None
    assert read_predictions([tmp_path / "nowhere"]) is None


def test_bad_predictions_are_refused(tmp_path: Path, refusal) -> None:
    good = write(tmp_path / "a", [[0.9, 0.1]], [0])
    torn = tmp_path / "b"
    torn.mkdir()
    (torn / "predictions.npz").write_bytes((good / "predictions.npz").read_bytes()[:100])
    refusal(lambda: read_predictions([good, torn]), str(torn), "run again")
    other = write(tmp_path / "c", [[0.9, 0.1]], [1])
    refusal(lambda: read_predictions([good, other]), str(other), "other test images")


@pytest.mark.parametrize("count", [1, 4, 5, 16])
def test_the_picture_of_mistakes(images: ImageSet, count: int) -> None:
    rng = np.random.default_rng(count)
    said = predictions_of(rng.dirichlet([1, 1], (2, len(images.test.labels))), images.test.labels)
    mistakes = worst_mistakes(said, count)
    data = draw_mistakes("cross-entropy", 2, mistakes, images)
    value = image_summary("wrong", data)
    with Image.open(io.BytesIO(data)) as opened:
        assert (value.image.width, value.image.height) == opened.size
        assert opened.format == "JPEG"
        # Wide enough for four, and something is drawn in it.
        assert opened.width == 900
        assert np.asarray(opened.convert("L")).std() > 10


def test_a_mistake_has_caption_and_file_name(images: ImageSet, monkeypatch) -> None:
    drawn: list[Figure] = []
    real = board_predictions.rasterise
    monkeypatch.setattr(
        board_predictions, "rasterise", lambda figure: drawn.append(figure) or real(figure)
    )
    names = ["test/cat/short.jpg", f"test/cat/{'a' * 40}.jpg", *images.test.names[2:]]
    images = replace(images, test=replace(images.test, names=tuple(names)))
    draw_mistakes("cross-entropy", 2, [Mistake(n, 1, 0, 0.994) for n in range(2)], images)
    texts = [text.get_text() for axes in drawn[0].axes for text in axes.texts]
    assert texts[:2] == ["cat → dog 0.99", "short.jpg"]
    assert texts[3].startswith("…")
    assert texts[3].endswith("aaa.jpg")
    assert len(texts[3]) == board_predictions.NAME_LENGTH


@pytest.mark.parametrize(("p", "text"), [(1.0, "1.00"), (0.9999, "0.99"), (0.5, "0.50")])
def test_only_certainty_is_one(p: float, text: str) -> None:
    assert round_down(p) == text
