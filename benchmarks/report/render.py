"""Rendering of documents: an HTML page that needs no other file, and Markdown."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from lossbench.benchmarks.plots.svg import palette_css
from lossbench.benchmarks.records.files import write_files

from .document import MARKS, Block, Document, Image, Link

TEMPLATES = Path(__file__).parent / "templates"

# Each begins at the beginning of a word, so that a long word is read once.
WHOLE = re.compile(
    r"(?<!\S)(?:\S+ ± \S+|× \d\S*|[^\sA-Za-z]+ %\S*|[(+−-]*\d[\d.]*e-\d+\S*"
    r"|[(|]*[\w²]{1,2} [-−+=] [\w.−]{1,5}(?!\w)\S*)"
)
"""What a line of a page does not break: 72.8 ± 1.6, × 2, 50 %, 2e-16, and f - t."""


def html(document: Document) -> str:
    """Render a page that contains its charts and style, for light and dark mode."""
    return _render("page.html.j2", document)


def markdown(document: Document) -> str:
    """Render Markdown; images are relative links."""
    return _render("page.md.j2", document)


def write_pages(directory: Path, document: Document, name: str = "report.md") -> list[Path]:
    """Write report.html and its Markdown, and return their paths.

    Args:
        directory: where to write.
        document: the report.
        name: file name of the Markdown.

    Raises:
        UserError: a file cannot be written.
    """
    files = {"report.html": html(document).encode(), name: markdown(document).encode()}
    write_files(directory, files)
    return [directory / name for name in files]


def escape_markdown(text: str) -> str:
    """Put a text on one line and escape what Markdown or HTML would take as markup."""
    line = re.sub(r"([\\`*_\[\]<>|#&~$])", r"\\\1", _one_line(text))
    # Lists and headings, which only the beginning of a line can start.
    return re.sub(r"^(\d+)([.)] )|^([-+=] )", r"\1\\\2\3", line)


def keep_whole(text: str) -> Markup:
    """Escape a text for HTML, and mark what no line of it may break."""
    parts, end = [], 0
    for match in WHOLE.finditer(text):
        parts += [escape(text[end : match.start()]), Markup('<span class="whole">')]
        parts += [escape(match[0]), Markup("</span>")]
        end = match.end()
    return Markup("").join([*parts, escape(text[end:])])


def _render(template: str, document: Document) -> str:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=template.endswith(".html.j2"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "block_type": lambda block: type(block).__name__,
        "href": _href,
        "md": escape_markdown,
        "fenced": _fenced,
        "quote": quote,
        "whole": keep_whole,
    }
    environment.tests["link"] = lambda cell: isinstance(cell, Link)
    page = environment.get_template(template)
    style = _source("style.css") + palette_css()
    script = script_source() if any(map(_has_charts, document.blocks)) else ""
    return page.render(
        title=document.title,
        blocks=document.blocks,
        marks=MARKS,
        style=style,
        script=script,
        policy=content_policy(style, script),
    )


def content_policy(style: str, script: str) -> str:
    """Return the Content-Security-Policy of a page: its own style and script alone.

    So that no text that was taken for markup by mistake could run or fetch anything.
    """

    def digest(text: str) -> str:
        return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")

    scripts = f"'sha256-{digest(script)}'" if script else "'none'"
    return (
        f"default-src 'none'; img-src data:; style-src 'sha256-{digest(style)}'; "
        f"script-src {scripts}; base-uri 'none'; form-action 'none'"
    )


def script_source() -> str:
    """Return the script that shows the values of charts."""
    return _source("charts.js")


def _source(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")


def _has_charts(block: Block) -> bool:
    return isinstance(block, Image) and bool(block.charts)


def _href(link: Link, suffix: str) -> str:
    target = link.target if link.target.startswith("#") else link.target + suffix
    return quote(target, safe="/#")


def _fenced(text: str) -> str:
    """Write a text on one line as a code block, with a fence that the text cannot close."""
    line = _one_line(text)
    longest = max(map(len, re.findall("`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{line}\n{fence}"


def _one_line(text: str) -> str:
    return " ".join(text.split())
