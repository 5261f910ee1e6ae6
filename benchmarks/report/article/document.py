"""The article as a document: its figure, the three images, and the steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lossbench.benchmarks.format import number
from lossbench.benchmarks.plots.confidence import confidence_panel, gradient_sizes
from lossbench.benchmarks.plots.panels import PanelFigure
from lossbench.benchmarks.report.document import (
    Block,
    Code,
    DefinitionList,
    Document,
    Heading,
    Image,
    Paragraph,
)

from .numbers import EXAMPLE, Images
from .steps import STEPS, Step, table

TITLE, FIGURE = "The article, sentence by sentence", "article.png"

ShowClaim = Callable[[str, Sequence[int]], Sequence[Block]]
"""Blocks for a claim by its name, with the figures of these indices."""


def article_document(show_claim: ShowClaim, images: Images = EXAMPLE) -> Document:
    """Build the page: the article's figure, the three images, and the steps.

    Args:
        show_claim: what stands below a step for each claim that measures it.
        images: two cats and a dog.
    """
    blocks: list[Block] = [Image.of(_figure(images))]
    blocks += [Paragraph(text) for text in _introduction(images)]
    predicted = (images.z > 0).astype(float)
    rows = (("z", images.z), ("f", images.f), ("predicted t", predicted), ("t", images.t))
    blocks.append(table(images, *rows, ("p", images.p)))
    for index, build in enumerate(STEPS, start=1):
        blocks += _section(index, build(images), show_claim)
    return Document(TITLE, tuple(blocks))


def article_png(images: Images = EXAMPLE) -> dict[str, bytes]:
    """Return the figure for a Markdown page, by file name."""
    shown = _figure(images)
    return {shown.name: shown.png()}


def _figure(images: Images) -> PanelFigure:
    marks = dict(zip(images.names, images.p.tolist(), strict=True))
    return PanelFigure(
        FIGURE,
        _alt(marks),
        "What is left of the gradient where the model is confidently wrong?",
        "Markers: the three images.",
        [confidence_panel(marks)],
    )


def _introduction(images: Images) -> tuple[str, str]:
    first, wrong, dog = images.names
    return (
        "lossbench began with an article that derives the loss of a classifier of cats and dogs. "
        "Here are its steps, in other words than its own: the formulas, three images with their "
        "numbers, what is right, what slips, and the claims of lossbench that measure it. The "
        "figure is the article's own argument: the size of the gradient over the probability that "
        "the model gives to the right class.",
        "The three images are a cat, a cat and a dog; t = 1 means cat. A model gives each image a "
        "logit z. Then f = 1 / (1 + exp(-z)) is the probability of a cat, and p that of the right "
        f"class: f for a cat, 1 - f for a dog. The logits are chosen so that {first} is right, "
        f"{wrong} is confidently taken for a dog, and the {dog} is right. All other numbers "
        "follow, by the losses of this library.",
    )


def _alt(marks: dict[str, float]) -> str:
    """Describe the figure, with the gradients at the marked images."""
    error, squared = (
        gradient_sizes(loss, list(marks.values())) for loss in ("bce-with-logits", "sigmoid-mse")
    )
    (peak,) = gradient_sizes("sigmoid-mse", [1 / 3])
    listed = "; ".join(
        f"{name}, p = {number(p)}: {number(a)} and {number(b)}"
        for (name, p), a, b in zip(marks.items(), error, squared, strict=True)
    )
    return (
        "Size of dL/dz over the probability p of the right class. That of cross-entropy, |f - t|, "
        "is a straight line from 1 where the model is confidently wrong to 0. That of the squared "
        f"error of a sigmoid, |(f - t) f (1 - f)|, is 0 at both ends and at most {number(peak)}, "
        f"at p = 1/3. {listed}."
    )


def _section(index: int, step: Step, show_claim: ShowClaim) -> list[Block]:
    blocks: list[Block] = [Heading(f"{index}. {step.title}"), Paragraph(step.says)]
    blocks += map(Code, step.formulas)
    blocks += [step.table, DefinitionList((("right", step.right), ("slips", step.slips)))]
    for name, figures in step.claims:
        blocks += show_claim(name, figures)
    return blocks
