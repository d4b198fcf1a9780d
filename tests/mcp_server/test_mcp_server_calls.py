"""While a call runs: progress, log messages, questions to the client, approval, cancellation, and calls beside each other."""

import asyncio
import enum
from collections.abc import Callable
from typing import Any

import mcp_types as types
import pytest
from mcp.shared.exceptions import MCPError
from mcp_server_clients import DECLINE, MODES, Heard, accept, answering, connected, text_of, until
from pydantic import BaseModel, Field

from kimi_agent import Approve, Decline, Image, ModelSettings, RunContext, SystemMessage, ToolMessage, UserError, UserMessage, tool
from kimi_agent.mcp.server.asks import ClientRefused
from kimi_agent.mcp.server.caller import caller
from kimi_agent.mcp.server.service import MCPService

pytestmark = pytest.mark.anyio


@tool
async def reports(ctx: RunContext) -> str:
    ctx.report("begins")
    ctx.report("half", 50, 100)
    ctx.report("again half", 50, 100)
    ctx.report(progress=100, total=100)
    return "done"


@tool
def reports_from_a_thread(ctx: RunContext) -> str:
    for n in range(3):
        ctx.report(f"step {n}", n, 3)
    return "done"


@pytest.mark.parametrize("mode", MODES)
async def test_progress_comes_before_the_result_and_always_rises(mode: str) -> None:
    heard = Heard()
    async with connected(MCPService(reports, reports_from_a_thread), mode) as client:
        await client.call_tool("reports", progress_callback=heard.on_progress)
        assert heard.progress == [(0, None, "begins"), (50, 100, "half"), (51, None, "again half"), (100, 100, None)]
        heard.progress.clear()
        await client.call_tool("reports_from_a_thread", progress_callback=heard.on_progress)
        assert heard.progress == [(0, 3, "step 0"), (1, 3, "step 1"), (2, 3, "step 2")]
        assert text_of(await client.call_tool("reports")) == "done"  # nobody wants to know


@tool
async def notes(ctx: RunContext) -> str:
    ctx.log("fine print", "debug")
    ctx.log("by the way", source="db")
    ctx.log("careful", "warning")
    return ""


async def test_log_messages_follow_the_level_that_a_session_sets() -> None:
    heard = Heard()
    async with connected(MCPService(notes), "legacy", logging_callback=heard.on_log) as client:
        await client.call_tool("notes")
        assert heard.logs == [("info", "by the way", "db"), ("warning", "careful", None)]
        heard.logs.clear()
        with pytest.warns(UserWarning, match="deprecated"):
            await client.set_logging_level("warning")
        await client.call_tool("notes")
        assert heard.logs == [("warning", "careful", None)]


async def test_log_messages_follow_the_level_that_a_modern_request_asks_for() -> None:
    heard = Heard()
    service = MCPService(notes)
    async with connected(service, "auto", logging_callback=heard.on_log) as client:
        await client.call_tool("notes")
        assert heard.logs == []
        await client.call_tool("notes", meta={"io.modelcontextprotocol/logLevel": "info"})
        assert [level for level, _, _ in heard.logs] == ["info", "warning"]


class Meal(enum.Enum):
    FISH = "fish"
    NONE = "none"


class Seat(BaseModel):
    row: int = Field(description="Number of the row", ge=1)
    meal: Meal = Meal.FISH
    note: str | None = None


ran: list[str] = []


@tool
async def book(ctx: RunContext, flight: str) -> str:
    ran.append(flight)
    seat = await caller(ctx).elicit(f"Which seat on {flight}?", Seat)
    if not seat:
        return f"not booked: {'declined' if seat is False else 'closed'}"
    sure = await caller(ctx).elicit("Sure?", {"type": "object", "properties": {"sure": {"type": "boolean"}}, "required": ["sure"]})
    return f"row {seat.row}, {seat.meal.value}, sure: {sure}"


@pytest.mark.parametrize("mode", MODES)
async def test_a_tool_asks_the_user_twice_and_is_run_once(mode: str) -> None:
    ran.clear()
    user = answering(accept(row=7, meal="none"), accept(sure=True))
    async with connected(MCPService(book), mode, elicitation_callback=user) as client:
        assert text_of(await client.call_tool("book", {"flight": "CA1"})) == "row 7, none, sure: {'sure': True}"
    assert ran == ["CA1"]
    form = user.asked[0].requested_schema
    assert user.asked[0].message == "Which seat on CA1?" and form["required"] == ["row"]
    assert form["properties"]["meal"] == {"enum": ["fish", "none"], "title": "Meal", "type": "string", "default": "fish"}
    assert form["properties"]["note"]["type"] == "string" and "$defs" not in form


@pytest.mark.parametrize("mode", MODES)
async def test_users_decline_close_and_give_what_does_not_fit(mode: str) -> None:
    user = answering(DECLINE, types.ElicitResult(action="cancel"), accept(row=0))
    async with connected(MCPService(book), mode, elicitation_callback=user) as client:
        said = [text_of(await client.call_tool("book", {"flight": "CA1"})) for _ in range(3)]
    assert said[:2] == ["not booked: declined", "not booked: closed"]
    assert "does not fit Seat" in said[2]


@pytest.mark.parametrize("mode", MODES)
async def test_a_client_that_cannot_ask_is_not_asked(mode: str) -> None:
    async with connected(MCPService(book), mode) as client:
        result = await client.call_tool("book", {"flight": "CA1"})
    assert result.is_error and "offers no elicitation" in text_of(result)


@tool
async def needs_sampling(ctx: RunContext) -> str:
    caller(ctx).require("sampling")
    return ""


@pytest.mark.parametrize("mode", MODES)
async def test_what_a_tool_cannot_do_without_is_a_protocol_error(mode: str) -> None:
    async with connected(MCPService(needs_sampling), mode) as client:
        with pytest.raises(MCPError) as error:
            await client.call_tool("needs_sampling")
    assert error.value.code == types.MISSING_REQUIRED_CLIENT_CAPABILITY
    assert error.value.data == {"requiredCapabilities": {"sampling": {}}}


@tool
async def summarise(ctx: RunContext, text: str) -> str:
    answer = await ctx.ask_model(
        [SystemMessage("Short."), UserMessage([text, Image(b"png")])],
        instructions="Summarise.",
        settings=ModelSettings(max_tokens=50, stop="."),
    )
    return f"{answer.model}: {answer.text} ({answer.finish_reason})"


def sampling(text: str, seen: list[Any]) -> Callable[..., Any]:
    async def sample(context: Any, params: types.CreateMessageRequestParams) -> types.CreateMessageResult:
        seen.append(params)
        return types.CreateMessageResult(
            role="assistant", content=types.TextContent(text=text), model="theirs", stop_reason="endTurn"
        )

    return sample


@pytest.mark.parametrize("mode", MODES)
async def test_ask_model_is_the_model_of_the_client(mode: str) -> None:
    seen: list[types.CreateMessageRequestParams] = []
    async with connected(MCPService(summarise), mode, sampling_callback=sampling("short", seen)) as client:
        assert text_of(await client.call_tool("summarise", {"text": "long"})) == "theirs: short (endTurn)"
    (asked,) = seen
    assert (asked.system_prompt, asked.max_tokens, asked.stop_sequences) == ("Summarise.\n\nShort.", 50, ["."])
    assert [(m.role, m.content.type) for m in asked.messages] == [("user", "text"), ("user", "image")]  # type: ignore[union-attr]


@tool
async def wrong_asks(ctx: RunContext) -> str:
    with pytest.raises(UserError, match="no tool calls or results"):
        await ctx.ask_model([ToolMessage("c", "f", "x")])
    with pytest.raises(UserError, match="no URL"):
        await ctx.ask_model([UserMessage(Image(url="https://x"))])
    return "ok"


@tool
async def client_says_no(ctx: RunContext) -> str:
    try:
        await ctx.ask_model([UserMessage("x")])
    except ClientRefused as e:
        return f"refused: {e}"
    return "answered"


async def test_a_client_that_refuses_is_an_error_that_the_tool_can_catch() -> None:
    async def sample(context: Any, params: Any) -> types.ErrorData:
        return types.ErrorData(code=-1, message="user rejected it")

    async with connected(MCPService(client_says_no, wrong_asks), "legacy", sampling_callback=sample) as client:
        assert "user rejected it" in text_of(await client.call_tool("client_says_no"))
        assert text_of(await client.call_tool("wrong_asks")) == "ok"
    async with connected(MCPService(client_says_no), "legacy") as client:
        assert "offers no sampling" in text_of(await client.call_tool("client_says_no"))


@tool
async def asks_all_at_once(ctx: RunContext) -> str:
    async with asyncio.TaskGroup() as group:
        name = group.create_task(
            caller(ctx).elicit("Name?", {"type": "object", "properties": {"n": {"type": "string"}}}, key="name")
        )
        roots = group.create_task(caller(ctx).roots())
        model = group.create_task(ctx.ask_model([UserMessage("greet")]))
    return f"{name.result()} {len(roots.result())} {model.result().text}"


async def roots_of(context: Any) -> types.ListRootsResult:
    return types.ListRootsResult(roots=[types.Root(uri="file:///srv")])  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", MODES)
async def test_questions_asked_together_go_out_together(mode: str) -> None:
    callbacks = {"sampling_callback": sampling("hi", []), "list_roots_callback": roots_of}
    service = MCPService(asks_all_at_once)
    async with connected(service, mode, elicitation_callback=answering(accept(n="Li")), **callbacks) as client:
        if mode == "auto":
            first = await client.session.call_tool("asks_all_at_once", {}, allow_input_required=True)
            assert isinstance(first, types.InputRequiredResult) and first.input_requests is not None
            assert len(first.input_requests) == 3 and "name" in first.input_requests
        assert text_of(await client.call_tool("asks_all_at_once")) == "{'n': 'Li'} 1 hi"


async def test_answers_reach_only_the_call_that_asked_and_only_once() -> None:
    service = MCPService(book)
    answer = {"question_1": accept(row=3)}
    async with connected(service, "auto", elicitation_callback=answering()) as client:
        session = client.session

        async def call(flight: str, state: str | None = None, answers: Any = None) -> Any:
            return await session.call_tool(
                "book", {"flight": flight}, allow_input_required=True, request_state=state, input_responses=answers
            )

        first = await call("CA1")
        for flight, state in (("CA2", first.request_state), ("CA1", "guess"), ("CA1", first.request_state + "x")):
            with pytest.raises(MCPError, match="Invalid or expired requestState"):
                await call(flight, state, answer)
        again = await call("CA1", first.request_state, {"other": accept(row=1)})  # no answer: it asks again
        assert list(again.input_requests) == ["question_1"]
        second = await call("CA1", again.request_state, answer)
        assert list(second.input_requests) == ["question_2"]
        with pytest.raises(MCPError, match="Invalid or expired"):
            await call("CA1", again.request_state, answer)


async def test_a_call_whose_client_never_answers_is_ended() -> None:
    ended = asyncio.Event()

    @tool
    async def waits(ctx: RunContext) -> str:
        try:
            await caller(ctx).elicit("?", Seat)
        finally:
            ended.set()
        return ""

    async with connected(MCPService(waits, ask_timeout=0.05), "auto", elicitation_callback=answering()) as client:
        first = await client.session.call_tool("waits", {}, allow_input_required=True)
        async with asyncio.timeout(10):
            await ended.wait()
        with pytest.raises(MCPError, match="Invalid or expired"):
            await client.session.call_tool("waits", {}, allow_input_required=True, request_state=first.request_state)


async def test_a_client_that_never_answers_in_mid_call_is_given_up() -> None:
    async def silent(context: Any, params: Any) -> Any:
        await asyncio.sleep(60)

    async with connected(MCPService(book, ask_timeout=0.05), "legacy", elicitation_callback=silent) as client:
        result = await client.call_tool("book", {"flight": "CA1"})
    assert result.is_error and "did not answer elicitation/create within 0.05 s" in text_of(result)


async def test_an_approver_that_fails_is_the_servers_fault_and_nothing_runs(caplog: pytest.LogCaptureFixture) -> None:
    ran.clear()

    async def approver(context: RunContext, call: Any, arguments: dict[str, Any]) -> Any:
        raise RuntimeError("secret detail")

    for mode in MODES:
        async with connected(MCPService(wipe, approver=approver), mode) as client:
            with pytest.raises(MCPError, match="Internal error") as error:
                await client.call_tool("wipe", {"disk": "sda"})
            assert "secret" not in error.value.message
    assert ran == [] and "secret detail" in caplog.text


@tool(needs_approval=True)
def wipe(disk: str) -> str:
    ran.append(disk)
    return f"wiped {disk}"


@pytest.mark.parametrize("mode", MODES)
async def test_the_user_of_the_client_approves_or_does_not(mode: str) -> None:
    ran.clear()
    user = answering(accept(approve=True), accept(approve=False), DECLINE)
    async with connected(MCPService(wipe), mode, elicitation_callback=user) as client:
        results = [await client.call_tool("wipe", {"disk": f"sd{x}"}) for x in "abc"]
    assert [r.is_error for r in results] == [False, True, True] and ran == ["sda"]
    assert "declined" in text_of(results[1])
    assert "wipe" in user.asked[0].message and '{"disk": "sda"}' in user.asked[0].message
    async with connected(MCPService(wipe), mode) as client:
        nobody = await client.call_tool("wipe", {"disk": "sdd"})
    assert nobody.is_error and "did not run" in text_of(nobody) and ran == ["sda"]


async def test_the_approver_of_the_server_decides_first() -> None:
    ran.clear()

    async def approver(context: RunContext, call: Any, arguments: dict[str, Any]) -> Approve | Decline:
        return Approve() if arguments["disk"] == "old" else Decline("still in use")

    async with connected(MCPService(wipe, approver=approver), "auto", elicitation_callback=answering()) as client:
        assert text_of(await client.call_tool("wipe", {"disk": "old"})) == "wiped old"
        assert "still in use" in text_of(await client.call_tool("wipe", {"disk": "new"}))
    assert ran == ["old"]


class Meter:
    """How many calls ran at once."""

    def __init__(self) -> None:
        self.now = self.most = 0
        self.alone_with: list[int] = []
        self.open = asyncio.Event()

    async def work(self) -> str:
        self.now += 1
        self.most = max(self.most, self.now)
        await self.open.wait()
        self.now -= 1
        return ""

    async def alone(self) -> str:
        self.alone_with.append(self.now)
        await asyncio.sleep(0.01)
        self.alone_with.append(self.now)
        return ""


async def test_calls_are_bounded_and_a_sequential_tool_runs_alone() -> None:
    meter = Meter()
    service = MCPService(meter.work, tool(meter.alone, sequential=True), concurrency=3)
    async with connected(service, "auto") as client, asyncio.TaskGroup() as group:
        for _ in range(7):
            group.create_task(client.call_tool("work"))
        await until(lambda: meter.now == 3)
        group.create_task(client.call_tool("alone"))
        for _ in range(5):
            group.create_task(client.call_tool("work"))
        await asyncio.sleep(0.05)
        meter.open.set()
    assert meter.most == 3 and meter.alone_with == [0, 0]


async def test_a_call_that_waits_for_its_user_holds_up_no_other() -> None:
    asked = asyncio.Event()
    answer: asyncio.Future[types.ElicitResult] = asyncio.get_running_loop().create_future()

    async def user(context: Any, params: Any) -> types.ElicitResult:
        asked.set()
        return await answer

    def quick() -> str:
        return "quick"

    async with connected(MCPService(book, quick, concurrency=1), "legacy", elicitation_callback=user) as client:
        booking = asyncio.create_task(client.call_tool("book", {"flight": "CA1"}))
        await asked.wait()
        assert text_of(await client.call_tool("quick")) == "quick"
        answer.set_result(DECLINE)
        assert "declined" in text_of(await booking)


@pytest.mark.parametrize("mode", MODES)
async def test_a_client_that_cancels_cancels_the_tool(mode: str) -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    async def slow() -> str:
        began.set()
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()
        return ""

    def quick() -> str:
        return "quick"

    async with connected(MCPService(slow, quick), mode) as client:
        calling = asyncio.create_task(client.call_tool("slow"))
        await began.wait()
        calling.cancel()
        async with asyncio.timeout(10):
            await ended.wait()
        assert text_of(await client.call_tool("quick")) == "quick"


@pytest.mark.parametrize("mode", MODES)
async def test_a_client_that_leaves_takes_its_calls_with_it(mode: str) -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    async def slow() -> str:
        began.set()
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()
        return ""

    async with connected(MCPService(slow), mode) as client:
        calling = asyncio.create_task(client.call_tool("slow"))
        await began.wait()
    async with asyncio.timeout(10):
        await ended.wait()
        await asyncio.wait([calling])
    with pytest.raises((MCPError, asyncio.CancelledError)):
        calling.result()


async def test_a_flood_of_reports_is_bounded_and_the_last_ones_come_through() -> None:
    heard = Heard()

    async def flood(ctx: RunContext) -> str:
        for n in range(50_000):
            ctx.report(str(n), n, 50_000)
        return "done"

    async with connected(MCPService(flood), "auto") as client:
        assert text_of(await client.call_tool("flood", progress_callback=heard.on_progress)) == "done"
    assert len(heard.progress) == 1000 and heard.progress[-1][2] == "49999"


async def test_a_flood_of_calls_is_refused_not_kept() -> None:
    release = asyncio.Event()

    async def work() -> str:
        await release.wait()
        return "done"

    async with connected(MCPService(work, concurrency=1), "auto") as client:
        calls = [asyncio.create_task(client.call_tool("work")) for _ in range(1100)]
        await until(lambda: any(c.done() for c in calls))
        release.set()
        results = [await c for c in calls]
    refused = [r for r in results if r.is_error]
    assert 90 <= len(refused) <= 100 and "too many calls waiting" in text_of(refused[0])


async def test_caller_tells_who_calls_and_only_where_a_client_does() -> None:
    @tool
    async def who(ctx: RunContext) -> str:
        c = caller(ctx)
        await c.close_stream()
        return f"{c.name} {c.version} {c.protocol} {c.supports('roots')} {c.progress_token is not None}"

    heard = Heard()
    info = types.Implementation(name="tester", version="9")
    async with connected(MCPService(who), "legacy", client_info=info, list_roots_callback=roots_of) as client:
        said = text_of(await client.call_tool("who", progress_callback=heard.on_progress))
    assert said == "tester 9 2025-11-25 True True"
    with pytest.raises(UserError, match="an agent's run"):
        caller(RunContext(None, run=object()))  # type: ignore[arg-type]
