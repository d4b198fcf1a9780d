"""Where real requests are forbidden, nothing is sent, whichever thread asks."""

import asyncio
import threading
from contextlib import ExitStack
from typing import Any

import pytest
from aiohttp import web
from loopback import delta, events, send, serving

from kimi_agent import Agent, ChatEndpoint, ScriptedModel, UserError
from kimi_agent.models.embedded import EmbeddedModel
from kimi_agent.models.served import ServedModel
from kimi_agent.testing import allow_real_requests, forbid_real_requests

pytestmark = pytest.mark.anyio
URL = "http://127.0.0.1:9/v1"


def no_engine(*args: Any, **options: Any) -> Any:
    raise AssertionError("weights were loaded")


MODELS = [
    ChatEndpoint("kimi-k2.6", base_url=URL, max_retries=0),
    ServedModel(URL),
    EmbeddedModel("small", open_engine=no_engine),
]


@pytest.mark.parametrize("model", MODELS, ids=["kimi-k2.6", URL, "embedded:small"])
async def test_each_real_model_is_named(model: Any, request: pytest.FixtureRequest) -> None:
    with forbid_real_requests(), pytest.raises(UserError) as caught:
        await Agent(model).run("hello")
    told = str(caught.value)
    assert f"the real model {request.node.callspec.id!r} was asked" in told and "ScriptedModel" in told and "allow_real" in told


async def test_nothing_is_sent_and_then_it_is() -> None:
    async def handler(request: web.Request, number: int) -> web.StreamResponse:
        return await send(request, events(delta(content="Hello."), delta("stop")))

    async with serving(handler) as server:
        agent = Agent(ChatEndpoint("kimi-k2.6", base_url=server.url))
        with forbid_real_requests():
            with pytest.raises(UserError):
                await agent.run("hello")
            assert server.bodies == [] and server.models_asked == 0
            with allow_real_requests():
                assert (await agent.run("hello")).output == "Hello."
            with pytest.raises(UserError):
                await agent.run("hello")
        assert (await agent.run("hello")).output == "Hello."


def test_it_holds_in_every_thread() -> None:
    agent = Agent(MODELS[0])
    caught: list[BaseException] = []

    def work(run: Any) -> None:
        try:
            run()
        except BaseException as e:
            caught.append(e)

    with forbid_real_requests():
        with pytest.raises(UserError, match="forbidden"):
            agent.run_sync("hello")
        for run in (lambda: agent.run_sync("hello"), lambda: asyncio.run(agent.run("hello"))):
            thread = threading.Thread(target=work, args=(run,))
            thread.start()
            thread.join()
        assert Agent(ScriptedModel(["Hi."])).run_sync("hello").output == "Hi."
    assert [type(e) for e in caught] == [UserError, UserError]


async def test_a_task_that_began_before_is_heard() -> None:
    begun = asyncio.Event()

    async def later() -> None:
        await begun.wait()
        await Agent(MODELS[0]).run("hello")

    task = asyncio.create_task(later())
    await asyncio.sleep(0)
    with forbid_real_requests():
        begun.set()
        with pytest.raises(UserError, match="forbidden"):
            await task


async def test_switches_may_be_left_in_any_order() -> None:
    first, second = ExitStack(), ExitStack()
    first.enter_context(forbid_real_requests())
    second.enter_context(allow_real_requests())
    first.close()
    first.enter_context(forbid_real_requests())
    second.close()
    with pytest.raises(UserError, match="forbidden"):
        await Agent(MODELS[0]).run("hello")
    first.close()


def test_as_a_decorator() -> None:
    @forbid_real_requests()
    def ask() -> None:
        Agent(MODELS[0]).run_sync("hello")

    for _ in range(2):
        with pytest.raises(UserError, match="forbidden"):
            ask()
