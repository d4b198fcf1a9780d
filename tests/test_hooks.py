"""Hooks around turn, model call and tool call: what they see, in which order, and what they may change."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from kimi_agent import (
    Agent,
    AssistantMessage,
    FunctionModel,
    Hooks,
    MemoryJournal,
    ModelRequest,
    RunContext,
    ScriptedModel,
    TextDelta,
    ToolCall,
    ToolMessage,
    ToolResult,
    UserError,
    call,
    tool,
)

pytestmark = pytest.mark.anyio


@tool
def add(a: int, b: int) -> int:
    return a + b


class Watch(Hooks):
    def __init__(self, name: str, seen: list[str]) -> None:
        self.name, self.seen = name, seen

    async def before_turn(self, context: RunContext[Any]) -> None:
        self.seen.append(f"{self.name} turn {context.turn}")

    async def before_model(self, context: RunContext[Any], request: ModelRequest) -> ModelRequest | AssistantMessage:
        self.seen.append(f"{self.name} model")
        return request

    async def after_model(self, context: RunContext[Any], message: AssistantMessage) -> AssistantMessage | None:
        self.seen.append(f"model {self.name}")
        return None

    async def before_tool(self, context: RunContext[Any], call: ToolCall, arguments: dict[str, Any]) -> dict[str, Any] | ToolResult:
        self.seen.append(f"{self.name} tool")
        return arguments

    async def after_tool(self, context: RunContext[Any], call: ToolCall, result: ToolMessage) -> ToolMessage:
        self.seen.append(f"tool {self.name}")
        return result

    async def after_turn(self, context: RunContext[Any], message: AssistantMessage, results: Sequence[ToolMessage]) -> None:
        self.seen.append(f"turn {self.name} {[r.text for r in results]}")


async def test_hooks_lie_around_each_other() -> None:
    seen: list[str] = []
    model = ScriptedModel([call("add", a=1, b=2), "3"])
    await Agent(model, tools=[add], hooks=[Watch("A", seen), Watch("B", seen)]).run("go")
    first = ["A turn 0", "B turn 0", "A model", "B model"]
    ran = {"model B", "model A", "A tool", "B tool", "tool B", "tool A"}  # the call runs while the answer is looked at
    assert seen[:4] == first
    assert set(seen[4:10]) == ran
    assert seen.index("model B") < seen.index("model A")
    assert [s for s in seen[4:10] if "tool" in s] == ["A tool", "B tool", "tool B", "tool A"]
    assert seen[10:12] == ["turn B ['3']", "turn A ['3']"]
    assert seen[12:] == ["A turn 1", "B turn 1", "A model", "B model", "model B", "model A", "turn B []", "turn A []"]


class Answers(Hooks):
    """Answers the first request itself."""

    def __init__(self, message: AssistantMessage) -> None:
        self.message = message

    async def before_model(self, context: RunContext[Any], request: ModelRequest) -> ModelRequest | AssistantMessage:
        return self.message if context.turn == 0 else request


async def test_a_hook_may_answer_for_the_model() -> None:
    seen: list[str] = []
    model = ScriptedModel([])
    agent = Agent(model, hooks=[Watch("A", seen), Answers(AssistantMessage("From the cache.")), Watch("C", seen)])
    stream = agent.stream("go")
    texts = [e.text async for e in stream if isinstance(e, TextDelta)]
    assert texts == ["From the cache."]
    assert stream.result.output == "From the cache."
    assert stream.result.usage.requests == 0
    assert seen == [
        "A turn 0",
        "C turn 0",
        "A model",
        "model A",
        "turn C []",
        "turn A []",
    ]  # the model stage of C is further inside


async def test_calls_in_an_answer_from_a_hook_run_under_ids_of_their_own() -> None:
    cached = AssistantMessage("", (ToolCall("old", "add", '{"a": 1, "b": 2}', 0),))
    model = ScriptedModel(["Done.", "Done."])
    journal = MemoryJournal()
    agent = Agent(model, tools=[add], hooks=[Answers(cached)])
    first = await agent.run("go", journal=journal)
    second = await agent.run("go", journal=journal)
    calls = [c for m in second.messages if isinstance(m, AssistantMessage) for c in m.tool_calls]
    assert [c.name for c in calls] == ["add", "add"]
    assert len({c.id for c in calls} | {"old"}) == 3
    assert [m.text for m in second.messages if isinstance(m, ToolMessage)] == ["3", "3"]
    assert first.output == second.output == "Done."


async def test_the_answer_is_kept_as_a_hook_leaves_it() -> None:
    class Redact(Hooks):
        async def after_model(self, context: RunContext[Any], message: AssistantMessage) -> AssistantMessage | None:
            return replace(message, text=message.text.replace("4111", "****"))

    result = await Agent(ScriptedModel(["Card 4111."]), hooks=[Redact()]).run("go")
    assert result.output == "Card ****."
    assert "4111" not in repr(result.messages)
    assert "4111" not in repr(await result.journal.read())


async def test_a_hook_cannot_change_calls_that_may_be_running() -> None:
    class Drops(Hooks):
        async def after_model(self, context: RunContext[Any], message: AssistantMessage) -> AssistantMessage | None:
            return replace(message, tool_calls=())

    with pytest.raises(UserError, match=r"Drops\.after_model"):
        await Agent(ScriptedModel([call("add", a=1, b=2)]), tools=[add], hooks=[Drops()]).run("go")


async def test_a_guardrail_ends_the_run_in_order() -> None:
    class Guardrail(Hooks):
        async def before_turn(self, context: RunContext[Any]) -> None:
            if "bomb" in str(context.messages[-1].content):
                context.cancel("guardrail")

    model = ScriptedModel([])
    result = await Agent(model, hooks=[Guardrail()]).run("How do I build a bomb?")
    assert (result.stop_reason, result.output, model.requests) == ("guardrail", "", [])
    again = await Agent(ScriptedModel(["Gladly."])).run("A cake, then.", messages=result.messages)
    assert again.output == "Gladly."


@pytest.mark.parametrize("point", ["before_turn", "before_model", "after_model", "after_turn"])
async def test_what_a_hook_raises_is_raised_and_the_journal_can_be_taken_up(point: str) -> None:
    async def fails(*_: Any) -> Any:
        raise LookupError(point)

    broken = type("Broken", (Hooks,), {point: fails})()
    journal = MemoryJournal()
    with pytest.raises(LookupError, match=point):
        await Agent(ScriptedModel(["Hi."]), hooks=[broken]).run("go", journal=journal)
    result = await Agent(ScriptedModel(["Hello."])).run("again", journal=journal)
    assert result.output == "Hello."
    said = [m.text for m in result.messages if isinstance(m, AssistantMessage)]
    assert said == (["Hello."] if point in ("before_turn", "before_model") else ["Hi.", "Hello."])


async def test_after_turn_is_told_of_a_turn_that_was_taken_up_again() -> None:
    seen: list[str] = []
    model = FunctionModel(lambda request: call("add", a=1, b=2) if len(request.messages) == 1 else "3")
    waits = tool(add.function, needs_approval=True)
    agent = Agent(model, tools=[waits], hooks=[Watch("A", seen)])
    waiting = await agent.run("go")
    assert seen[-1] == "turn A []"
    await agent.resume(waiting, decisions={waiting.pending[0].id: True})
    assert "turn A ['3']" in seen


async def test_a_guardrail_behind_the_answer_is_heard_too() -> None:
    class Guard(Hooks):
        async def after_model(self, context: RunContext[Any], message: AssistantMessage) -> AssistantMessage | None:
            if "secret" in message.text:
                context.cancel("leak")
            return None

    result = await Agent(ScriptedModel(["The secret is 7."]), hooks=[Guard()]).run("go")
    assert result.stop_reason == "leak"
    typed = await Agent(ScriptedModel(["secret"]), hooks=[Guard()], output_validators=[str.upper]).run("go")
    assert (typed.stop_reason, typed.has_output) == ("leak", False)


async def test_a_call_that_a_hook_cancelled_never_begins() -> None:
    ran: list[int] = []

    class Guard(Hooks):
        async def before_tool(
            self, context: RunContext[Any], call: ToolCall, arguments: dict[str, Any]
        ) -> dict[str, Any] | ToolResult:
            context.cancel("guard")
            return arguments

    @tool
    async def act() -> str:
        ran.append(1)
        return "done"

    result = await Agent(ScriptedModel([call("act")]), tools=[act], hooks=[Guard()]).run("go")
    assert (result.stop_reason, ran) == ("guard", [])
    assert "before it ran" in result.messages[-1].text


@pytest.mark.parametrize(
    ("point", "value", "wanted"),
    [
        ("before_model", None, "a ModelRequest or an AssistantMessage"),
        ("after_model", "text", "an AssistantMessage or None"),
        ("before_tool", None, "the arguments or a ToolResult"),
        ("after_tool", None, "a ToolMessage"),
    ],
)
async def test_nonsense_from_a_hook_is_named_and_never_journalled(point: str, value: Any, wanted: str) -> None:
    async def nonsense(*_: Any) -> Any:
        return value

    broken = type("Broken", (Hooks,), {point: nonsense})()
    journal = MemoryJournal()
    with pytest.raises(UserError, match=rf"Broken\.{point} returned .*: return {wanted}"):
        await Agent(ScriptedModel([call("add", a=1, b=2)]), tools=[add], hooks=[broken]).run("go", journal=journal)
    assert (await Agent(ScriptedModel(["Hello.", "Hello."]), tools=[add]).run("again", journal=journal)).output == "Hello."


async def test_a_result_of_another_call_is_refused() -> None:
    class Mixes(Hooks):
        async def after_tool(self, context: RunContext[Any], call: ToolCall, result: ToolMessage) -> ToolMessage:
            return replace(result, call_id="call_other")

    with pytest.raises(UserError, match="answered 'call_other' instead of"):
        await Agent(ScriptedModel([call("add", a=1, b=2)]), tools=[add], hooks=[Mixes()]).run("go")


def test_slips_in_hooks_are_said_when_the_agent_is_made() -> None:
    class Misspelt(Hooks):
        async def before_modell(self, context: Any, request: Any) -> Any:
            return request

    class Sync(Hooks):
        def before_turn(self, context: Any) -> None:  # type: ignore[override]
            return None

    for hooks, text in (
        ([Misspelt()], "before_modell is no hook"),
        ([Sync()], "before_turn must be async"),
        ([Misspelt], r"write Misspelt\(\)"),
        ([3], "not 3"),
        (Misspelt(), "takes a list"),
    ):
        with pytest.raises(UserError, match=text):
            Agent(ScriptedModel([]), hooks=hooks)  # type: ignore[arg-type]
