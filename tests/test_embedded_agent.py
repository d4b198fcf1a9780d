"""The main job, for real: a real model decides, a real function runs, and the model's words carry its data.

Runs on the default embedded model if it is in the cache, else on the small one, which is fetched.
"""

import random
import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from kimi_backend.embedded import cached_path

from kimi_agent import Agent, AssistantMessage, TextDelta, ToolEnd, ToolMessage, tool

pytestmark = [pytest.mark.anyio, pytest.mark.real_model, pytest.mark.timeout(600)]
MODEL = "embedded" if cached_path("default") else "embedded:small"


async def test_a_real_model_calls_a_real_function_and_says_what_it_returned() -> None:
    celsius, asked = random.randint(-20, 45), list[str]()

    @tool
    def get_weather(city: str) -> dict[str, str | int]:
        """Get the current weather of a city.

        Args:
            city: Name of the city.
        """
        asked.append(city)
        return {"city": city, "temperature_celsius": celsius}

    events = [e async for e in Agent(MODEL, tools=[get_weather]).stream("What is the temperature in Oslo right now?")]
    assert asked == ["Oslo"]
    [end] = [e for e in events if isinstance(e, ToolEnd)]
    assert str(celsius) in end.result.text
    said = "".join(e.text for e in events if isinstance(e, TextDelta))
    assert str(abs(celsius)) in said
    assert len([e for e in events if isinstance(e, TextDelta)]) > 1, "the answer is streamed"


async def test_without_tools_it_is_a_chat_model_that_remembers() -> None:
    agent = Agent(MODEL, instructions="Answer in one short sentence.")
    first = await agent.run("My name is Ottilie. Say hello.")
    second = await agent.run("What is my name?", messages=first.messages)
    assert "Ottilie" in second.output
    assert all(isinstance(m, AssistantMessage) or not isinstance(m, ToolMessage) for m in second.messages)
    assert second.usage.output_tokens > 0


def test_the_example_of_the_docs_runs(capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(__file__).parent.parent / "docs/embedded.md").read_text(encoding="utf-8")
    [source] = re.findall(r"^```embedded-python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    exec(compile(source, "docs/embedded.md", "exec"), {})
    assert "'usage'" in capsys.readouterr().out


async def test_a_typed_answer_carries_what_the_tool_returned() -> None:
    celsius = random.randint(-20, 45)

    @tool
    def get_weather(city: str) -> dict[str, str | int]:
        """Get the current weather of a city.

        Args:
            city: Name of the city.
        """
        return {"city": city, "temperature_celsius": celsius}

    @dataclass
    class Report:
        city: str
        temperature_celsius: int

    result = await Agent(MODEL, tools=[get_weather], output=Report).run("What is the temperature in Oslo right now?")
    assert result.output == Report("Oslo", celsius)
