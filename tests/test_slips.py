"""Slips of users are refused at once, with a text that says what to change; and what may be written in several ways."""

import pickle
from typing import Any

import pytest

from kimi_agent import (
    Agent,
    Hooks,
    Limits,
    ModelRetry,
    ModelSettings,
    ProviderTimeout,
    RateLimited,
    RunContext,
    ScriptedCall,
    ScriptedModel,
    ToolBegin,
    ToolCall,
    ToolEnd,
    ToolMessage,
    ToolResult,
    TurnBegin,
    TurnEnd,
    UserError,
    UserMessage,
    call,
    tool,
)
from kimi_agent.history import fold
from kimi_agent.records import CallMade, InputAdded, Record

pytestmark = pytest.mark.anyio


def results(messages: tuple[Any, ...]) -> list[str]:
    return [m.text for m in messages if isinstance(m, ToolMessage)]


@pytest.mark.parametrize(
    ("prompt", "options", "says"),
    [
        ("x", {"limit": Limits()}, "did you mean 'limits'"),
        ("x", {"session": 1}, "no option 'session'"),
        ("x", {"limits": 3}, "Limits"),
        ("x", {"settings": {}}, "ModelSettings"),
        ("x", {"journal": "runs.db"}, "Journal"),
        ("x", {"messages": "hello"}, "list of messages"),
        ("", {}, "no prompt"),
        ([], {}, "no prompt"),
        (b"ab", {}, "no prompt"),
        ([1, 2], {}, "no prompt"),
    ],
)
async def test_slips_are_refused_with_a_hint(prompt: Any, options: dict[str, Any], says: str) -> None:
    agent = Agent(ScriptedModel(["never"]))
    with pytest.raises(UserError, match=says):
        await agent.run(prompt, **options)
    with pytest.raises(UserError, match=says):
        async for _ in agent.stream(prompt, **options):
            pass


@pytest.mark.parametrize(
    "options",
    [
        {"model": 5},
        {"hooks": Hooks()},
        {"settings": None},
        {"limits": {}},
        {"tool_concurrency": 0},
        {"tools": "abc"},
        {"tools": {}},
    ],
)
def test_an_agent_refuses_what_it_cannot_be_made_of(options: dict[str, Any]) -> None:
    with pytest.raises(UserError):
        Agent(**({"model": ScriptedModel([])} | options))


@pytest.mark.parametrize("value", [0, -1])
def test_limits_are_above_zero(value: int) -> None:
    with pytest.raises(ValueError, match=rf"turns={value}"):
        Limits(turns=value)


async def test_resume_says_what_it_takes() -> None:
    with pytest.raises(UserError, match="RunResult"):
        await Agent(ScriptedModel([])).resume((UserMessage("x"),))  # type: ignore[arg-type]


async def test_openai_dicts_are_prompts_too() -> None:
    model = ScriptedModel(["a", "b"])
    await Agent(model).run({"role": "user", "content": "hi"})
    await Agent(model).run(
        [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yes?"}, {"role": "user", "content": "x"}]
    )
    assert [len(r.messages) for r in model.requests] == [1, 3]
    assert model.requests[0].messages == (UserMessage("hi"),)


async def test_results_from_outside_are_as_a_tool_returns_them() -> None:
    @tool(needs_approval=True)
    def ask() -> str:
        return ""

    agent = Agent(ScriptedModel([call("ask"), "ok"]), tools=[ask])
    waiting = await agent.run("go")
    done = await agent.resume(waiting, results={waiting.pending[0].id: ToolResult("boom", is_error=True)})
    [answer] = [m for m in done.messages if isinstance(m, ToolMessage)]
    assert (answer.text, answer.is_error) == ("boom", True)


async def test_an_approver_may_be_plain_and_say_true_or_false() -> None:
    @tool(needs_approval=True)
    def pay(amount: int) -> str:
        return f"paid {amount}"

    def small(context: Any, made: Any, arguments: dict[str, Any]) -> bool:
        return arguments["amount"] < 10

    agent = Agent(ScriptedModel([[call("pay", amount=1), call("pay", amount=100)], "ok"]), tools=[pay], approver=small)  # type: ignore[arg-type]
    first, second = results((await agent.run("go")).messages)
    assert first == "paid 1" and "declined" in second


async def test_the_last_model_retry_does_not_ask_for_another() -> None:
    @tool(retries=1)
    def never() -> str:
        raise ModelRetry("no")

    result = await Agent(ScriptedModel([call("never")] * 3 + ["ok"]), tools=[never]).run("go")
    first, second, third = results(result.messages)
    assert "Make the call again" in first and "last attempt" in second and "closed" in third


def test_errors_cross_process_borders() -> None:
    for error in (RateLimited("429", status=429, retry_after=3.0, request_id="r"), ProviderTimeout("late", phase="idle")):
        copy = pickle.loads(pickle.dumps(error))
        assert (type(copy), str(copy), copy.__dict__) == (type(error), str(error), error.__dict__)


def test_reprs_show_no_secret() -> None:
    agent = Agent("sglang:http://user:hunter2@host", settings=ModelSettings(extra_headers={"X-Key": "s3cret"}))
    assert "hunter2" not in repr(agent) and "s3cret" not in repr(agent) + repr(agent.settings)


async def test_events_of_strange_values_are_json_all_the_same() -> None:
    import json

    def strange() -> ToolResult:
        loop: list[Any] = []
        loop.append(loop)
        return ToolResult("x", value={"loop": loop, "nan": float("nan"), "bytes": b"abc", "object": object()})

    async for event in Agent(ScriptedModel([call("strange"), ScriptedCall("zzz", "{"), "ok"]), tools=[strange]).stream("go"):
        json.loads(json.dumps(event.to_dict(), allow_nan=False))
        assert not isinstance(event, ToolBegin | ToolEnd | TurnBegin | TurnEnd) or event.run_id


def test_records_that_repeat_a_run_fold_once() -> None:
    """What a fold of a journal finds does not depend on how often it is asked."""
    records: list[Record] = [
        InputAdded(run_id="r", messages=(UserMessage("x"),)),
        CallMade(run_id="r", call=ToolCall("a", "f", "{}")),
    ]
    assert fold(records).history == fold(tuple(records)).history


@pytest.mark.parametrize("prompt", [3, 3.5, object(), b"bytes"])
async def test_what_is_no_prompt_is_said(prompt: Any) -> None:
    with pytest.raises(UserError, match="is no prompt"):
        await Agent(ScriptedModel([])).run(prompt)


async def test_a_model_is_not_looked_up_when_the_agent_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    from kimi_agent import FallbackModel, LimitedModel, Limiter

    for name in ("MOONSHOT_API_KEY", "KIMI_API_KEY", "KIMI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    for model in (FallbackModel("kimi-k2.6", "embedded"), LimitedModel("kimi-k2.6", Limiter(1))):
        agent = Agent(model)
        with agent.override(model=ScriptedModel(["Hi."])):
            assert (await agent.run("go")).output == "Hi."
        with pytest.raises(UserError, match="no key"):
            await agent.run("go")


async def test_answers_of_the_official_client_are_messages() -> None:
    from openai.types.chat import ChatCompletionMessage

    answer = ChatCompletionMessage.model_validate({"role": "assistant", "content": "Hello."})
    history: list[Any] = [{"role": "user", "content": "Hi"}, answer, {"role": "user", "content": "And?"}]
    model = ScriptedModel(["Well."])
    assert (await Agent(model).run(messages=history)).output == "Well."
    assert [m.text for m in model.requests[0].messages] == ["Hi", "Hello.", "And?"]  # type: ignore[union-attr]


async def test_deps_are_carried_over_to_a_run_that_is_taken_up() -> None:
    seen: list[Any] = []

    @tool(needs_approval=True)
    def look(ctx: RunContext[str]) -> str:
        seen.append(ctx.deps)
        return "ok"

    agent = Agent(ScriptedModel([call("look"), "Done.", call("look"), "Done."]), tools=[look])
    for again in ({}, {"deps": "other"}):
        waiting = await agent.run("go", deps="mine")
        await agent.resume(waiting, decisions={waiting.pending[0].id: True}, **again)
    assert seen == ["mine", "other"]
