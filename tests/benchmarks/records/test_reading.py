import json

import numpy as np
import pytest

from lossbench.benchmarks.errors import UserError
from lossbench.benchmarks.records.reading import (
    COLUMNS,
    experiments_in,
    read_correct,
    read_experiment,
    read_finished_run,
)
from lossbench.benchmarks.records.results import GradientWarning

from ..written_experiments import describe, evaluations, write_experiment, write_predictions

HEADER = ",".join(COLUMNS)


def test_a_run_is_finished_at_its_last_epoch(tmp_path):
    rows = evaluations("mse", 0, [0.5, 0.6, 0.7]) + evaluations("mse", 1, [0.5, 0.6])
    directory = write_experiment(tmp_path / "e", describe(losses=["mse", "bce"]), rows)
    states = {
        (run.loss, run.seed): (run.finished, run.epoch) for run in read_experiment(directory).runs
    }
    assert states == {
        ("mse", 0): (True, 2),
        ("mse", 1): (False, 1),
        ("bce", 0): (False, None),
        ("bce", 1): (False, None),
    }


def test_a_repeated_step_counts_once_and_rows_may_come_in_any_order(tmp_path):
    start, first, last = evaluations("mse", 0, [0.5, 0.6, 0.7])
    rows = [last, start, first, last | {"test_accuracy": 0.8}]
    directory = write_experiment(tmp_path / "e", describe(seeds=[0]), rows)
    (run,) = read_experiment(directory).runs
    assert [row.step for row in run.rows] == [0, 10, 20]
    assert run.last("test_accuracy") == 0.8


def test_empty_nan_and_infinite_cells_are_nothing(tmp_path):
    columns = {"logit_mean_abs": ["", "nan", 3], "parameter_norm": ["inf", 1, ""]}
    columns |= {"logit_when_wrong": ["-1e200", "1e308", 7]}
    rows = evaluations("mse", 0, [0.5, 0.6, 0.7], **columns)
    (run,) = read_experiment(write_experiment(tmp_path / "e", describe(seeds=[0]), rows)).runs
    assert run.first("logit_mean_abs") == 3
    assert run.first("parameter_norm") == 1
    assert run.first("logit_when_wrong") == 7
    assert run.last("parameter_norm") is None


def test_only_the_last_line_may_be_torn(experiment):
    path = experiment / "results.csv"
    path.write_text(path.read_text() + "mse,7,0,0,0.1")
    assert {run.seed for run in read_experiment(experiment).runs} == {0, 1}
    path.write_text(path.read_text() + "\nmse,7,0,0" + "," * 12 + "\n")
    with pytest.raises(UserError, match=r"line 14 has 5 cells, not 17"):
        read_experiment(experiment)


def test_columns_may_be_added(experiment):
    path = experiment / "results.csv"
    before = read_experiment(experiment).runs
    path.write_text("".join(f"x,{line}\n" for line in path.read_text().splitlines()))
    assert read_experiment(experiment).runs == before


def test_a_number_of_seeds_counts_from_zero(tmp_path):
    rows = evaluations("mse", 0, [0.5, 0.6, 0.7])
    runs = read_experiment(write_experiment(tmp_path / "e", describe(seeds=3), rows)).runs
    assert [(run.seed, run.finished) for run in runs] == [(0, True), (1, False), (2, False)]


def test_images_are_synthetic_unless_the_file_denies_it(experiment):
    path = experiment / "experiment.json"
    about = json.loads(path.read_text())
    assert not read_experiment(experiment).synthetic
    del about["synthetic"]
    path.write_text(json.dumps(about))
    assert read_experiment(experiment).synthetic


def test_which_split_the_curves_are_of(tmp_path):
    rows = evaluations("mse", 0, [0.5, 0.6, 0.7], train_accuracy=[0.5, 0.6, 0.9])
    directory = write_experiment(tmp_path / "e", describe(seeds=[0]), rows)
    assert read_experiment(directory).held_out
    rows = [row | {"validation_accuracy": "nan"} for row in rows]
    assert not read_experiment(write_experiment(tmp_path / "e", describe(seeds=[0]), rows)).held_out
    assert read_experiment(directory).classes == ("dog", "cat")


WARNINGS = """loss,seed,kind,layer,step,value,text
mse,1,exploded,head,30,1e9,"mse, seed 1: head"
zero-one,0,vanished,logit,10,0,zero-one is flat
"""


def test_warnings_come_by_step_and_once(experiment):
    assert read_experiment(experiment).warnings == ()
    path = experiment / "warnings.csv"
    repeated = "zero-one,0,vanished,logit,10,0,zero-one is flat\n"
    path.write_text(WARNINGS + repeated + "mse,0,vani")
    assert read_experiment(experiment).warnings == (
        GradientWarning("zero-one", 0, "vanished", "logit", 10, 0.0, "zero-one is flat"),
        GradientWarning("mse", 1, "exploded", "head", 30, 1e9, "mse, seed 1: head"),
    )


def test_which_answers_were_right(tmp_path):
    right = np.array([True, False, False, True, True])
    write_predictions(tmp_path, "mse", 3, right)
    assert read_correct(tmp_path, "mse", 3).tolist() == right.tolist()
    assert read_correct(tmp_path, "mse", 4) is None


@pytest.mark.parametrize("loss", ["../other/mse", "/etc", "a/../../b", "a\0b"])
def test_the_name_of_a_loss_leads_nowhere_else(tmp_path, loss):
    write_predictions(tmp_path / "other", "mse", 0, np.array([True, False]))
    (tmp_path / "experiment").mkdir()
    with pytest.raises(UserError, match="is no name of a loss"):
        read_correct(tmp_path / "experiment", loss, 0)


@pytest.mark.parametrize(
    ("name", "content", "wrong"),
    [
        ("results.csv", "", "no run has finished"),
        ("results.csv", f"{HEADER}\n", "no run has finished"),
        ("results.csv", None, "no run has finished"),
        ("results.csv", "loss,seed\nmse,0\n", "no column epoch, step, train_loss"),
        ("results.csv", f"{HEADER}\nmse,0,0,0,many{12 * ','}\n", "line 2: .*many"),
        ("results.csv", f"{HEADER}\n{'x' * 200_000}\n", "field larger than"),
        ("warnings.csv", "loss,seed\nmse,0\n", r"cannot read .*warnings\.csv"),
        ("warnings.csv", WARNINGS.replace("30", "many"), r"cannot read .*warnings\.csv"),
        ("warnings.csv", f"{HEADER}\n{'x' * 200_000}\n", "field larger than"),
        ("experiment.json", None, r"experiment\.json is missing"),
        ("experiment.json", "{", "cannot read"),
        ("experiment.json", '{"config": {"epochs": 1}, "data": {"test": NaN}}', "cannot read"),
        ("experiment.json", '{"config": ' + "[" * 100_000, "cannot read"),
        ("experiment.json", "[]", "number of epochs"),
        ("experiment.json", "{}", "number of epochs"),
        ("experiment.json", '{"config": {"epochs": "two"}}', "number of epochs"),
    ],
    ids=lambda value: value and value[:20],
)
def test_a_damaged_file_is_a_users_error(experiment, name, content, wrong):
    path = experiment / name
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(UserError, match=wrong):
        read_experiment(experiment)


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"losses": [1]}, r"config.losses\[0\] should be str"),
        ({"losses": "mse"}, "config.losses should be list"),
        ({"seeds": 10**9}, "config.seeds is more than 100,000"),
        ({"seeds": ["x"]}, r"config.seeds\[0\] should be int"),
        ({"learning_rates": {"mse": "x"}}, r"config.learning_rates\[0\] should be int | float"),
    ],
)
def test_a_description_of_another_shape(tmp_path, change, wrong):
    directory = write_experiment(tmp_path / "e", describe(**change), [])
    with pytest.raises(UserError, match=wrong):
        read_experiment(directory)


def test_bad_predictions(tmp_path):
    path = write_predictions(tmp_path, "mse", 0, np.array([True, False]))
    whole = path.read_bytes()
    for content in (b"", b"not a zip", whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"cannot read .*predictions\.npz"):
            read_correct(tmp_path, "mse", 0)
    np.savez(path, predicted=np.zeros(3))
    with pytest.raises(UserError, match="labels"):
        read_correct(tmp_path, "mse", 0)
    np.savez(path, predicted=np.zeros(3), labels=np.zeros(2))
    with pytest.raises(UserError, match=r"predicted \(3,\) and labels \(2,\)"):
        read_correct(tmp_path, "mse", 0)
    np.savez(path, predicted=np.array([{}]), labels=np.zeros(1))
    with pytest.raises(UserError, match="cannot read"):
        read_correct(tmp_path, "mse", 0)
    np.savez(path, predicted=np.array(["cat"]), labels=np.zeros(1))
    with pytest.raises(UserError, match="should be numbers"):
        read_correct(tmp_path, "mse", 0)


def test_a_diverged_network_is_taken_to_answer_the_most_frequent_class(tmp_path):
    labels = np.array([1, 1, 0])
    path = write_predictions(tmp_path, "mse", 0, np.array([True, True, True]))
    np.savez(path, predicted=np.array([0, 0, 0]), labels=labels)
    assert read_correct(tmp_path, "mse", 0, diverged=True).tolist() == [True, True, False]
    np.savez(path, predicted=labels[:0], labels=labels[:0])
    assert read_correct(tmp_path, "mse", 0, diverged=True).tolist() == []


def test_a_run_is_finished_with_the_row_of_its_last_epoch(tmp_path):
    rows = evaluations("mse", 0, [0.5, 0.6, 0.7])
    directory = write_experiment(tmp_path / "e", describe(seeds=[0]), rows)
    assert read_finished_run(directory, 2) == (0.7, 3.0)
    assert read_finished_run(directory, 3) is None
    assert read_finished_run(tmp_path / "none", 2) is None


def test_rows_that_cannot_be_read(experiment):
    path = experiment / "results.csv"
    path.write_bytes(path.read_bytes() + b"\xff\n")
    with pytest.raises(UserError, match="cannot read"):
        read_experiment(experiment)


def test_a_last_row_may_lack_cells(experiment):
    path, before = experiment / "results.csv", read_experiment(experiment).runs
    path.write_text(path.read_text() + "mse,7,0\n")
    assert read_experiment(experiment).runs == before


def test_one_command_may_have_made_an_experiment_for_each_start(tmp_path):
    assert experiments_in(tmp_path) == [tmp_path]
    for start in ("confidently-wrong", "normal"):
        write_experiment(tmp_path / start, describe(), [])
    assert experiments_in(tmp_path) == [tmp_path / "normal", tmp_path / "confidently-wrong"]
