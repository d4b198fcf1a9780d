"""The suite's tools and prompt that ask the client's user, model or roots for something, in the middle of a call."""

import asyncio
import json
from typing import Any, Literal

from pydantic import BaseModel, Field

from kimi_agent import ModelSettings, RunContext, Tool, UserMessage, tool
from kimi_agent.mcp import Caller, caller

Schema = dict[str, Any]


def wanted(**types: str) -> Schema:
    """A form of required fields."""
    return {"type": "object", "properties": {name: {"type": kind} for name, kind in types.items()}, "required": [*types]}


def told(answer: Any) -> str:
    """An answer as the suite wants to read it."""
    action = "accept" if answer not in (None, False) else "decline" if answer is False else "cancel"
    values = answer.model_dump(mode="json") if isinstance(answer, BaseModel) else answer or {}
    return f"action={action}, content={json.dumps(values)}"


@tool
async def test_elicitation(message: str, ctx: RunContext[Any]) -> str:
    """Asks the user for a text."""
    return f"User response: {told(await caller(ctx).elicit(message, wanted(response='string')))}"


class Person(BaseModel):
    name: str = Field(default="John Doe", description="User name")
    age: int = Field(default=30, description="User age")
    score: float = Field(default=95.5, description="User score")
    status: Literal["active", "inactive", "pending"] = Field(default="active", description="User status")
    verified: bool = Field(default=True, description="Verification status")


@tool
async def test_elicitation_sep1034_defaults(ctx: RunContext[Any]) -> str:
    """Asks for values of every kind that have defaults."""
    return f"Elicitation result: {told(await caller(ctx).elicit('Please provide user information', Person))}"


def titled(**titles: str) -> list[Schema]:
    return [{"const": value, "title": title} for value, title in titles.items()]


CHOICES: Schema = {
    "type": "object",
    "properties": {
        "untitledSingle": {"type": "string", "enum": ["active", "inactive", "pending"]},
        "titledSingle": {"type": "string", "oneOf": titled(low="Low", medium="Medium", high="High")},
        "untitledMulti": {"type": "array", "items": {"type": "string", "enum": ["read", "write", "execute"]}},
        "titledMulti": {"type": "array", "items": {"anyOf": titled(feature="New feature", bug="Bug fix", docs="Documentation")}},
        "legacyEnum": {
            "type": "string",
            "enum": ["small", "medium", "large"],
            "enumNames": ["Small", "Medium", "Large"],
        },
    },
    "required": ["untitledSingle", "titledSingle", "untitledMulti", "titledMulti", "legacyEnum"],
}


@tool
async def test_elicitation_sep1330_enums(ctx: RunContext[Any]) -> str:
    """Asks for choices, in every way in which a schema can say them."""
    return f"Elicitation completed: {told(await caller(ctx).elicit('Please choose', CHOICES))}"


@tool
async def test_streaming_elicitation(ctx: RunContext[Any]) -> str:
    """Tells its progress, and then asks: the question must not be a request on the stream where clients expect none."""
    ctx.report("Before the question", 1, 2)
    return f"Hello, {await name_of(caller(ctx))}!"


# ── 2026-07-28: a question is an answer, and the call comes again (SEP-2322) ──


async def name_of(client: Caller, message: str = "What is your name?", key: str | None = "user_name") -> str:
    """What the user calls themselves."""
    answer = await client.elicit(message, wanted(name="string"), key=key)
    return str(answer["name"]) if answer else "stranger"


@tool
async def test_input_required_result_elicitation(ctx: RunContext[Any]) -> str:
    """Asks for the user's name."""
    return f"Hello, {await name_of(caller(ctx))}!"


@tool
async def test_input_required_result_sampling(ctx: RunContext[Any]) -> str:
    """Asks the client's model for a capital."""
    answer = await ctx.ask_model([UserMessage("What is the capital of France?")], settings=ModelSettings(max_tokens=100))
    return f"Model said: {answer.text}"


@tool
async def test_input_required_result_list_roots(ctx: RunContext[Any]) -> str:
    """Asks where it may work."""
    return f"Client exposed {len(await caller(ctx).roots())} root(s)."


@tool
async def test_input_required_result_request_state(ctx: RunContext[Any]) -> str:
    """Asks for a confirmation, and knows the call again."""
    await caller(ctx).elicit("Please confirm", wanted(ok="boolean"), key="confirm")
    return "state-ok: confirmation received"


@tool
async def test_input_required_result_tampered_state(ctx: RunContext[Any]) -> str:
    """Asks for a confirmation; a state that was changed on the way must be refused."""
    await caller(ctx).elicit("Please confirm", wanted(ok="boolean"), key="confirm")
    return "state-ok"


@tool
async def test_input_required_result_multiple_inputs(ctx: RunContext[Any]) -> str:
    """Asks the user, the model and for the roots, all at once."""
    async with asyncio.TaskGroup() as group:
        group.create_task(name_of(caller(ctx)))
        group.create_task(ctx.ask_model([UserMessage("Generate a greeting")], settings=ModelSettings(max_tokens=50)))
        group.create_task(caller(ctx).roots())
    return "All inputs received."


@tool
async def test_input_required_result_multi_round(ctx: RunContext[Any]) -> str:
    """Asks twice, one after the other."""
    client = caller(ctx)
    name = await name_of(client, "Step 1: What is your name?", "step1")
    color = await client.elicit("Step 2: What is your favorite color?", wanted(color="string"), key="step2")
    return f"{name} likes {color['color'] if color else 'nothing'}."


@tool
async def test_input_required_result_capabilities(ctx: RunContext[Any]) -> str:
    """Asks only for what the client can give."""
    client = caller(ctx)
    async with asyncio.TaskGroup() as group:
        if client.supports("sampling"):
            group.create_task(ctx.ask_model([UserMessage("Say hello")], settings=ModelSettings(max_tokens=50)))
        if client.supports("elicitation"):
            group.create_task(name_of(client))
    return "done"


async def test_input_required_result_prompt(ctx: RunContext[Any]) -> str:
    """A prompt that asks for what it is to be about."""
    answer = await caller(ctx).elicit("What context should the prompt use?", wanted(context="string"), key="user_context")
    return f"Use the following context: {answer['context'] if answer else '?'}"


TOOLS = [each for each in globals().values() if isinstance(each, Tool)]
