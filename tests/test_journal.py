"""Write-ahead and resume: a run is stopped at every record that it writes, and goes on from what is there."""

from contextlib import suppress
from typing import Any

import pytest

from kimi_agent import (
    Agent,
    AssistantMessage,
    Decline,
    FunctionModel,
    Limits,
    MemoryJournal,
    Message,
    ModelRequest,
    Pending,
    Reply,
    RunContext,
    ScriptedModel,
    ToolCall,
    ToolMessage,
    UserError,
    UserMessage,
    call,
    tool,
)
from kimi_agent.history import INTERRUPTED, NOT_KNOWN, UNKNOWN_OUTCOME, fold, project
from kimi_agent.records import CallFinished, CallMade, CallStarted, Record, RunEnded

pytestmark = pytest.mark.anyio


class Crash(BaseException):
    """The process dies: nothing of ours may catch it."""


class CrashingJournal(MemoryJournal):
    """Dies once, after so many records."""

    def __init__(self, records: tuple[Record, ...], left: int) -> None:
        super().__init__(records)
        self.left = left

    async def append(self, record: Record) -> None:
        if self.left == 0:
            raise Crash
        self.left -= 1
        await super().append(record)


def assert_legal(messages: tuple[Message, ...]) -> None:
    """Each call answered right behind its turn, once, in order; ids unique; indices rising."""
    calls: list[ToolCall] = []
    i = 0
    while i < len(messages):
        message = messages[i]
        i += 1
        assert not isinstance(message, ToolMessage), f"orphan result at {i - 1}"
        if isinstance(message, AssistantMessage):
            for made in message.tool_calls:
                answer = messages[i] if i < len(messages) else None
                assert isinstance(answer, ToolMessage) and answer.call_id == made.id, f"no result for {made}"
                calls.append(made)
                i += 1
    assert len({c.id for c in calls}) == len(calls)
    assert [c.index for c in calls] == sorted({c.index for c in calls})


def scripted_by_history(request: ModelRequest) -> Any:
    """Answers by the turns in the history, as a real model would, so that a resumed run gets the turn that it needs."""
    turns = sum(isinstance(m, AssistantMessage) for m in request.messages)
    script = [
        Reply(text="Let me", reasoning="hm", calls=[call("look", n=1), call("write", n=2), call("ask", n=3), call("look", n=4)]),
        Reply(calls=[call("write", n=5), call("nothing"), call("look", n=6)]),
    ]
    return script[turns] if turns < len(script) else "All done."


class World:
    """Tools with an outside that outlives a crash."""

    def __init__(self) -> None:
        self.runs: dict[int, int] = {}

    def _run(self, n: int) -> str:
        self.runs[n] = self.runs.get(n, 0) + 1
        return f"did {n}"

    @tool(idempotent=True)
    def look(self, n: int) -> str:
        return self._run(n)

    @tool
    async def write(self, n: int) -> str:
        return self._run(n)

    @tool(sequential=True)
    def ask(self, n: int) -> str:
        return self._run(n)

    def agent(self) -> Agent:
        return Agent(FunctionModel(scripted_by_history), tools=[self.look, self.write, self.ask])


async def whole_run() -> tuple[Record, ...]:
    journal = MemoryJournal()
    result = await World().agent().run("go", journal=journal)
    assert result.output == "All done."
    return await journal.read()


async def test_stopped_at_every_record_the_run_goes_on_and_no_finished_call_runs_again() -> None:
    total = len(await whole_run())
    assert total >= 25
    for stop in range(1, total):
        world, journal = World(), CrashingJournal((), stop)
        with pytest.raises(Crash):
            await world.agent().run("go", journal=journal)
        records = await journal.read()
        assert len(records) == stop
        assert_legal(fold(records).history)
        finished = {r.result.call_id for r in records if isinstance(r, CallFinished)}

        survivor = MemoryJournal(records)
        result = await world.agent().resume(survivor)
        after = await survivor.read()
        assert result.output == "All done.", f"stopped at record {stop}"
        assert_legal(result.messages)
        started_again = {r.call_id for r in after[stop:] if isinstance(r, CallStarted)}
        assert not started_again & finished, f"stopped at record {stop}: a finished call ran again"
        assert all(world.runs.get(n, 0) <= 1 for n in (2, 3, 5)), f"stopped at record {stop}: {world.runs}"
        names = {r.call.id: r.call.name for r in records if isinstance(r, CallMade)}
        texts = {m.call_id: m.text for m in result.messages if isinstance(m, ToolMessage)}
        for broken in {r.call_id for r in records if isinstance(r, CallStarted)} - finished:
            assert (texts[broken] == UNKNOWN_OUTCOME) is (names[broken] != "look"), f"stopped at record {stop}"
        assert isinstance(after[-1], RunEnded)


async def test_stopped_at_every_record_twice() -> None:
    """The second crash comes while the first is being mended."""
    for first in range(3, 20, 4):
        for second in range(1, 8):
            world, journal = World(), CrashingJournal((), first)
            with pytest.raises(Crash):
                await world.agent().run("go", journal=journal)
            again = CrashingJournal(await journal.read(), second)
            with suppress(Crash):
                await world.agent().resume(again)
            result = await world.agent().resume(MemoryJournal(await again.read()))
            assert result.output == "All done."
            assert_legal(result.messages)
            assert max(world.runs.get(n, 0) for n in (2, 3, 5)) <= 1


async def test_every_prefix_of_a_journal_folds_to_a_legal_history() -> None:
    records = await whole_run()
    for end in range(len(records) + 1):
        history = fold(records[:end]).history
        assert_legal(history)
        assert list(history) == project(history), "projecting a legal history changes nothing"


async def test_an_open_turn_keeps_text_and_reasoning() -> None:
    records = await whole_run()
    turn = fold(records[:3]).open_turn
    assert turn is not None
    assert (turn.text, turn.reasoning, turn.finish_reason) == ("Let me", "hm", "interrupted")


async def test_an_unfinished_call_is_of_unknown_outcome_and_an_unstarted_one_interrupted() -> None:
    async def never(n: int) -> None: ...

    journal = CrashingJournal((), 3)
    with pytest.raises(Crash):
        await Agent(ScriptedModel([call("never", n=1)]), tools=[never]).run("go", journal=journal)
    assert fold(journal.records).history[-1].text == UNKNOWN_OUTCOME  # type: ignore[union-attr]
    before_start = [r for r in journal.records if not isinstance(r, CallStarted)]
    assert fold(before_start).history[-1].text == INTERRUPTED  # type: ignore[union-attr]


async def test_a_call_that_needs_approval_waits_and_runs_when_it_is_given() -> None:
    sent: list[str] = []

    @tool(needs_approval=True)
    def send(to: str) -> str:
        sent.append(to)
        return "sent"

    agent = Agent(FunctionModel(lambda r: "Sent." if len(r.messages) > 1 else call("send", to="Ann")), tools=[send])
    waiting = await agent.run("Write to Ann")
    assert (waiting.stop_reason, sent) == ("pending", [])
    [held] = waiting.pending
    still = await agent.resume(waiting)
    assert (still.stop_reason, sent) == ("pending", [])
    done = await agent.resume(still, decisions={held.id: True})
    assert (done.output, done.stop_reason, sent) == ("Sent.", "completed", ["Ann"])


async def test_a_declined_call_tells_the_model_why() -> None:
    @tool(needs_approval=lambda ctx, arguments: arguments["to"] != "me")
    def send(to: str) -> str:
        return "sent"

    model = ScriptedModel([[call("send", to="me"), call("send", to="Ann")], "Well then."])
    agent = Agent(model, tools=[send])
    waiting = await agent.run("go")
    assert [m.text for m in waiting.messages if isinstance(m, ToolMessage)] == ["sent"]
    done = await agent.resume(waiting, decisions={waiting.pending[0].id: "she is on holiday"})
    assert "declined" in done.messages[-2].text and "holiday" in done.messages[-2].text  # type: ignore[union-attr]


async def test_a_new_message_declines_what_waits() -> None:
    @tool(needs_approval=True)
    def send() -> str:
        return "sent"

    model = ScriptedModel([call("send"), "Never mind."])
    agent, journal = Agent(model, tools=[send]), MemoryJournal()
    await agent.run("send it", journal=journal)
    done = await agent.run("forget it", journal=journal)
    assert_legal(done.messages)
    assert [type(m).__name__ for m in done.messages[-3:]] == ["ToolMessage", "UserMessage", "AssistantMessage"]
    assert "declined" in done.messages[2].text  # type: ignore[union-attr]
    assert done.new_messages == done.messages[3:]


async def test_an_approver_decides_at_once() -> None:
    async def no_to_ann(context: RunContext[Any], call: ToolCall, arguments: dict[str, Any]) -> Decline:
        return Decline(f"not to {arguments['to']}")

    @tool(needs_approval=True)
    def send(to: str) -> str:
        return "sent"

    result = await Agent(ScriptedModel([call("send", to="Ann"), "ok"]), tools=[send], approver=no_to_ann).run("go")
    assert "not to Ann" in result.messages[2].text  # type: ignore[union-attr]


async def test_a_tool_may_answer_later_and_is_not_run_again() -> None:
    asked: list[str] = []

    @tool
    def ask_human(question: str) -> Pending:
        asked.append(question)
        return Pending("waiting for the human")

    model = ScriptedModel([[call("ask_human", question="Which?"), call("ask_human", question="When?")], "Blue, now."])
    agent = Agent(model, tools=[ask_human])
    waiting = await agent.run("go")
    assert waiting.stop_reason == "pending" and len(waiting.pending) == 2
    half = await agent.resume(waiting, results={waiting.pending[0].id: "blue"})
    assert half.stop_reason == "pending" and len(half.pending) == 1
    done = await agent.resume(half, results={half.pending[0].id: {"when": "now"}})
    assert done.output == "Blue, now."
    assert sorted(asked) == ["When?", "Which?"]


async def test_resume_refuses_ids_that_do_not_wait() -> None:
    result = await Agent(ScriptedModel(["Hi"])).run("go")
    with pytest.raises(UserError, match="no call 'x' waits"):
        await Agent(ScriptedModel([])).resume(result, decisions={"x": True})


async def test_resuming_a_completed_run_asks_nobody() -> None:
    result = await Agent(ScriptedModel(["Hi"])).run("go")
    again = await Agent(ScriptedModel([])).resume(result)
    assert (again.output, again.messages) == ("Hi", result.messages)


async def test_a_limit_can_be_lifted_by_resuming() -> None:
    agent = Agent(ScriptedModel([call("nothing"), "Done."]))
    stopped = await agent.run("go", limits=Limits(turns=1))
    assert stopped.stop_reason == "turns"
    assert (await agent.resume(stopped, limits=Limits(turns=5))).output == "Done."


async def test_one_journal_holds_a_whole_conversation() -> None:
    journal = MemoryJournal()
    agent = Agent(ScriptedModel(["One.", "Two.", "Three."]))
    for prompt in ("1?", "2?", "3?"):
        result = await agent.run(prompt, journal=journal)
    assert [m.text for m in result.messages] == ["1?", "One.", "2?", "Two.", "3?", "Three."]  # type: ignore[union-attr]
    assert result.new_messages == result.messages[4:]
    assert result.usage.requests == 1


async def test_history_repair_is_pure_idempotent_and_adds() -> None:
    a, b = ToolCall("a", "x", "{}", 0), ToolCall("b", "x", "{}", 0)
    turn = AssistantMessage("", (a, b))
    broken = (UserMessage("go"), turn, ToolMessage("b", "x", "B"), ToolMessage("z", "x", "orphan"), UserMessage("on"))
    legal = project(broken)
    assert_legal(tuple(legal))
    assert [m.text for m in legal if isinstance(m, ToolMessage)] == [NOT_KNOWN, "B"]
    assert project(legal) == legal
    assert project((UserMessage("x"),))[0] is not None
    assert turn.tool_calls == (a, b), "what was given is not touched"


async def test_a_legal_history_keeps_its_objects() -> None:
    legal = (UserMessage("go"), AssistantMessage("", (ToolCall("a", "x", "{}", 0),)), ToolMessage("a", "x", "A"))
    assert all(before is after for before, after in zip(legal, project(legal), strict=True))
