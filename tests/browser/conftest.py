"""A real comparison, TensorBoard on it as `lossbench view` opens it, and a browser to look."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from lossbench.benchmarks.commands.compare import compare
from lossbench.benchmarks.config import CompareConfig
from lossbench.benchmarks.console import Reporter

LOSSES = ("cross-entropy", "sigmoid-mse")
SEEDS = 3
ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]

# What a page may say in the browser's console all the same: none of it needs to.
TOLERATED: tuple[str, ...] = ()


@pytest.fixture(scope="session")
def experiment(tmp_path_factory, cats_and_dogs) -> Path:
    """Two losses with three seeds each, trained for a moment on pictures of noise, those of cats
    brighter."""
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


@pytest.fixture(scope="session")
def tensorboard(experiment: Path) -> Iterator[str]:
    """Where TensorBoard answers, opened by the command."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "lossbench.benchmarks.cli", "view"]
    process = subprocess.Popen(
        [*command, "--runs", str(experiment), "--port", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    home = f"http://localhost:{port}/"
    try:
        for _ in range(600):
            assert process.poll() is None, process.stderr.read().decode()
            try:
                urllib.request.urlopen(home + "data/plugins_listing").close()
                break
            except OSError:
                time.sleep(0.1)
        yield home
    finally:
        process.terminate()
        process.communicate()


@pytest.fixture(scope="session")
def browser() -> Iterator:
    """Debian's chromium, driven by Playwright."""
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("there is no chromium: apt-get install chromium")
    api = pytest.importorskip("playwright.sync_api")
    with api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield opened
        opened.close()


@dataclass
class Heard:
    """What went on while a page was open: errors in its console, and addresses it asked for."""

    errors: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def page(browser, heard: Heard) -> Iterator:
    """A page; the test fails if it has complained that something is wrong."""
    opened = browser.new_page(viewport={"width": 2000, "height": 1400})
    opened.set_default_timeout(120_000)

    def complain(text: str) -> None:
        if text not in TOLERATED:
            heard.errors.append(text)

    def console(message) -> None:
        if message.type == "error":
            complain(f"{message.text} ({message.location.get('url', '')})")

    opened.on("console", console)
    opened.on("pageerror", lambda error: complain(str(error)))
    opened.on("request", lambda request: heard.asked.append(request.url))
    yield opened
    opened.close()
    assert heard.errors == []
