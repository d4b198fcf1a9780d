"""What servers ask while a run is drawn on the terminal."""

import asyncio
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from kimi_agent import Elicitation
from kimi_agent.cli.ask import Interrupted
from kimi_agent.cli.mcp.elicit import TerminalElicitor

pytestmark = pytest.mark.anyio


def _asked(server: str, field: str) -> Elicitation:
    return Elicitation(
        server, "Tell me.", schema={"type": "object", "properties": {field: {"type": "string"}}, "required": [field]}
    )


async def test_questions_of_several_elicitors_come_one_after_the_other() -> None:
    typed, prompts = ["y", "1234", "y", "Paris"], list[str]()

    async def ask(question: str) -> str:
        prompts.append(question)
        await asyncio.sleep(0.02)
        return typed.pop(0)

    one, two = (TerminalElicitor(Console(file=StringIO()), ask) for _ in range(2))
    async with asyncio.TaskGroup() as group:
        bank, weather = group.create_task(one(_asked("bank", "pin"))), group.create_task(two(_asked("weather", "city")))
    assert (bank.result(), weather.result()) == ({"pin": "1234"}, {"city": "Paris"})
    assert [prompt.partition(" ")[0] for prompt in prompts] == ["bank", "bank", "weather", "weather"]


@pytest.mark.parametrize(("end", "answer"), [(EOFError(), False), (Interrupted(""), None)])
async def test_a_question_that_is_not_answered_makes_room_for_the_next(end: Exception, answer: Any) -> None:
    async def leave(question: str) -> str:
        raise end

    elicitor = TerminalElicitor(Console(file=StringIO()), leave)
    assert [await elicitor(_asked("s", "x")) for _ in range(2)] == [answer, answer]
