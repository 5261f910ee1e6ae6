"""`lossbench article`: write the page about the article that lossbench began with."""

from __future__ import annotations

from lossbench.benchmarks.report.article.page import write_article
from lossbench.benchmarks.subcommands import ArticleCommand


def run(command: ArticleCommand) -> int:
    """Write the page and its figure, print their paths, and return the exit code."""
    for path in write_article(command.output, command.evidence):
        print(path)
    return 0
