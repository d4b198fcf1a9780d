"""A model that says what it is told to: for tests, ours and yours, and for demonstrations without an endpoint.

model = ScriptedModel([call("get_weather", city="Beijing"), "Sunny, 27 °C."])
result = await Agent(model, tools=[get_weather]).run("Weather in Beijing?")
model.assert_complete()
assert model.requests[1].messages[-1].text == "27 °C"
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from kimi_agent.errors import UserError
from kimi_agent.limits import Usage
from kimi_agent.messages import Image
from kimi_agent.models.base import ModelRequest, Profile
from kimi_agent.wire.parts import (
    CallArguments,
    CallBegin,
    CallEnd,
    Finish,
    ImagePart,
    ReasoningPart,
    ResponseInfo,
    TextPart,
    UsagePart,
    WirePart,
)


@dataclass(frozen=True, slots=True)
class ScriptedCall:
    """A call that a scripted model makes; see `call`."""

    name: str
    arguments: str
    raw_id: str | None = None


def call(tool_name: str, /, **arguments: Any) -> ScriptedCall:
    """A call with these arguments. For arguments that are not JSON: `ScriptedCall(name, text)`."""
    return ScriptedCall(tool_name, json.dumps(arguments, ensure_ascii=False))


_USAGE = Usage(requests=1, input_tokens=10, output_tokens=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One turn in full.

    Attributes:
        text: what the model says.
        calls: what it calls.
        reasoning: what it thinks.
        images: what it draws.
        finish_reason: by default "tool_calls" or "stop".
        usage: what the request is said to use.
        breaks: whether the stream breaks off before the finish reason.
        delay: seconds before the first part, and between parts.
    """

    text: str = ""
    calls: Sequence[ScriptedCall] = ()
    reasoning: str | None = None
    images: Sequence[Image] = ()
    finish_reason: str | None = None
    usage: Usage = _USAGE
    breaks: bool = False
    delay: float = 0.0


ScriptStep: TypeAlias = "str | ScriptedCall | Sequence[str | ScriptedCall] | Reply | Exception"


class ScriptedModel:
    """Plays one step per request: a text, a call, a list of both, a `Reply` in full, or an exception to raise.

    Attributes:
        requests: every request so far, as the loop made it.
    """

    def __init__(self, script: Iterable[ScriptStep], *, name: str = "scripted", profile: Profile | None = None) -> None:
        self.name = name
        self.profile = profile or Profile()
        self.requests: list[ModelRequest] = []
        self._script = list(script)

    async def stream(self, request: ModelRequest) -> AsyncGenerator[WirePart]:
        """Raises UserError when the script is at its end, and the exception of a step that is one."""
        position = len(self.requests)
        self.requests.append(request)
        if position >= len(self._script):
            raise UserError(f"the script has {len(self._script)} steps, and the model was asked once more")
        async for part in _play(self._script[position], self.name):
            yield part

    def assert_complete(self) -> None:
        """Raises AssertionError if steps are left that nobody asked for."""
        left = self._script[len(self.requests) :]
        assert not left, f"{len(left)} steps of the script were not used: {left}"


class FunctionModel:
    """Answers each request with what a function of the request says: a step as in `ScriptedModel`'s script."""

    def __init__(
        self, function: "Callable[[ModelRequest], ScriptStep]", *, name: str = "function", profile: Profile | None = None
    ) -> None:
        self.name = name
        self.profile = profile or Profile()
        self._function = function

    async def stream(self, request: ModelRequest) -> AsyncGenerator[WirePart]:
        """Raises what the function raises or returns as an exception."""
        async for part in _play(self._function(request), self.name):
            yield part


async def _play(step: ScriptStep, name: str) -> AsyncGenerator[WirePart]:
    if isinstance(step, Exception):
        raise step
    reply = _as_reply(step)
    yield ResponseInfo(model=name)
    for part in _parts(reply):
        await asyncio.sleep(reply.delay)
        yield part


def _as_reply(step: "str | ScriptedCall | Sequence[str | ScriptedCall] | Reply") -> Reply:
    if isinstance(step, Reply):
        return step
    pieces = [step] if isinstance(step, str | ScriptedCall) else step
    return Reply(text="".join(p for p in pieces if isinstance(p, str)), calls=[p for p in pieces if isinstance(p, ScriptedCall)])


def _parts(reply: Reply) -> Iterable[WirePart]:
    if reply.reasoning is not None:
        yield from (ReasoningPart(piece) for piece in _halves(reply.reasoning))
    yield from (TextPart(piece) for piece in _halves(reply.text) if piece)
    yield from (ImagePart(image) for image in reply.images)
    for key, scripted in enumerate(reply.calls):
        yield CallBegin(key, scripted.name, scripted.raw_id)
        yield from (CallArguments(key, piece) for piece in _halves(scripted.arguments))
        yield CallEnd(key)
    yield UsagePart(reply.usage)
    if not reply.breaks:
        yield Finish(reply.finish_reason or ("tool_calls" if reply.calls else "stop"))


def _halves(text: str) -> tuple[str, ...]:
    """Two pieces: what is streamed must be put together."""
    middle = len(text) // 2
    return (text[:middle], text[middle:]) if middle else (text,)
