"""Fixtures: a small comparison, TensorBoard opened by `lossbench view`, and a browser."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from lossbench.benchmarks.config import CompareConfig
from lossbench.benchmarks.console import Reporter
from tests.benchmarks.comparisons import compare

LOSSES = ("cross-entropy", "sigmoid-mse", "zero-one")
SEEDS = 3
ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]


@pytest.fixture(scope="session")
def experiment(tmp_path_factory, cats_and_dogs) -> Path:
    """Train three losses with three seeds each on images of noise; cats are brighter."""
    home = tmp_path_factory.mktemp("comparison")
    pictures = cats_and_dogs(home / "pictures", 60)
    config = CompareConfig(
        losses=LOSSES,
        data=str(pictures),
        image_size=32,
        model="lenet",
        width=4,
        epochs=3,
        batch_size=16,
        learning_rate=0.02,
        validation=0.2,
        log_every=2,
        evaluations=2,
        seeds=SEEDS,
        device="cpu",
        runs=home / "runs",
        name="small",
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(home / "cache"))
        return compare(config, "lossbench compare --data pictures", Reporter()).directory


@contextmanager
def serving(command: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Run a command that serves TensorBoard; return its address, and the lines that it printed."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    home = f"http://localhost:{port}/"
    with tempfile.TemporaryFile() as printed:
        process = subprocess.Popen(
            [sys.executable, "-m", *command, "--port", str(port)],
            stdout=printed,
            stderr=subprocess.DEVNULL,
        )
        try:
            for _ in range(600):
                assert process.poll() is None, f"{command} ended"
                try:
                    urllib.request.urlopen(home + "data/plugins_listing").close()
                    break
                except OSError:
                    time.sleep(0.1)
            yield home, os.pread(printed.fileno(), 10_000, 0).decode().splitlines()
        finally:
            process.terminate()
            process.wait()


@pytest.fixture(scope="session")
def view(experiment: Path) -> Iterator[tuple[str, list[str]]]:
    """Open TensorBoard by the command, and return its address and what it printed."""
    with serving(["lossbench.benchmarks.cli", "view", "--runs", str(experiment)]) as opened:
        yield opened


@pytest.fixture(scope="session")
def tensorboard(view) -> str:
    """Return the address of TensorBoard."""
    return view[0]


@pytest.fixture(scope="session")
def browser() -> Iterator:
    """Open Debian's chromium by Playwright."""
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("there is no chromium: apt-get install chromium")
    api = pytest.importorskip("playwright.sync_api")
    with api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield opened
        opened.close()


@dataclass
class PageLog:
    """Console errors and requests of a page."""

    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@pytest.fixture
def page_log() -> PageLog:
    return PageLog()


@pytest.fixture
def page(browser, page_log: PageLog) -> Iterator:
    """Open a page; the test fails if its console has an error."""
    opened = browser.new_page(viewport={"width": 1440, "height": 900})
    opened.set_default_timeout(120_000)

    def console(message) -> None:
        if message.type == "error":
            page_log.errors.append(f"{message.text} ({message.location.get('url', '')})")

    opened.on("console", console)
    opened.on("pageerror", lambda error: page_log.errors.append(str(error)))
    opened.on("request", lambda request: page_log.requests.append(request.url))
    yield opened
    opened.close()
    assert page_log.errors == []
