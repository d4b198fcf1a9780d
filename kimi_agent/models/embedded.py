"""The model in this process: no key, no GPU, no network once its file is there.

The engine is an entry point of the group `kimi_agent.engines`: a function `open_engine(model, *, progress) -> engine`, whose
`chat(body, cancelled)` takes a chat-completions body and yields chunk dicts. It is opened on the first request, in a thread, and
shared by all agents of the process.
"""

import asyncio
import atexit
import json
import os
import threading
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from importlib.metadata import entry_points
from typing import Any, Protocol, cast

from kimi_agent.errors import ContextLengthExceeded, ProviderError, UserError
from kimi_agent.models.base import ModelRequest, Profile
from kimi_agent.models.real_requests import check_real_request
from kimi_agent.models.request_body import request_body
from kimi_agent.redact import get_logger
from kimi_agent.wire.openai_chat import OpenAIChatCodec
from kimi_agent.wire.openai_encode import Encoder
from kimi_agent.wire.parts import WirePart

_log = get_logger(__name__)
_GROUP = "kimi_agent.engines"
Progress = Callable[[str, int, int], None]


class Engine(Protocol):
    """What an engine's `open_engine` returns."""

    @property
    def model(self) -> str:
        """The model's name."""
        ...

    def chat(self, body: Mapping[str, Any], cancelled: threading.Event) -> Iterator[dict[str, Any]]:
        """Chunks of the answer; ends soon after `cancelled` is set. Raises RuntimeError with a `code`."""
        ...

    def close(self) -> None:
        """Frees the memory."""
        ...


class EmbeddedModel:
    """An instruct model on the CPU: `EmbeddedModel()`, `EmbeddedModel("small")`, `EmbeddedModel("/path/to/model.gguf")`."""

    def __init__(self, tier: str = "default", *, open_engine: "OpenEngine | None" = None, progress: Progress | None = None) -> None:
        """`open_engine` takes the place of the installed engine. `progress` is called with what is done, bytes done and bytes in
        all, while the model's file is fetched."""
        self.name = "embedded" if tier == "default" else f"embedded:{tier}"
        self.profile = Profile(image_input=False, output_modes=("native", "prompted", "tool"))
        self._tier, self._open_engine, self._progress = tier, open_engine, progress
        self._encoder = Encoder(self.profile)

    def __repr__(self) -> str:
        return f"EmbeddedModel({self._tier!r})"

    def show_progress(self, progress: Progress) -> None:
        """Who is told while the model's file is fetched."""
        self._progress = progress

    async def stream(self, request: ModelRequest) -> AsyncGenerator[WirePart]:
        """Raises UserError where the engine or its model cannot be had or the request is not one for it, ContextLengthExceeded,
        and ProviderError for what goes wrong inside the engine."""
        check_real_request(self.name)
        body = request_body(
            request,
            model=self.name,
            profile=self.profile,
            encoder=self._encoder,
            max_tokens=request.settings.max_tokens,
            moonshot=False,
        )
        codec = OpenAIChatCodec()
        cancelled = threading.Event()
        chunks = _in_thread(lambda: self._open().chat(json.loads(body), cancelled))
        try:
            async for chunk in chunks:
                for part in codec.feed(chunk):
                    yield part
            for part in codec.end():
                yield part
        except RuntimeError as e:
            raise _explained(e) from e
        finally:
            cancelled.set()
            await chunks.aclose()

    def _open(self) -> Engine:
        """The process's engine for this tier."""
        key = (self._open_engine, self._tier)
        with _lock:
            if key not in _engines:
                _log.info("loading the embedded model (%s)", self._tier)
                _engines[key] = engine = (self._open_engine or _installed())(self._tier, progress=self._progress)
                atexit.register(engine.close)
            return _engines[key]


OpenEngine = Callable[..., Engine]
_engines: dict[tuple[OpenEngine | None, str], Engine] = {}
_lock = threading.Lock()


def _forget() -> None:
    """A forked child has none of its parent's threads, the engine's among them."""
    global _lock
    _engines.clear()
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def _installed() -> OpenEngine:
    found = next(iter(entry_points(group=_GROUP, name="embedded")), None)
    if found is None:
        raise UserError("there is no embedded engine in this environment: pip install 'kimi-agent[embedded]'")
    return cast(OpenEngine, found.load())


def _explained(error: RuntimeError) -> Exception:
    code = getattr(error, "code", None)
    if code is None:
        return error
    if code == "context_length_exceeded":
        return ContextLengthExceeded(str(error), status=400, code=code)
    if code in ("model_not_found", "runtime_missing", "invalid_request"):
        return UserError(str(error))
    return ProviderError(str(error))


async def _in_thread(start: Callable[[], Iterator[dict[str, Any]]]) -> AsyncGenerator[dict[str, Any]]:
    """Iterates in a thread of its own; closing stops it at its next chunk."""
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[dict[str, Any] | BaseException | None] = asyncio.Queue()
    left = threading.Event()

    def put(item: dict[str, Any] | BaseException | None) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(queue.put_nowait, item)

    def work() -> None:
        try:
            for chunk in start():
                put(chunk)
                if left.is_set():
                    break
            put(None)
        except BaseException as e:
            put(e)

    thread = threading.Thread(target=work, name="kimi-agent-embedded", daemon=True)
    thread.start()
    try:
        while (item := await queue.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        left.set()
