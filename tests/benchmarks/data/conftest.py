"""A cache directory per test, and small sources of images."""

import hashlib
import io
import os
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lossbench.benchmarks.data import download
from lossbench.benchmarks.data.download import Archive

Pack = Callable[..., Path]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the cache directory of this test; LOSSBENCH_DATA is unset."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.delenv("LOSSBENCH_DATA", raising=False)
    return tmp_path / "xdg" / "lossbench"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Return the directory that LOSSBENCH_DATA names, or skip the test."""
    directory = Path(os.environ.get("LOSSBENCH_DATA", ""))
    if not os.environ.get("LOSSBENCH_DATA") or not directory.is_dir():
        pytest.skip("LOSSBENCH_DATA names no directory of real images")
    return directory.resolve()


@pytest.fixture(scope="session")
def encoded() -> Callable[..., bytes]:
    """Encode a PIL image as a file."""

    def make(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
        file = io.BytesIO()
        image.save(file, kind, **options)
        return file.getvalue()

    return make


@pytest.fixture(scope="session")
def jpeg(encoded: Callable[..., bytes]) -> Callable[..., bytes]:
    """Make a JPEG file of noise; other numbers give other pixels."""

    def make(number: int = 0, size: tuple[int, int] = (40, 36)) -> bytes:
        pixels = np.random.default_rng(number).integers(0, 256, (size[1], size[0], 3), np.uint8)
        return encoded(Image.fromarray(pixels), "JPEG")

    return make


@pytest.fixture(scope="session")
def photographs() -> Callable[..., np.ndarray]:
    """Draw smooth pictures with the spectrum of photographs, 1 / frequency, uint8 (N, H, W, 3)."""

    def make(count: int = 40, size: int = 96, seed: int = 0) -> np.ndarray:
        rng = np.random.default_rng(seed)
        frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(size), np.fft.fftfreq(size)))
        frequency[0, 0] = np.inf
        noise = rng.standard_normal((count, 3, size, size))
        noise[:, 1:] = 0.7 * noise[:, :1] + 0.3 * noise[:, 1:]
        drawn = np.fft.ifft2(np.fft.fft2(noise) / frequency).real
        drawn *= 50 / drawn.std((1, 2, 3), keepdims=True)
        return np.clip(drawn.transpose(0, 2, 3, 1) + 128, 0, 255).astype(np.uint8)

    return make


@pytest.fixture(scope="session")
def pets(jpeg: Callable[..., bytes]) -> Callable[..., dict[str, bytes]]:
    """Make files from patterns of names, `count` of each; `{}` is the number."""

    def make(*patterns: str, count: int = 5) -> dict[str, bytes]:
        names = [pattern.format(n) for pattern in patterns for n in range(count)]
        return {name: jpeg(number) for number, name in enumerate(names)}

    return make


def tar(files: Mapping[str, bytes], mode: str) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return file.getvalue()


@pytest.fixture
def pack(tmp_path: Path) -> Pack:
    """Write files as a directory, zip, tar or tar.gz and return its path."""

    def make(files: Mapping[str, bytes], kind: str = "directory", name: str = "pets") -> Path:
        path = tmp_path / (name if kind == "directory" else f"{name}.{kind}")
        if kind == "directory":
            path.mkdir(exist_ok=True)
            for file, content in files.items():
                (path / file).parent.mkdir(parents=True, exist_ok=True)
                (path / file).write_bytes(content)
        elif kind == "zip":
            with zipfile.ZipFile(path, "w") as archive:
                for file, content in files.items():
                    archive.writestr(file, content)
        else:
            path.write_bytes(tar(files, "w:gz" if kind.endswith("gz") else "w"))
        return path

    return make


@pytest.fixture(scope="session")
def packed() -> Callable[..., bytes]:
    """Make the bytes of a .tar.gz of files below a folder."""
    return lambda files, folder: tar({f"{folder}/{n}": c for n, c in files.items()}, "w:gz")


class Server(ThreadingHTTPServer):
    """Web server on this machine that serves bytes by path.

    Attributes:
        files: content by path.
        cuts: bytes after which the next answers break their connections.
        ranges: False if the server ignores Range headers.
        redirects: address by path.
        asked: the Range header of each request.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.files: dict[str, bytes] = {}
        self.cuts: list[int] = []
        self.ranges = True
        self.redirects: dict[str, str] = {}
        self.asked: list[str | None] = []

    def handle_error(self, *_: object) -> None:
        """Ignore clients that close the connection early."""

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def publish(self, name: str, content: bytes) -> Archive:
        """Serve a file and return its description."""
        self.files[f"/{name}"] = content
        digest = hashlib.sha256(content).hexdigest()
        return Archive(f"{self.address}/{name}", len(content), digest)


class Answer(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        server, wanted = self.server, self.headers["Range"]
        server.asked.append(wanted)
        if self.path in server.redirects:
            self.send_response(302)
            self.send_header("Location", server.redirects[self.path])
            self.end_headers()
            return
        content = server.files.get(self.path)
        if content is None:
            self.send_error(404)
            return
        begin = int(wanted[6:-1]) if wanted and server.ranges else 0
        self.send_response(206 if begin else 200)
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - begin))
        self.end_headers()
        self.wfile.write(content[begin:][: server.cuts.pop(0) if server.cuts else None])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Start a web server without a certificate, and allow http for it."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setattr(download, "SCHEMES", ("http",))
    with Server() as web:
        thread = threading.Thread(target=web.serve_forever, args=(0.02,))
        thread.start()
        yield web
        web.shutdown()
        thread.join()
