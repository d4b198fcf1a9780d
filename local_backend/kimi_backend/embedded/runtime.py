"""The one module that touches `xllamacpp`: a loaded model behind a small, typed face.

The wheel carries llama.cpp's own server. It listens on a random loopback port behind a random key; this module is its
only client. HTTP rather than the in-process callbacks, because closing the connection stops a generation at once.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import importlib
import importlib.metadata
import json
import os
import secrets
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol, cast
from urllib.parse import urlsplit

from .errors import EmbeddedError

__all__ = ["Completion", "Piece", "Runtime", "Settings", "available"]

MISSING = (
    "the embedded model needs the xllamacpp wheel, which is not installed: run `pip install 'kimi-agent[embedded]'`; "
    "where no wheel exists for this platform, point the agent at any OpenAI-compatible server with KIMI_BASE_URL"
)
#: Largest number of prompt tokens that are computed before a cancellation is noticed (about 2 s on two cores).
BATCH = 128
POLL_SECONDS = 0.1


class _Server(Protocol):
    """What we use of `xllamacpp.Server`."""

    listening_address: str


def available() -> str | None:
    """None when the runtime can be imported here, else the one line that says what is missing and what to do."""
    try:
        importlib.import_module("xllamacpp")
    except ImportError as error:
        return MISSING if isinstance(error, ModuleNotFoundError) else f"{MISSING} ({error})"
    return None


@dataclass(frozen=True, slots=True)
class Settings:
    """How a model is loaded. `context` is in tokens, shared by the slots; `state_dir` keeps computed prefixes.

    `key` guards the runtime's HTTP port: None draws a random one, an empty one leaves it open.
    """

    path: Path
    threads: int
    context: int
    slots: int = 2
    state_dir: Path | None = None
    host: str = "127.0.0.1"
    port: int = 0
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Piece:
    """One streamed step: text, and for each of its tokens the most likely tokens with natural log-probabilities.

    The probabilities are the model's own, before any grammar. The last piece has `stop` and the counts of tokens.
    """

    text: str
    top: list[list[tuple[str, float]]] = field(default_factory=list[list[tuple[str, float]]])
    chosen: list[bytes] = field(default_factory=list[bytes])
    stop: str | None = None
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0


@dataclass(slots=True)
class Completion:
    """A drained generation. `stop` is `eos`, `word` or `limit`."""

    text: str
    top: list[list[tuple[str, float]]]
    chosen: list[bytes]
    stop: str
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int


def _load(settings: Settings, key: str) -> _Server:
    problem = available()
    if problem:
        raise EmbeddedError(problem, code="runtime_missing")
    x = cast("Any", importlib.import_module("xllamacpp"))
    params = x.CommonParams()
    params.model.path = str(settings.path)
    params.n_ctx, params.n_parallel, params.kv_unified = settings.context, settings.slots, True
    params.n_batch = params.n_ubatch = BATCH
    # Without memory mapping the repacked weights are not counted twice: 1.4 GB instead of 2.1 GB for the default.
    params.load_mode = x.llama_load_mode.LLAMA_LOAD_MODE_NONE
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = settings.threads
    params.warmup, params.fit_params, params.ui, params.verbosity = False, False, False, 0
    # The prompt cache in RAM is unbounded in practice (8 GiB); the slots and the state directory do its work.
    params.cache_ram_mib, params.cache_idle_slots = 0, False
    params.api_keys, params.hostnames, params.port = [key] if key else [], [settings.host], settings.port
    if settings.state_dir is not None:
        params.slot_save_path = f"{settings.state_dir}{os.sep}"
    try:
        return cast("_Server", x.Server(params))
    except Exception as error:  # the binding raises bare Exception
        message = f"the runtime could not load {settings.path}: {error}; is it a GGUF file of a chat model?"
        raise EmbeddedError(message, code="runtime_failed") from error


def _version() -> str:
    """The version of the runtime's wheel; an empty text when it is not installed."""
    try:
        return importlib.metadata.version("xllamacpp")
    except importlib.metadata.PackageNotFoundError:
        return ""


class Runtime:
    """A loaded model. Not for concurrent use: the engine above serialises.

    Raises:
        EmbeddedError: the wheel is missing, the file does not load, or a prompt is longer than the context.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._key = secrets.token_urlsafe(24) if settings.key is None else settings.key
        self._server: _Server | None = _load(settings, self._key)
        address = urlsplit(self._server.listening_address)
        self.address = self._server.listening_address
        self._host, self._port = address.hostname or "127.0.0.1", address.port or 0
        self.tokenize = lru_cache(maxsize=512)(self._tokenize)

    def close(self) -> None:
        """Free the model; idempotent."""
        self._server = None
        self.tokenize.cache_clear()

    @property
    def closed(self) -> bool:
        return self._server is None

    def _tokenize(self, text: str, special: bool = False) -> tuple[int, ...]:
        """Token ids of a text. With `special` false no spelling in it becomes a control token."""
        if not text:
            return ()
        body = {"content": text, "add_special": False, "parse_special": special}
        return tuple(cast("list[int]", self._post("/tokenize", body)["tokens"]))

    def prepare(self, slot: int, prompt: list[int]) -> None:
        """Have a slot hold a computed prompt: from the state directory, else compute it and write it there."""
        file = self.settings.path.stat()
        identity = (self.settings.path.name, file.st_size, file.st_mtime_ns, _version(), prompt)
        name = f"{self.settings.path.stem}-{hashlib.sha256(repr(identity).encode()).hexdigest()[:16]}.state"
        if not self._restore(slot, name):
            self.complete(prompt, slot=slot, limit=0, cancelled=threading.Event())
            self._save(slot, name)

    def _save(self, slot: int, name: str) -> None:
        """Write the slot's computed prefix under a name of the state directory, whole or not at all."""
        if self.settings.state_dir is None:
            return
        temporary = f"{name}.{os.getpid()}"
        self._post(f"/slots/{slot}?action=save", {"filename": temporary})
        with contextlib.suppress(OSError):
            (self.settings.state_dir / temporary).replace(self.settings.state_dir / name)

    def _restore(self, slot: int, name: str) -> bool:
        """Load a saved prefix into a slot; False when there is none that fits this model."""
        if self.settings.state_dir is None or not (self.settings.state_dir / name).is_file():
            return False
        try:
            self._post(f"/slots/{slot}?action=restore", {"filename": name})
        except EmbeddedError:
            return False
        return True

    def complete(self, prompt: list[int], *, slot: int, limit: int, cancelled: threading.Event, **options: Any) -> Completion:
        """Generate at most `limit` tokens (0: only compute the prompt) and return the whole."""
        out = Completion("", [], [], "limit", 0, 0, 0)
        for piece in self.stream(prompt, slot=slot, limit=limit, cancelled=cancelled, **options):
            out.text += piece.text
            out.top += piece.top
            out.chosen += piece.chosen
            if piece.stop is not None:
                out.stop, out.prompt_tokens = piece.stop, piece.prompt_tokens
                out.cached_tokens, out.completion_tokens = piece.cached_tokens, piece.completion_tokens
        return out

    def stream(self, prompt: list[int], *, slot: int, limit: int, cancelled: threading.Event, **options: Any) -> Iterator[Piece]:
        """Generate and yield pieces. Ends early, without a last piece, when `cancelled` is set.

        `options` are llama.cpp's own: grammar, n_probs, temperature, top_p, seed, stop.
        """
        body = {"prompt": prompt, "n_predict": limit, "id_slot": slot, "cache_prompt": True, "stream": True, **options}
        connection = self._connect()
        done = threading.Event()
        threading.Thread(target=_hang_up, args=(connection, cancelled, done), daemon=True).start()
        try:
            response = self._send(connection, "/completion", body)
            for line in response:
                if not line.startswith(b"data: "):
                    continue
                event = cast("dict[str, Any]", json.loads(line[6:]))
                if "error" in event:
                    raise _error(event)
                yield _piece(event)
        except (OSError, http.client.HTTPException, ValueError) as error:
            if not cancelled.is_set():
                raise EmbeddedError(f"the model runtime broke off: {error}", code="runtime_failed") from error
        finally:
            done.set()
            connection.close()

    def _connect(self) -> http.client.HTTPConnection:
        if self._server is None:
            raise EmbeddedError("this embedded engine is closed; open a new one", code="closed")
        connection = http.client.HTTPConnection(self._host, self._port)
        connection.connect()
        return connection

    def _send(self, connection: http.client.HTTPConnection, path: str, body: object) -> http.client.HTTPResponse:
        headers = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
        connection.request("POST", path, json.dumps(body), headers)
        response = connection.getresponse()
        if response.status != 200:
            raise _error(cast("dict[str, Any]", json.loads(response.read())))
        return response

    def _post(self, path: str, body: object) -> dict[str, Any]:
        connection = self._connect()
        try:
            return cast("dict[str, Any]", json.loads(self._send(connection, path, body).read()))
        except (OSError, http.client.HTTPException) as error:
            raise EmbeddedError(f"the model runtime does not answer: {error}", code="runtime_failed") from error
        finally:
            connection.close()


def _hang_up(connection: http.client.HTTPConnection, cancelled: threading.Event, done: threading.Event) -> None:
    """Shut the socket when the caller cancels: the reader wakes, and the server stops generating."""
    while not done.is_set():
        if cancelled.wait(POLL_SECONDS):
            with contextlib.suppress(OSError):
                if connection.sock is not None:
                    connection.sock.shutdown(2)
            return


def _piece(event: dict[str, Any]) -> Piece:
    tokens = cast("list[dict[str, Any]]", event.get("completion_probabilities") or [])
    top = [[(str(e["token"]), float(e["logprob"])) for e in token["top_logprobs"]] for token in tokens]
    chosen = [bytes(token["bytes"]) for token in tokens]
    if not event.get("stop"):
        return Piece(str(event.get("content", "")), top, chosen)
    timings = cast("dict[str, Any]", event.get("timings") or {})
    cached = int(timings.get("cache_n", 0))
    return Piece(
        str(event.get("content", "")),
        top,
        chosen,
        str(event.get("stop_type", "eos")),
        cached + int(timings.get("prompt_n", 0)),
        cached,
        int(timings.get("predicted_n", 0)),
    )


def _error(event: dict[str, Any]) -> EmbeddedError:
    """llama.cpp's errors: `{"error": {"code": 400, "type": "exceed_context_size_error", "message": …, "n_ctx": …}}`."""
    error = cast("dict[str, Any]", event.get("error") or {})
    message = str(error.get("message", event))
    if error.get("type") == "exceed_context_size_error":
        used, room = error.get("n_prompt_tokens"), error.get("n_ctx")
        message = f"the prompt has {used} tokens and the embedded model's context holds {room}: shorten the conversation"
        return EmbeddedError(message, code="context_length_exceeded")
    return EmbeddedError(f"the model runtime refused: {message}", code="runtime_failed")
