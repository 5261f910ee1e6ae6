import pytest

from lossbench.benchmarks.commands import compare as comparison
from lossbench.benchmarks.records.results import gather_tables


@pytest.fixture
def no_report(monkeypatch) -> None:
    """Write tables only: a report takes longer than the runs."""
    monkeypatch.setattr(
        comparison, "write_results", lambda p, _: gather_tables(p.directory, p.run_directories)
    )
