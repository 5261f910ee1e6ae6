import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar.metadata import CONFIG_SUMMARY_TAG

from lossbench.benchmarks.records.events import EventFile
from lossbench.benchmarks.report import board
from lossbench.benchmarks.report.board import write_board
from lossbench.benchmarks.report.board_descriptions import HISTOGRAM, ZERO_HISTOGRAM
from lossbench.benchmarks.report.board_layout import CHARTS, FIRST_CHARTS, HIGH, LOW
from lossbench.benchmarks.stats.intervals import mean_interval

from ..made_experiments import make_experiment
from ..rows import rows_of
from ..samples import gradient_stats, read_events


def curve(events: EventAccumulator, tag: str) -> dict[int, float]:
    return {event.step: event.value for event in events.Scalars(tag)}


def rows_by_step(directory: Path, loss: str) -> dict[int, list[dict[str, str]]]:
    """Return the rows of results.csv by step, those of all seeds."""
    found: dict[int, list[dict[str, str]]] = {}
    for row in rows_of(directory):
        if row["loss"] == loss:
            found.setdefault(int(row["step"]), []).append(row)
    return found


@pytest.fixture(scope="module")
def directory(tmp_path_factory, module_images) -> Path:
    """Return an experiment of three losses and three seeds with its board."""
    directory = make_experiment(tmp_path_factory.mktemp("board") / "made")
    Image.new("RGB", (8, 8)).save(directory / "closed_forms.png")
    write_board(directory, module_images)
    return directory


def test_every_loss_has_one_run_and_what_it_needs(directory) -> None:
    runs = sorted(path.name for path in (directory / "tensorboard").iterdir())
    assert runs == ["cross-entropy", "sigmoid-mse", "zero-one"]
    for loss in runs:
        tags = read_events(directory / "tensorboard" / loss).Tags()
        assert tags["histograms"] == [ZERO_HISTOGRAM if loss == "zero-one" else HISTOGRAM]
        assert {"test/fox", "_hparams_/session_start_info"} <= set(tags["tensors"])
        # In every run, because any of them can be shown without the others.
        assert {CONFIG_SUMMARY_TAG, "_hparams_/experiment"} <= set(tags["tensors"])
        assert "surest wrong answers" in tags["images"]
        # What belongs to the experiment is there once.
        main = loss == "cross-entropy"
        assert ("summary/0" in tags["tensors"]) is main
        assert ("value and gradient of each loss" in tags["images"]) is main


def test_every_tag_says_what_it_is(directory) -> None:
    for loss in ("cross-entropy", "zero-one"):
        events = read_events(directory / "tensorboard" / loss)
        kinds = ("scalars", "histograms", "tensors", "images")
        tags = [tag for kind in kinds for tag in events.Tags()[kind]]
        assert len(tags) > 30
        for tag in tags:
            if tag != CONFIG_SUMMARY_TAG and not tag.startswith("_hparams_"):
                assert len(events.SummaryMetadata(tag).summary_description) > 30, tag


def test_every_run_has_the_series_of_every_chart(directory) -> None:
    for loss in ("cross-entropy", "sigmoid-mse", "zero-one"):
        events = read_events(directory / "tensorboard" / loss)
        for chart in CHARTS:
            names = (chart.tag, LOW.format(chart.tag), HIGH.format(chart.tag))
            # A logarithm has no zero.
            if chart.log and loss == "zero-one":
                assert not {*names} & {*events.Tags()["scalars"]}
                continue
            mean, low, high = (curve(events, name) for name in names)
            assert list(mean) == list(low) == list(high)
            # A line needs two points, and TensorBoard draws at most a thousand.
            assert 2 <= len(mean) <= 1000
            assert all(low[step] <= mean[step] <= high[step] for step in mean)
            assert chart.log or all(low[step] >= 0 for step in mean)


def test_a_chart_is_its_source_or_its_logarithm(directory) -> None:
    events = read_events(directory / "tensorboard" / "sigmoid-mse")
    for chart in CHARTS:
        if chart.source in ("gradient/by_layer", "accuracy/test"):
            continue
        source, drawn = curve(events, chart.source), curve(events, chart.tag)
        expected = {k: math.log10(v) if chart.log else v for k, v in source.items()}
        assert drawn == pytest.approx(expected, rel=1e-5)


def test_the_norm_of_each_layer_is_its_mean_over_the_training(tmp_path: Path) -> None:
    directory = make_experiment(tmp_path / "made", seeds=2)
    for seed in range(2):
        path = directory / "cross-entropy" / f"seed{seed}"
        for file in path.glob("events*"):
            file.unlink()
        with EventFile(path) as events:
            for step in range(4):
                layers = {"f.10.0.weight": 10.0**step, "f.2.weight": 4.0 + 2 * seed}
                layers |= {"f.10.1.bias": 7.0}
                events.training(step, gradient_stats(layers=layers))
    write_board(directory)
    found = curve(read_events(directory / "tensorboard" / "cross-entropy"), FIRST_CHARTS[-1].tag)
    # The order is that of the model; the step is the number of the layer.
    expected = {1: math.log10(math.hypot(1111 / 4, 7)), 2: math.log10(5)}
    assert found == pytest.approx(expected, rel=1e-6)


def test_no_curve_is_a_single_point(directory) -> None:
    events = read_events(directory / "tensorboard" / "cross-entropy")
    single = {tag for tag in events.Tags()["scalars"] if len(events.Scalars(tag)) == 1}
    # Those of the page HParams stand after all others.
    assert {tag.partition("/")[0] for tag in single} == {"table"}
    assert min(single) > max(set(events.Tags()["scalars"]) - single)


@pytest.mark.parametrize("seeds", [1, 3])
def test_the_figures_are_those_of_the_results(tmp_path: Path, seeds) -> None:
    directory = make_experiment(tmp_path / "made", seeds=seeds)
    write_board(directory)
    for loss in ("cross-entropy", "sigmoid-mse"):
        events = read_events(directory / "tensorboard" / loss)
        rows = rows_by_step(directory, loss)
        for tag, column in {
            "accuracy/validation": "validation_accuracy",
            "loss/validation": "validation_loss",
            "accuracy/test": "test_accuracy",
        }.items():
            values = {step: [float(row[column]) for row in at] for step, at in rows.items()}
            expected = {step: each for step, each in values.items() if not math.isnan(each[0])}
            found = curve(events, tag)
            # A single point is drawn as a level line.
            assert list(found) == (list(expected) if len(expected) > 1 else [0, *expected])
            for step, each in expected.items():
                assert found[step] == pytest.approx(np.mean(each), rel=1e-6)
        last = max(rows)
        interval = mean_interval([float(row["test_accuracy"]) for row in rows[last]])
        for name, end in (("{}", interval.mean), (LOW, interval.low), (HIGH, interval.high)):
            level = curve(events, name.format(FIRST_CHARTS[0].tag))
            assert list(level) == [0, last]
            expected_end = interval.mean if end is None else min(max(end, 0), 1)
            assert list(level.values()) == pytest.approx([expected_end] * 2, rel=1e-6)
        assert curve(events, "table/test_accuracy") == {last: pytest.approx(interval.mean, 1e-6)}


def test_the_histograms_hold_every_example_of_every_seed(directory) -> None:
    merged = read_events(directory / "tensorboard" / "sigmoid-mse").Histograms(HISTOGRAM)
    seeds = [
        read_events(directory / "sigmoid-mse" / f"seed{k}").Histograms("gradient/logit_log10")
        for k in range(3)
    ]
    for at, *each in zip(merged, *seeds, strict=True):
        assert at.histogram_value.num == sum(e.histogram_value.num for e in each) == 3 * 64
        assert at.histogram_value.sum == pytest.approx(sum(e.histogram_value.sum for e in each))


def test_the_summary_and_the_warnings_are_texts(tmp_path: Path) -> None:
    directory = make_experiment(tmp_path / "made")
    lines = ["loss,seed,kind,layer,step,value,text"]
    lines += [f"nll,0,vanished,a.weight,{k},0.0,of another loss" for k in (0, 5)]
    lines += [f'zero-one,{k},vanished,a.weight,{k},0.0,"zero-one, {k}"' for k in (0, 5)]
    (directory / "warnings.csv").write_text("\n".join(lines) + "\n")
    write_board(directory)

    def text(loss: str, tag: str) -> str:
        (event,) = read_events(directory / "tensorboard" / loss).Tensors(tag)
        return event.tensor_proto.string_val[0].decode()

    assert text("zero-one", "warnings") == "- zero-one, 0\n- zero-one, 5"
    other = read_events(directory / "tensorboard" / "cross-entropy")
    assert "warnings" not in other.Tags()["tensors"]
    assert text("cross-entropy", "summary/0") == "# made"
    assert "cross-entropy  74.1 ± 1.4" in text("cross-entropy", "summary/1 Numbers")


def test_runs_that_were_not_finished_do_not_count(tmp_path: Path) -> None:
    directory = make_experiment(tmp_path / "made")
    path = directory / "results.csv"
    lines = path.read_text().splitlines(keepends=True)
    # Without its last row, seed 2 of zero-one was interrupted.
    lines.pop(max(i for i, line in enumerate(lines) if line.startswith("zero-one,2,")))
    path.write_text("".join(lines))
    write_board(directory)
    rows = rows_by_step(directory, "zero-one")
    accuracies = [float(row["test_accuracy"]) for row in rows[max(rows)]]
    assert len(accuracies) == 2
    found = curve(read_events(directory / "tensorboard" / "zero-one"), "accuracy/test")
    assert found == pytest.approx(dict.fromkeys([0, max(rows)], np.mean(accuracies)), 1e-6)


def test_a_board_is_replaced_whole(tmp_path: Path, monkeypatch, refusal) -> None:
    directory = make_experiment(tmp_path / "made")
    write_board(directory)
    before = files_of(directory)
    write_board(directory)
    assert {path.parent for path in files_of(directory)} == {path.parent for path in before}
    assert len(files_of(directory)) == len(before)

    second = []

    def break_off(path: Path, *_) -> None:
        second.append(path)
        if len(second) == 2:
            raise OSError(28, "No space left on device")
        path.mkdir(parents=True)

    monkeypatch.setattr(board, "write_loss", break_off)
    before = files_of(directory)
    refusal(lambda: write_board(directory), "cannot write", "No space left")
    assert files_of(directory) == before
    assert not [path for path in directory.iterdir() if path.name.startswith(".")]


def files_of(directory: Path) -> set[Path]:
    return {path for path in (directory / "tensorboard").rglob("*") if path.is_file()}


def test_where_nothing_is_finished_there_is_no_board(tmp_path, refusal) -> None:
    refusal(lambda: write_board(tmp_path), "experiment.json")
    directory = make_experiment(tmp_path / "made")
    summary = (directory / "summary.json").rename(tmp_path / "summary.json")
    refusal(lambda: write_board(directory), "summary.json", "lossbench report")
    summary.rename(directory / "summary.json").write_text("{")
    refusal(lambda: write_board(directory), "cannot read", "summary.json")
    (directory / "results.csv").unlink()
    refusal(lambda: write_board(directory), "no run has finished")
    assert not (directory / "tensorboard").exists()


def test_event_files_that_are_gone_leave_the_table(tmp_path: Path) -> None:
    directory = make_experiment(tmp_path / "made")
    for path in directory.glob("sigmoid-mse/*/*"):
        path.unlink()
    write_board(directory)
    tags = read_events(directory / "tensorboard" / "sigmoid-mse").Tags()
    assert "table/test_accuracy" in tags["scalars"]
    assert "accuracy/validation" not in tags["scalars"]


def test_a_new_board_is_on_the_disk_before_it_replaces_the_old_one(tmp_path, monkeypatch) -> None:
    new, old, synced = tmp_path / ".board.tmp", tmp_path / "board", []
    for directory in (new, old):
        directory.mkdir()
        (directory / directory.name).touch()
    monkeypatch.setattr(board, "sync_tree", lambda path: synced.append((path, old.exists())))
    monkeypatch.setattr(board, "sync_directory", lambda path: synced.append((path, new.exists())))
    board.replace_directory(new, old)
    assert synced == [(new, True), (tmp_path, False)]
    assert [path.name for path in tmp_path.iterdir()] == ["board"]
    assert [path.name for path in old.iterdir()] == [".board.tmp"]
