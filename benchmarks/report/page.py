"""The page of an experiment: report.html, which needs no other file, and summary.md."""

from __future__ import annotations

import base64
from html import escape
from typing import TYPE_CHECKING, Any

from benchmarks.report.style import CSS
from benchmarks.report.table import (
    COLUMNS,
    body,
    escape_markdown,
    magnitude,
    markdown_table,
    notes,
    percent,
    title,
)

if TYPE_CHECKING:
    from benchmarks.report.reading import Experiment

COMPARISON_ALT = "Two charts over training steps, a line a loss: test accuracy, and mean |dL/dz|."
CLOSED_FORMS_ALT = "Two charts over the logit, a line a loss: its value, and its gradient dL/dz."
CLOSED_FORMS_TEXT = (
    "A loss reaches the network only through its gradient with respect to the logit. These are "
    "the formulas themselves, with no network and no data, for an example whose right answer is "
    "a cat (t = 1). Softmax losses are given the two logits \N{MINUS SIGN}z/2 and +z/2."
)
# A list of skipped files can be as long as the data; the count above it says how long.
SKIPPED_SHOWN = 20


def sentence(summary: dict[str, Any]) -> str:
    """What was seen, in one sentence made of the numbers alone."""
    losses = summary["losses"]
    seeds, epochs = len(summary["seeds"]), summary["epochs"]
    means = {
        name: loss["test_accuracy"]["mean"]
        for name, loss in losses.items()
        if loss["test_accuracy"]["mean"] is not None
    }
    images = "SYNTHETIC test images" if summary["synthetic"] else "test images"
    start = (
        f"After {epochs} epoch{'s'[: epochs != 1]} from a {summary['start']} start, over {seeds} "
        f"seed{'s'[: seeds != 1]},"
    )
    if not means:
        return f"{start} no run ended with a finite accuracy."
    low, high = min(means.values()), max(means.values())
    if len(means) == 1:
        text = f"{start} {next(iter(means))} is right on {percent(high)} % of {images}"
    else:
        text = (
            f"{start} accuracy on {images} ranges from {percent(low)} % ({_who(means, low)}) to "
            f"{percent(high)} % ({_who(means, high)})"
        )
    if summary["chance"] is not None:
        text += f", where chance is {percent(summary['chance'])} %"
    return text + _gradient_clause(losses) + "."


def _gradient_clause(losses: dict[str, Any]) -> str:
    ends = {
        name: loss["gradient"]["logit_when_wrong"]["last"]
        for name, loss in losses.items()
        if loss["gradient"]["logit_when_wrong"]["last"] is not None
    }
    if len(ends) < 2:
        return ""
    low, high = min(ends.values()), max(ends.values())
    return (
        f", and the mean |dL/dz| of wrongly classified examples at the end from "
        f"{magnitude(low)} ({_who(ends, low)}) to {magnitude(high)} ({_who(ends, high)})"
    )


def _who(values: dict[str, float], value: float) -> str:
    """All names with this value to three digits: of equals, none is named before the others."""
    return ", ".join(name for name, own in values.items() if magnitude(own) == magnitude(value))


def facts(experiment: Experiment) -> list[tuple[str, str]]:
    """How it was measured, as names and values, neither escaped."""
    about = experiment.about
    data, model = about.get("data", {}), about.get("model", {})
    lines = [("data", f"{data.get('name', '?')}: {data.get('description', '')}")]
    for part in ("train", "test"):
        total, cats = data.get(part, 0), data.get(f"{part}_cats", 0)
        lines.append((f"{part} images", f"{total:,} ({cats:,} cats, {total - cats:,} dogs)"))
    if skipped := data.get("skipped", []):
        shown = ", ".join(str(name) for name in skipped[:SKIPPED_SHOWN])
        more = len(skipped) - SKIPPED_SHOWN
        rest = f" and {more:,} more" if more > 0 else ""
        lines.append(("files skipped", f"{len(skipped):,}: {shown}{rest}"))
    lines += [
        ("data fingerprint", str(data.get("fingerprint", "?"))),
        ("model", f"{model.get('name', '?')}, {model.get('parameters', 0):,} parameters"),
        ("configuration", _joined(about["config"])),
        ("hardware", _joined(about.get("hardware", {}))),
        ("versions", _joined(about.get("versions", {}))),
        ("git commit", str(about.get("git") or "none")),
        ("date", str(about.get("date", "?"))),
    ]
    return lines


def html_page(experiment: Experiment, summary: dict[str, Any], pictures: dict[str, bytes]) -> str:
    """The whole page, its pictures within it; dark or light as the reader's system is."""
    name = escape(title(summary))
    parts = [
        f"<h1>{name}</h1>",
        f'<p class="synthetic">{escape(summary["note"])}</p>' if summary["synthetic"] else "",
        f"<p>{escape(sentence(summary))}</p>",
        _picture(pictures, "comparison.png", COMPARISON_ALT),
        "<h2>Numbers</h2>",
        f'<div class="scroll" tabindex="0">{_html_table(summary)}</div>',
        *(f'<p class="note">{escape(note)}</p>' for note in notes(summary)),
    ]
    if "closed_forms.png" in pictures:
        parts.append("<h2>The losses themselves</h2>")
        parts.append(f"<p>{escape(CLOSED_FORMS_TEXT)}</p>")
        parts.append(_picture(pictures, "closed_forms.png", CLOSED_FORMS_ALT))
    parts.append("<h2>How it was measured</h2>")
    lines = "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in facts(experiment))
    parts.append(f"<dl>{lines}</dl>")
    command = escape(str(experiment.about.get("command", "")))
    parts.append(f'<p>To repeat it:</p><pre class="scroll" tabindex="0">{command}</pre>')
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{name} · lossbench</title>\n<style>{CSS}</style>\n</head>\n<body>\n"
        + "\n".join(part for part in parts if part)
        + "\n</body>\n</html>\n"
    )


def markdown_page(
    experiment: Experiment, summary: dict[str, Any], pictures: dict[str, bytes]
) -> str:
    """The same in Markdown, its pictures by relative link."""
    parts = [f"# {escape_markdown(title(summary))}"]
    if summary["synthetic"]:
        parts.append(f"**{summary['note']}**")
    parts += [
        escape_markdown(sentence(summary)),
        f"![{escape_markdown(COMPARISON_ALT)}](comparison.png)",
        markdown_table(summary),
        "\n".join(f"- {escape_markdown(note)}" for note in notes(summary)),
    ]
    if "closed_forms.png" in pictures:
        parts.append("## The losses themselves")
        parts.append(CLOSED_FORMS_TEXT)
        parts.append(f"![{escape_markdown(CLOSED_FORMS_ALT)}](closed_forms.png)")
    parts.append("## How it was measured")
    parts.append(
        "\n".join(f"- {key}: {escape_markdown(value)}" for key, value in facts(experiment))
    )
    # An indented block, because no content of a single line can end it.
    command = " ".join(str(experiment.about.get("command", "")).split())
    parts.append(f"To repeat it:\n\n    {command}")
    return "\n\n".join(parts) + "\n"


def _picture(pictures: dict[str, bytes], name: str, alt: str) -> str:
    data = base64.b64encode(pictures[name]).decode("ascii")
    source = f"data:image/png;base64,{data}"
    return f'<div class="card" tabindex="0"><img src="{source}" alt="{escape(alt)}"></div>'


def _html_table(summary: dict[str, Any]) -> str:
    head = "".join(f'<th scope="col">{escape(column.heading)}</th>' for column in COLUMNS)
    *losses, chance = body(summary)
    caption = "<caption>SYNTHETIC IMAGES</caption>" if summary["synthetic"] else ""
    return (
        f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>"
        + "".join(_html_row(row) for row in losses)
        + f"</tbody><tfoot>{_html_row(chance)}</tfoot></table>"
    )


def _html_row(row: list[str]) -> str:
    name, *cells = (escape(cell) for cell in row)
    return f'<tr><th scope="row">{name}</th>{"".join(f"<td>{c}</td>" for c in cells)}</tr>'


def _joined(values: dict[str, Any]) -> str:
    return ", ".join(f"{key} {_plain(value)}" for key, value in values.items())


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(str(item) for item in value)
    return "none" if value is None else str(value)
