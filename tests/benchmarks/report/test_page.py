import base64
import re
from html.parser import HTMLParser

import pytest

from benchmarks.report.page import facts, html_page, markdown_page, sentence
from benchmarks.report.reading import read_experiment
from benchmarks.report.summary import summarise_experiment

EVIL = "<script>alert('x')</script>"
PICTURES = {"comparison.png": b"one", "closed_forms.png": b"two"}


class Tags(HTMLParser):
    """Collects the tags of a page, and its attributes that can fetch."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.fetched, self.open = [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag not in ("meta", "img"):
            self.open.append(tag)
        self.fetched += [value for key, value in attributes if key in ("src", "href", "srcset")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture
def read(experiment):
    found = read_experiment(experiment)
    return found, summarise_experiment(found)


def test_the_page_is_self_contained_and_well_formed(read):
    page = html_page(*read, PICTURES)
    tags = Tags(page)
    assert tags.open == []
    assert tags.fetched == [
        "data:image/png;base64," + base64.b64encode(data).decode() for data in PICTURES.values()
    ]
    assert not {"script", "link", "iframe"} & set(tags.tags)
    assert "url(" not in page
    assert "@import" not in page
    assert "prefers-color-scheme: dark" in page


def test_the_order_of_the_page(read):
    page = html_page(*read, PICTURES)
    marks = ["<h1>", "After 2 epochs", "data:image", "<table>", "The losses themselves"]
    marks += ["How it was measured", "f1n9e5", "abacus", "lossbench compare"]
    places = [page.index(mark) for mark in marks]
    assert places == sorted(places)


def test_whatever_a_user_names_is_escaped(tmp_path, describe, evaluations, write_experiment):
    about = describe(name=EVIL, losses=[EVIL], seeds=[0], note=EVIL)
    about["command"] = about["git"] = about["date"] = EVIL
    about["data"] |= {"name": EVIL, "description": EVIL, "fingerprint": EVIL, "skipped": [EVIL]}
    about["model"]["name"] = about["hardware"]["processor"] = about["versions"]["torch"] = EVIL
    rows = evaluations(EVIL, 0, [0.5, 0.6, 0.7])
    found = read_experiment(write_experiment(tmp_path / "e", about, rows))
    summary = summarise_experiment(found)
    page = html_page(found, summary, PICTURES)
    assert "script" not in Tags(page).tags
    assert page.count("&lt;script&gt;") >= 12
    # In Markdown a tag may stand only where it is shown as it is: in the indented command.
    lines = markdown_page(found, summary, PICTURES).splitlines()
    assert [line for line in lines if "<script" in line.replace(r"\<", "")] == ["    " + EVIL]


def test_a_command_of_many_lines_stays_in_its_block(read):
    found, summary = read
    found.about["command"] = "one\n\n<script>"
    assert markdown_page(found, summary, PICTURES).endswith("\n\n    one <script>\n")


def test_markdown_links_its_pictures(read):
    text = markdown_page(*read, PICTURES)
    assert re.findall(r"\]\((.*?)\)", text) == ["comparison.png", "closed_forms.png"]
    assert "closed_forms" not in markdown_page(*read, {"comparison.png": b""})


def test_synthetic_pages_say_so_first(read):
    found, summary = read
    summary |= {"synthetic": True, "note": "SYNTHETIC IMAGES: no photographs"}
    page = html_page(found, summary, PICTURES)
    for part in ("title", "h1", "caption"):
        (content,) = re.findall(f"<{part}>(.*?)</{part}>", page)
        assert content.startswith("SYNTHETIC IMAGES")
    first, _, second = markdown_page(found, summary, PICTURES).splitlines()[:3]
    assert first.startswith("# SYNTHETIC IMAGES")
    assert second == "**SYNTHETIC IMAGES: no photographs**"


def test_the_sentence_is_made_of_the_numbers(read):
    assert sentence(read[1]) == (
        "After 2 epochs from a normal start, over 2 seeds, accuracy on test images ranges from "
        "60.0 % (mse) to 75.0 % (cross-entropy), where chance is 60.0 %."
    )


def test_the_sentence_names_the_gradients(read):
    losses = read[1]["losses"]
    losses["mse"]["gradient"]["logit_when_wrong"]["last"] = 1e-4
    losses["cross-entropy"]["gradient"]["logit_when_wrong"]["last"] = 0.5
    assert sentence(read[1]).endswith(
        ", and the mean |dL/dz| of wrongly classified examples at the end from 1.0e-4 (mse) to "
        "0.500 (cross-entropy)."
    )


def test_the_sentence_names_all_of_equals(read):
    losses = read[1]["losses"]
    losses["nll"] = losses["cross-entropy"]
    assert "75.0 % (cross-entropy, nll)" in sentence(read[1])


def test_the_sentence_of_a_single_loss(read):
    summary = read[1] | {"epochs": 1, "seeds": [0], "chance": None}
    summary["losses"] = {"mse": summary["losses"]["mse"]}
    expected = (
        "After 1 epoch from a normal start, over 1 seed, mse is right on 60.0 % of test images."
    )
    assert sentence(summary) == expected


def test_long_lists_of_skipped_files_are_cut(read):
    found, _ = read
    found.about["data"]["skipped"] = [f"{i}.jpg" for i in range(25)]
    (line,) = (value for key, value in facts(found) if key == "files skipped")
    assert line.startswith("25: 0.jpg, 1.jpg")
    assert line.endswith("19.jpg and 5 more")


def test_a_bare_description_still_makes_a_page(read):
    found, summary = read
    for key in ("data", "model", "versions", "hardware", "command", "date", "git"):
        del found.about[key]
    assert Tags(html_page(found, summary, PICTURES)).open == []
