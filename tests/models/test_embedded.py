"""The embedded model's adapter, over engines that a test writes: threads, cancelling, errors."""

import asyncio
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from kimi_agent import Agent, ContextLengthExceeded, ProviderError, UserError, tool
from kimi_agent.models.embedded import EmbeddedModel

pytestmark = pytest.mark.anyio


def chunk(finish: str | None = None, **delta: Any) -> dict[str, Any]:
    return {"id": "c", "model": "tiny", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


class CodedError(RuntimeError):
    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


class TinyEngine:
    """Calls the first tool once, then says what came back, slowly."""

    def __init__(self, tier: str, progress: Any = None) -> None:
        self.model = "tiny"
        self.cancelled: threading.Event | None = None
        self.ended = threading.Event()

    def chat(self, body: Mapping[str, Any], cancelled: threading.Event) -> Iterator[dict[str, Any]]:
        self.cancelled = cancelled
        last = body["messages"][-1]
        try:
            if body.get("tools") and last["role"] == "user":
                function = {"name": body["tools"][0]["function"]["name"], "arguments": '{"n": 4}'}
                yield chunk(tool_calls=[{"index": 0, "id": "x", "function": function}])
                yield chunk("tool_calls")
            elif last["content"] == "slow":
                while not cancelled.wait(0.01):
                    yield chunk(content="still ")
            else:
                yield chunk(content=f"It is {last['content']}.")
                yield chunk("stop")
                yield {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 3}}
        finally:
            self.ended.set()

    def close(self) -> None: ...


class FailingEngine(TinyEngine):
    def __init__(self, error: Exception) -> None:
        super().__init__("default")
        self.error = error

    def chat(self, body: Mapping[str, Any], cancelled: threading.Event) -> Iterator[dict[str, Any]]:
        raise self.error
        yield {}


async def test_a_run_over_the_engine() -> None:
    @tool
    def double(n: int) -> int:
        return 2 * n

    result = await Agent(EmbeddedModel(open_engine=TinyEngine), tools=[double]).run("double 4")
    assert (result.output, result.stop_reason) == ("It is 8.", "completed")
    assert (result.usage.input_tokens, result.usage.output_tokens) == (9, 3)


async def test_the_engine_is_opened_once_off_the_event_loop() -> None:
    opened: list[str] = []

    def open_engine(tier: str, progress: Any = None) -> TinyEngine:
        time.sleep(0.05)
        opened.append(threading.current_thread().name)
        return TinyEngine(tier)

    model = EmbeddedModel(open_engine=open_engine)
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.005)
            ticks += 1

    ticking = asyncio.create_task(tick())
    await asyncio.gather(*(Agent(model).run(f"{i}") for i in range(5)))
    ticking.cancel()
    assert len(opened) == 1 and opened[0] != threading.main_thread().name
    assert ticks > 2


async def test_cancelling_stops_the_engine() -> None:
    engine = TinyEngine("default")
    stream = Agent(EmbeddedModel(open_engine=lambda tier, progress=None: engine)).stream("slow")
    async for event in stream:
        if type(event).__name__ == "TextDelta":
            break
    result = await stream.cancel()
    assert result.stop_reason == "cancelled"
    assert await asyncio.to_thread(engine.ended.wait, 5)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (CodedError("too long: shorten it", "context_length_exceeded"), ContextLengthExceeded),
        (CodedError("install the wheel", "runtime_missing"), UserError),
        (CodedError("no images", "invalid_request"), UserError),
        (CodedError("it broke", "runtime_failed"), ProviderError),
        (RuntimeError("a bug"), RuntimeError),
    ],
)
async def test_what_the_engine_cannot_do_is_an_error_of_ours(error: Exception, kind: type[Exception]) -> None:
    engine = FailingEngine(error)
    with pytest.raises(kind, match=str(error)):
        await Agent(EmbeddedModel(open_engine=lambda tier, progress=None: engine)).run("x")
