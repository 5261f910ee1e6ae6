"""Properties of all claims."""

import io
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from lossbench.benchmarks.data.batches import prepare
from lossbench.benchmarks.evidence.design import FIRST_SEED
from lossbench.benchmarks.evidence.runner import CLAIMS, claim_of
from lossbench.benchmarks.plots.curves import CurvePanel
from lossbench.benchmarks.records.claim import read_claim, verdict_of, write_claim
from lossbench.benchmarks.records.plain import to_plain
from lossbench.benchmarks.stats.sequential import LOOKS
from lossbench.benchmarks.training.executors.pool import dataset_arguments
from lossbench.benchmarks.training.train import train

from .conftest import seeds_of
from .small import small
from .worlds import WORLDS, FakeTrainer

ABOUT = {"design": {}, "trials": 0, "seconds": 0.0}


@pytest.mark.parametrize("name", CLAIMS)
def test_a_claim_holds_in_its_world(name):
    claim, trainer = claim_of(name), FakeTrainer(WORLDS[name])
    finding = claim.examine(trainer, seeds_of(claim))
    assert finding.verdict == verdict_of(finding.measures) == "holds", finding.measures
    assert finding.sentence.endswith(".")
    assert finding.sentence.count(". ") == 0
    assert "nan" not in finding.sentence
    assert len({figure.name for figure in finding.figures}) == len(finding.figures) >= 1
    for figure in finding.figures:
        assert figure.alt.endswith(".")
        assert "nan" not in figure.alt
    assert finding.tables
    assert finding.notes
    for table in finding.tables:
        assert table.rows
        assert {len(row) for row in table.rows} == {len(table.columns)}
    # A line whose x goes back and forth is a scribble.
    panels = [panel for figure in finding.figures for panel in figure.panels]
    for line in (
        line for panel in panels if isinstance(panel, CurvePanel) for line in panel.curves
    ):
        assert (np.diff(line.x) >= 0).all(), line.label
    check_fairness(trainer)


@pytest.mark.parametrize("name", CLAIMS)
def test_the_figures_of_a_claim_are_kept_as_numbers(name, tmp_path, examine):
    """claim.json holds all that charts and PNG show, and is small."""
    finding = examine(name)
    write_claim(tmp_path, ABOUT, claim_of(name), finding)
    kept = read_claim(tmp_path)["pictures"]
    assert [figure.charts() for figure in kept] == [figure.charts() for figure in finding.figures]
    assert to_plain(kept) == to_plain(finding.figures)
    assert (tmp_path / "claim.json").stat().st_size < 300_000
    assert sum(len(chart.svg) for figure in kept for chart in figure.charts()) < 600_000


@pytest.mark.slow
@pytest.mark.parametrize("name", CLAIMS)
def test_the_figures_of_a_claim_are_drawn_for_markdown(name, examine):
    for figure in examine(name).figures:
        png = figure.png()
        image = Image.open(io.BytesIO(png))
        assert image.width == 1600
        assert len(png) < 250_000
        assert image.text["Description"] == figure.alt


def check_fairness(trainer):
    """Rates are searched without test images, and every cell is trained with the same seeds."""
    assert not any(config.test for config in trainer.searched)
    seeds = {}
    for config in dict.fromkeys(trainer.trained):
        seeds.setdefault(replace(config, seed=0), []).append(config.seed)
    assert all(len(set(each)) == len(each) for each in seeds.values())
    assert len(set(map(tuple, seeds.values()))) == 1


@pytest.mark.parametrize("name", CLAIMS)
def test_two_seeds_decide_nothing(name):
    finding = claim_of(name).examine(FakeTrainer(WORLDS[name]), range(FIRST_SEED, FIRST_SEED + 2))
    assert {measure.verdict for measure in finding.measures} == {"undecided"}


@pytest.mark.parametrize("name", CLAIMS)
def test_a_claim_is_one_sentence_and_states_its_design(name):
    claim = claim_of(name)
    design = claim.design
    assert claim.question == design.question
    assert re.fullmatch(r"[^.]*(\.\d[^.]*)*\.", claim.claim), claim.claim
    assert design.error == 0.05
    assert design.looks == LOOKS or (claim.kind, design.looks) == ("proved and checked", (3,))
    # A limit of 0 could never be refuted by losses that are alike.
    assert all(each.limit for each in design.expects)
    # What a rate is chosen on is trained like what is judged, and is never judged.
    assert set(design.searches) <= set(design.cells)
    for cell, config in design.searches.items():
        judged = design.cells[cell]
        assert (config.loss, config.optimizer) == (judged.loss, judged.optimizer)
    assert all(
        seed >= 1000 for each in claim.search_configs().values() for seed in {c.seed for c in each}
    )


@pytest.mark.parametrize("loss", ["bce-with-logits", "bce", "nll"])
def test_no_measured_claim_compares_forms_of_cross_entropy(loss):
    """With the same head they train alike."""
    for name in CLAIMS:
        claim = claim_of(name)
        losses = {config.loss for config in claim.design.cells.values() if config.data == "cifar10"}
        assert claim.kind != "measured" or loss not in losses, name


@pytest.mark.slow
@pytest.mark.parametrize("name", CLAIMS)
def test_a_claim_is_examined_on_trained_networks(name, image_set, monkeypatch):
    """Tiny networks decide nothing, or something; every part of the report can be made."""
    claim = small(claim_of(name), monkeypatch, images=140)
    config = next(iter(claim.design.cells.values()))
    classes = "ten" in config.data and not config.classes
    images = image_set(
        train=160,
        test=40,
        validation=40,
        classes=tuple("abcdefghij") if classes else ("dog", "cat"),
    )

    def trainer(configs):
        return [
            train(config, prepare(images, torch.device("cpu"), **dataset_arguments(config)))
            for config in configs
        ]

    finding = claim.examine(trainer, range(FIRST_SEED, FIRST_SEED + 3))
    assert finding.verdict == verdict_of(finding.measures)
    assert "nan" not in finding.sentence
