"""Questions of servers on the one terminal that a process has."""

import asyncio
import logging
import sys
from typing import Any

import mcp_types as types
import pytest
from at_terminal import at_terminal

from kimi_agent.mcp.client.elicitation import MOST_OPEN, Elicitation, Questioner, host_of
from kimi_agent.mcp.client.terminal import fill_in

pytestmark = pytest.mark.anyio


def form(server: str, *fields: str, message: str = "Tell me.") -> Elicitation:
    """Of fields that are texts, and must be there."""
    schema = {"type": "object", "properties": {name: {"type": "string"} for name in fields}, "required": list(fields)}
    return Elicitation(server, message, schema=schema)


def page(url: str) -> Elicitation:
    return Elicitation("bank", "Sign in.", url=url, mode="url")


class Screen:
    """A terminal whose user types these lines, each after the others had the time to barge in."""

    def __init__(self, *lines: str) -> None:
        self.lines, self.shown = list(lines), list[str]()

    async def ask(self, question: str) -> str:
        self.shown.append(question)
        await asyncio.sleep(0.02)
        return self.lines.pop(0)

    async def fill_in(self, question: Elicitation) -> Any:
        return await fill_in(question, self.shown.append, self.ask)


async def test_two_servers_that_ask_at_once_get_each_its_own_answer() -> None:
    screen = Screen("y", "1234", "y", "Paris")
    async with asyncio.TaskGroup() as group:
        bank = group.create_task(screen.fill_in(form("bank", "pin")))
        weather = group.create_task(screen.fill_in(form("weather", "city")))
    assert (bank.result(), weather.result()) == ({"pin": "1234"}, {"city": "Paris"})
    assert [line.split()[:2] for line in screen.shown] == [
        ["?", "bank"], ["bank", "·"], ["bank", "·"], ["?", "weather"], ["weather", "·"], ["weather", "·"]
    ]  # fmt: skip


async def test_runs_in_threads_share_the_terminal() -> None:
    screen = Screen("y", "one", "y", "two")

    def in_a_loop_of_its_own() -> Any:
        return asyncio.run(screen.fill_in(form("s", "word")))

    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(asyncio.to_thread(in_a_loop_of_its_own)) for _ in range(2)]
    assert sorted(each.result()["word"] for each in asked) == ["one", "two"]
    assert [line[0] for line in screen.shown] == ["?", "s", "s", "?", "s", "s"]


async def test_a_question_that_nobody_waits_for_any_more_makes_room() -> None:
    screen = Screen("n")
    never = asyncio.Event()

    async def unanswered(question: str) -> str:
        screen.shown.append(question)
        await never.wait()
        return ""

    left = asyncio.create_task(fill_in(form("slow", "x"), screen.shown.append, unanswered))
    await asyncio.sleep(0)
    waits = asyncio.create_task(screen.fill_in(form("gone", "x")))
    then = asyncio.create_task(screen.fill_in(form("next", "x")))
    await asyncio.sleep(0.01)
    waits.cancel()
    left.cancel()
    assert await then is False
    assert not any("gone" in line for line in screen.shown)


async def test_a_long_message_does_not_push_the_question_off_the_screen() -> None:
    screen = Screen("n")
    await screen.fill_in(form("s", message="a" * 100_000 + "\x1b[2J"))
    assert len(screen.shown[0]) < 2_100 and "98004 more characters" in screen.shown[0]


DECEIVING = {
    "steers the terminal": "https://a\x1bcowned.example/",
    "is read backwards": "https://a\u202emoc.live/",
    "is no address": "https://\x1b]0;owned\x07\x1b[2J\x1b]bank.example/x",
    "browsers go to evil.example": "https://evil.example\\@accounts.google.com/login",
    "has a user's name before the host": "https://accounts.google.com@evil.example/",
    "runs in a page": "javascript:alert(1)",
    "is a file": "file:///etc/passwd",
    "has no host": "https:///x",
}


@pytest.mark.parametrize("url", DECEIVING.values(), ids=DECEIVING)
async def test_an_address_that_nobody_can_judge_is_declined_unasked(url: str) -> None:
    screen = Screen()
    assert await screen.fill_in(page(url)) is False
    assert all(line.isprintable() for line in screen.shown)

    async def never(question: Elicitation) -> bool:
        raise AssertionError("a callback would open it")

    params = types.ElicitRequestURLParams(message="m", url=url, elicitation_id="1")
    answer = await Questioner("s", never).answer(params)
    assert isinstance(answer, types.ElicitResult) and answer.action == "decline"


async def test_the_user_reads_where_a_page_is() -> None:
    screen = Screen("y")
    assert await screen.fill_in(page("https://\u0430pple.com/pay")) is True  # its first letter is Cyrillic
    assert "visit xn--pple-43d.com: " in screen.shown[1]
    assert host_of("https://Bank.example:8443/x?y#z") == "bank.example" and host_of("http://[::1]:80/") == "::1"


def _asks(**fields: str) -> types.ElicitRequestFormParams:
    schema: Any = {"type": "object", "properties": {name: {"type": kind} for name, kind in fields.items()}}
    return types.ElicitRequestFormParams(message="m", requested_schema=schema)


async def test_a_server_that_floods_its_user_is_refused() -> None:
    answered = asyncio.Event()
    asked = list[Elicitation]()

    async def slow(question: Elicitation) -> bool:
        asked.append(question)
        await answered.wait()
        return False

    questioner = Questioner("s", slow)
    async with asyncio.TaskGroup() as group:
        answers = [group.create_task(questioner.answer(_asks(x="string"))) for _ in range(100)]
        await asyncio.sleep(0.01)
        assert len(asked) == MOST_OPEN and sum(each.done() for each in answers) == 100 - MOST_OPEN
        answered.set()
    refused = [each.result() for each in answers if isinstance(each.result(), types.ErrorData)]
    assert len(refused) == 100 - MOST_OPEN
    assert isinstance(await questioner.answer(_asks(x="string")), types.ElicitResult), "once there is room again"


async def test_what_a_user_typed_is_in_no_log(caplog: pytest.LogCaptureFixture) -> None:
    async def says(question: Elicitation) -> dict[str, Any]:
        return {"pin": "my-own-pin"}

    with caplog.at_level(logging.DEBUG):
        answer = await Questioner("bank", says).answer(_asks(pin="integer"))
    assert isinstance(answer, types.ElicitResult) and answer.action == "cancel"
    assert "$.pin" in caplog.text and "my-own-pin" not in caplog.text


CHILD = """
import asyncio
from kimi_agent.mcp.client.elicitation import Elicitation
from kimi_agent.mcp.client.terminal import ask_in_terminal

def form(server, field):
    schema = {"type": "object", "properties": {field: {"type": "string"}}, "required": [field]}
    return ask_in_terminal(Elicitation(server, "Yours?", schema))

async def main():
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(form("bank", "pin")), group.create_task(form("weather", "city"))]
    print("GOT", *(each.result() for each in asked), flush=True)

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
@pytest.mark.parametrize(
    ("lines", "got"),
    [
        (["y", "1234", "y", "Paris"], "GOT {'pin': '1234'} {'city': 'Paris'}"),
        (["y", "1234\ry\rfor the bank, too", "n"], "GOT {'pin': '1234'} False"),  # typed ahead, before weather had asked
    ],
)
async def test_at_a_real_terminal(lines: list[str], got: str) -> None:
    prompts = ["bank · answer it?", "bank · pin", "weather · answer it?", "weather · city"]
    async with at_terminal("-c", CHILD) as terminal:
        for prompt, line in zip(prompts, lines, strict=False):
            await terminal.says(line, to=prompt)
        await terminal.sees(got)
