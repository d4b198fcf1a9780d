"""The OpenAI-compatible server, spoken to by the official client over loopback."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from aiohttp import web
from kimi_backend.cli import app
from kimi_backend.embedded import EmbeddedError
from kimi_backend.embedded.serve import application
from typer.testing import CliRunner

Json = dict[str, Any]
MESSAGES: Any = [{"role": "user", "content": "go"}]


class Scripted:
    """An engine that plays a script: dicts are deltas, an exception is raised; `stopped` is set when it was cancelled."""

    model = "scripted"

    def __init__(self, *steps: Json | Exception, endless: bool = False) -> None:
        self.steps, self.endless = steps, endless
        self.stopped = threading.Event()
        self.bodies: list[Json] = []

    def chat(self, body: Json, cancelled: threading.Event) -> Iterator[Json]:
        self.bodies.append(body)
        head = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": self.model}
        for step in self.steps:
            if isinstance(step, Exception):
                raise step
            yield {**head, "choices": [{"index": 0, "delta": step, "finish_reason": None}]}
        while self.endless and not cancelled.is_set():
            yield {**head, "choices": [{"index": 0, "delta": {"content": "."}, "finish_reason": None}]}
            time.sleep(0.01)
        if cancelled.is_set():
            self.stopped.set()
            return
        yield {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
        yield {**head, "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}}


class Served:
    """A server in a thread of its own, and a client for it."""

    def __init__(self, engine: Scripted) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.runner = web.AppRunner(application(engine), shutdown_timeout=0.1)
        port = asyncio.run_coroutine_threadsafe(self._start(), self.loop).result(5)
        self.client = openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none", max_retries=0)

    async def _start(self) -> int:
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", 0).start()
        return int(self.runner.addresses[0][1])

    def __enter__(self) -> openai.OpenAI:
        return self.client

    def __exit__(self, *_: object) -> None:
        self.client.close()
        asyncio.run_coroutine_threadsafe(self.runner.cleanup(), self.loop).result(5)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(5)
        self.loop.close()


def call(index: int, name: str) -> Json:
    part = {"index": index, "id": f"c{index}", "type": "function", "function": {"name": name, "arguments": '{"a": 1}'}}
    return {"tool_calls": [part]}


def test_whole_answers_and_models() -> None:
    with Served(Scripted({"role": "assistant", "content": "he"}, {"content": "llo"})) as client:
        answer = client.chat.completions.create(model="any", messages=MESSAGES)
        assert answer.choices[0].message.content == "hello"
        assert answer.choices[0].finish_reason == "stop"
        assert answer.usage and answer.usage.total_tokens == 5
        assert [m.id for m in client.models.list()] == ["scripted"]


def test_several_calls_in_one_answer() -> None:
    with Served(Scripted(call(0, "f"), call(1, "g"))) as client:
        message = client.chat.completions.create(model="any", messages=MESSAGES).choices[0].message
        assert [(c.id, c.function.name, c.function.arguments) for c in message.tool_calls or []] == [  # type: ignore[union-attr]
            ("c0", "f", '{"a": 1}'),
            ("c1", "g", '{"a": 1}'),
        ]
        assert message.content is None


def test_a_stream_with_and_without_usage() -> None:
    with Served(Scripted({"role": "assistant", "content": "你"}, {"content": "好"})) as client:
        chunks = list(client.chat.completions.create(model="any", messages=MESSAGES, stream=True))
        assert "".join(c.choices[0].delta.content or "" for c in chunks) == "你好"
        options: Any = {"include_usage": True}
        last = list(client.chat.completions.create(model="any", messages=MESSAGES, stream=True, stream_options=options))[-1]
        assert last.usage and last.usage.completion_tokens == 2


@pytest.mark.parametrize("stream", [False, True])
def test_errors_are_openais(stream: bool) -> None:
    too_long = EmbeddedError("too long", code="context_length_exceeded")
    with Served(Scripted(too_long)) as client:
        with pytest.raises(openai.BadRequestError) as caught:
            client.chat.completions.create(model="any", messages=MESSAGES, stream=stream)
        assert caught.value.code == "context_length_exceeded"
        assert caught.value.type == "invalid_request_error"


def test_unknown_routes_and_bodies_that_are_not_json() -> None:
    with Served(Scripted()) as client:
        with pytest.raises(openai.NotFoundError):
            client.embeddings.create(model="any", input="x")
        with pytest.raises(openai.BadRequestError, match="JSON"):
            client.post("/chat/completions", cast_to=object, body=["not an object"])


def test_leaving_a_stream_stops_the_engine() -> None:
    engine = Scripted({"role": "assistant", "content": "x"}, endless=True)
    with Served(engine) as client:
        stream = client.chat.completions.create(model="any", messages=MESSAGES, stream=True)
        next(iter(stream))
        stream.close()
        assert engine.stopped.wait(5)


def test_the_command_says_what_is_missing() -> None:
    run = CliRunner().invoke(app, ["serve", "--embedded", "--model", "/no/such.gguf"])
    assert run.exit_code == 1
    assert "no model file /no/such.gguf" in run.output
    assert CliRunner().invoke(app, ["serve"]).exit_code == 2
    run = CliRunner().invoke(app, ["serve", "--embedded", "--host", "0.0.0.0", "--model", "/no"])
    assert "warning: 0.0.0.0 is not loopback" in run.output
