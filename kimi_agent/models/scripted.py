"""A model that says what it is told to: for tests, ours and yours, and for demonstrations without an endpoint.

model = ScriptedModel([call("get_weather", city="Beijing"), "Sunny, 27 °C."])
result = await Agent(model, tools=[get_weather]).run("Weather in Beijing?")
model.assert_complete()
assert model.requests[1].messages[-1].text == "27 °C"
"""

import asyncio
import inspect
import json
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeAlias

from kimi_agent.errors import UserError
from kimi_agent.limits import Usage
from kimi_agent.messages import AssistantMessage, Image, Message, SystemMessage, ToolMessage
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
        raises: what the stream raises instead of a finish reason, such as `ProviderTimeout("…", phase="idle")`.
        delay: seconds before the first part, and between parts.
    """

    text: str = ""
    calls: Sequence[ScriptedCall] = ()
    reasoning: str | None = None
    images: Sequence[Image] = ()
    finish_reason: str | None = None
    usage: Usage = _USAGE
    breaks: bool = False
    raises: Exception | None = None
    delay: float = 0.0


Answer: TypeAlias = "str | ScriptedCall | Sequence[str | ScriptedCall] | Reply | Exception"
ScriptStep: TypeAlias = "Answer | Callable[[ModelRequest], Answer | Awaitable[Answer]]"


class _Recording:
    """What all doubles remember.

    Attributes:
        requests: every request so far, as the loop made it.
    """

    def __init__(self, name: str, profile: Profile | None) -> None:
        self.name = name
        self.profile = profile or Profile()
        self.requests: list[ModelRequest] = []

    @property
    def last_request(self) -> ModelRequest:
        """The newest of `requests`. Raises AssertionError where there is none."""
        if not self.requests:
            raise AssertionError(f"the model {self.name!r} was not asked")
        return self.requests[-1]


class ScriptedModel(_Recording):
    """Plays one step per request: a text, a call, a list of both, a `Reply` in full, an exception to raise, or a function of the
    request, async or not, that returns one of these.

    A script may be a generator: its next step is drawn when it is asked for, so it may be without an end.
    """

    def __init__(self, script: Iterable[ScriptStep], *, name: str = "scripted", profile: Profile | None = None) -> None:
        """Raises UserError for a script that is one text: a list is meant."""
        if isinstance(script, str):
            raise UserError("a script is a list of steps: ScriptedModel([…])")
        super().__init__(name, profile)
        self._steps: Iterator[ScriptStep] = script if isinstance(script, Iterator) else iter(list(script))
        self._drawn: deque[ScriptStep] = deque()  # seen by `assert_complete`, not played yet
        self._played = 0

    async def stream(self, request: ModelRequest) -> AsyncGenerator[WirePart]:
        """Raises UserError when the script is at its end, and the exception of a step that is one."""
        self.requests.append(request)
        step = self._drawn.popleft() if self._drawn else next(self._steps, _END)
        if step is _END:
            raise UserError(
                f"the script has {self._played} steps, and the model was asked once more; "
                f"the last message of that request is {_shown(request.messages)}"
            )
        self._played += 1
        async for part in _play(step, request, self.name):
            yield part

    def assert_complete(self) -> None:
        """Raises AssertionError if steps are left that nobody asked for."""
        self._drawn.extend(islice(self._steps, max(0, _MOST_SHOWN + 1 - len(self._drawn))))
        if left := list(self._drawn):
            count = len(left) if len(left) <= _MOST_SHOWN else f"more than {_MOST_SHOWN}"
            raise AssertionError(
                f"{count} steps of the script were not used, after {len(self.requests)} requests: {left[:_MOST_SHOWN]}"
            )


class FunctionModel(_Recording):
    """Answers each request with what a function of the request says, async or not: a step as in `ScriptedModel`'s script."""

    def __init__(
        self,
        function: "Callable[[ModelRequest], Answer | Awaitable[Answer]]",
        *,
        name: str = "function",
        profile: Profile | None = None,
    ) -> None:
        super().__init__(name, profile)
        self._function = function

    async def stream(self, request: ModelRequest) -> AsyncGenerator[WirePart]:
        """Raises what the function raises or returns as an exception."""
        self.requests.append(request)
        async for part in _play(self._function, request, self.name):
            yield part


_MOST_SHOWN = 10
_END: Any = object()


def _shown(messages: Sequence[Message]) -> str:
    """The last message, in a line."""
    if not messages:
        return "missing: it has none"
    last = messages[-1]
    if isinstance(last, ToolMessage):
        return f"the result of {last.name}: {last.text[:200]!r}"
    if isinstance(last, AssistantMessage):
        return f"the assistant's {last.text[:200]!r}"
    if isinstance(last, SystemMessage):
        return f"the system's {last.content[:200]!r}"
    return f"the user's {last.text[:200]!r}"


async def _play(step: ScriptStep, request: ModelRequest, name: str) -> AsyncGenerator[WirePart]:
    if callable(step):
        said = step(request)
        step = await said if inspect.isawaitable(said) else said
    if isinstance(step, Exception):
        raise step
    reply = _as_reply(step)
    yield ResponseInfo(model=name)
    for part in _parts(reply):
        await asyncio.sleep(reply.delay)
        yield part
    if reply.raises is not None:
        raise reply.raises


def _as_reply(step: Any) -> Reply:
    """Raises UserError for what is no step."""
    if isinstance(step, Reply):
        return step
    pieces: Sequence[Any] = [step] if isinstance(step, str | ScriptedCall) else step
    if not isinstance(step, str | ScriptedCall | list | tuple) or not all(isinstance(p, str | ScriptedCall) for p in pieces):
        raise UserError(f"a step is a text, a call(…), a list of both, a Reply, an exception or a function of these, not {step!r}")
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
    if not reply.breaks and reply.raises is None:
        yield Finish(reply.finish_reason or ("tool_calls" if reply.calls else "stop"))


def _halves(text: str) -> tuple[str, ...]:
    """Two pieces: what is streamed must be put together."""
    middle = len(text) // 2
    return (text[:middle], text[middle:]) if middle else (text,)
