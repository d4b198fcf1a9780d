"""The engine: a chat-completions body in, chat.completion.chunk dicts out."""

from __future__ import annotations

import contextlib
import os
import threading
import time
import uuid
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path
from typing import Any

from .answer import answer, supplement, warm
from .catalogue import cache_root, model_name
from .conversation import Call, Conversation, read
from .decide import Decider, Usage
from .errors import EmbeddedError
from .fetch import obtain
from .runtime import Runtime, Settings, available

__all__ = ["Engine", "open_engine"]

Chunk = dict[str, Any]
#: Tokens, shared by the two slots (decisions, answers). 8192 take 0.24 GB with the default model.
CONTEXT = 8192
WAIT_SECONDS = 0.1


class Engine:
    """A loaded embedded model. Safe to call from several threads; requests take turns."""

    def __init__(self, path: Path, *, threads: int | None = None, context: int | None = None) -> None:
        self.model = model_name(path)
        settings = Settings(path, threads or default_threads(), context or CONTEXT, state_dir=_state_dir())
        self._runtime = Runtime(settings)
        self._decider = Decider(self._runtime)
        self._lock = threading.Lock()
        self._closing = threading.Event()
        try:
            _check_template(self._runtime)
            self._decider.warm()
            warm(self._runtime)
        except BaseException:
            self.close()
            raise

    def chat(self, body: Mapping[str, Any], cancelled: threading.Event | None = None) -> Generator[Chunk]:
        """Answer a request with a stream of OpenAI chunks; the last one holds the usage.

        Ends early, without a finish reason, soon after `cancelled` is set. Closing the generator stops it as well.

        Raises:
            EmbeddedError: the body is wrong (`invalid_request`), or longer than the context
                (`context_length_exceeded`), or the engine is closed (`closed`).
        """
        stop = cancelled or threading.Event()
        conversation = read(body)
        with self._turn(stop) as mine:
            if mine:
                yield from self._chunks(conversation, stop)

    def close(self) -> None:
        """Free the model's memory. Idempotent; a request under way ends first."""
        self._closing.set()
        with self._lock:
            self._runtime.close()

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextlib.contextmanager
    def _turn(self, cancelled: threading.Event) -> Generator[bool]:
        """Wait for the engine; False when the caller gave up while waiting."""
        while not self._lock.acquire(timeout=WAIT_SECONDS):
            if cancelled.is_set():
                yield False
                return
        try:
            if self._closing.is_set():
                raise EmbeddedError("this embedded engine is closed; open a new one", code="closed")
            yield True
        finally:
            self._lock.release()

    def _chunks(self, conversation: Conversation, cancelled: threading.Event) -> Iterator[Chunk]:
        make = _Chunks(self.model)
        calls = 0
        if conversation.tools and conversation.choice != "none":
            for call in self._decider.calls(conversation, cancelled):
                yield make.call(calls, call)
                calls += 1
        if cancelled.is_set():
            return
        usage = self._decider.usage if conversation.tools else Usage()
        if not calls:
            yield from self._words(conversation, cancelled, make, usage)
        else:
            yield make.delta({}, "tool_calls")
            yield make.usage(usage)

    def _words(self, conversation: Conversation, cancelled: threading.Event, make: _Chunks, usage: Usage) -> Iterator[Chunk]:
        text = ""
        for piece in answer(self._runtime, conversation, cancelled):
            text += piece.text
            if piece.text:
                yield make.delta({"content": piece.text})
            if piece.stop is not None:
                usage.prompt, usage.cached = piece.prompt_tokens, piece.cached_tokens
                usage.completion += piece.completion_tokens
                rest = supplement(conversation, text) if piece.stop == "eos" else ""
                if rest:
                    yield make.delta({"content": rest})
                yield make.delta({}, "length" if piece.stop == "limit" else "stop")
                yield make.usage(usage)


class _Chunks:
    """Chunk dicts of one answer: they share id, time and model."""

    def __init__(self, model: str) -> None:
        self.head: Chunk = {
            "id": f"chatcmpl-{uuid.uuid4().hex}",
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": model,
        }
        self.begun = False

    def delta(self, delta: Chunk, reason: str | None = None) -> Chunk:
        if not self.begun:  # the first chunk names the role; it waits for something to say, so that errors come first
            self.begun = True
            delta = {"role": "assistant", "content": "", **delta}
        return {**self.head, "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}

    def call(self, index: int, call: Call) -> Chunk:
        function = {"name": call.name, "arguments": call.arguments}
        part = {"index": index, "id": f"call_{uuid.uuid4().hex[:24]}", "type": "function", "function": function}
        return self.delta({"tool_calls": [part]})

    def usage(self, usage: Usage) -> Chunk:
        counts = {
            "prompt_tokens": usage.prompt,
            "completion_tokens": usage.completion,
            "total_tokens": usage.prompt + usage.completion,
            "prompt_tokens_details": {"cached_tokens": max(usage.cached, 0)},
        }
        return {**self.head, "choices": [], "usage": counts}


def _state_dir() -> Path | None:
    """Where computed prefixes are kept; None when the cache cannot be written to."""
    folder = cache_root() / "state"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return folder if os.access(folder, os.W_OK) else None


def default_threads() -> int:
    """The cores that this process may use; more threads than cores make llama.cpp spin."""
    with contextlib.suppress(AttributeError):
        return max(1, len(os.sched_getaffinity(0)))
    return max(1, os.cpu_count() or 1)


def open_engine(
    model: str | os.PathLike[str] = "default",
    *,
    threads: int | None = None,
    context: int | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Engine:
    """Find or fetch a model, load it, and make it ready.

    Args:
        model: `default`, `small`, or the path of a GGUF file of a ChatML model.
        threads: for computing; default: the cores that this process may use.
        context: in tokens, shared by decisions and answers; default 8192.
        progress: called with (what is done now, bytes done, bytes in all) while a file is fetched.

    Raises:
        EmbeddedError: one line that says what is missing and what to do.
    """
    problem = available()
    if problem:
        raise EmbeddedError(problem, code="runtime_missing")
    return Engine(obtain(model, progress=progress), threads=threads, context=context)


def _check_template(runtime: Runtime) -> None:
    if len(runtime.tokenize("<|im_start|>", True)) != 1:
        path = runtime.settings.path.name
        message = f"{path} is not a ChatML model: use a GGUF of a Qwen instruct model, or leave the path out"
        raise EmbeddedError(message, code="invalid_request")
