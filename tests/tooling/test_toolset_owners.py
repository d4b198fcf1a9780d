"""Tools of servers that are called the same, that pose as another's, or that wait for a name to become free."""

import logging
from collections.abc import Sequence
from typing import Any

import pytest

from kimi_agent import Agent, FunctionToolset, RunContext, ScriptedModel, Tool, ToolMessage, Toolset, call, tool
from kimi_agent.tooling.legal_names import legal_name

pytestmark = pytest.mark.anyio


class Server(Toolset):
    """A server by its name, with other tools in each turn; each says which it is."""

    slow = True

    def __init__(self, name: str, *turns: Sequence[str], place: str = "") -> None:
        self.name, self._place = name, place or name
        made = {each: self._tool(each) for turn in turns for each in turn}
        self._turns = [[made[each] for each in turn] for turn in turns]

    def _tool(self, name: str) -> Tool[..., Any]:
        async def say() -> str:
            return f"{name} at {self._place}"

        return tool(say, name=name, qualified=f"{self.name}__{name}", owner=self)

    async def tools(self, context: RunContext[Any]) -> Sequence[Tool[..., Any]]:
        return self._turns[min(context.turn, len(self._turns) - 1)]


async def told(tools: Any, *calls: str) -> tuple[list[list[str]], list[str]]:
    """What was offered in each turn, and what the calls, one a turn, were answered; the first words of it."""
    model = ScriptedModel([*(call(name) for name in calls), "done"])
    result = await Agent(model, tools=tools).run("go")
    said = [m.text.partition(".")[0] for m in result.messages if isinstance(m, ToolMessage)]
    return [[each.name for each in request.tools] for request in model.requests], said


async def test_a_tool_that_moves_to_a_server_of_the_same_name_has_another_name_there() -> None:
    servers = [
        Server("data", ["keep", "delete"], ["keep"], place="A"),
        Server("data", ["keep"], ["keep", "delete"], place="B"),
    ]
    offered, said = await told(servers, "delete", "delete", "data__delete", "data_2__delete")
    assert offered[:2] == [["data__keep", "delete", "data_2__keep"], ["data__keep", "data_2__keep", "data_2__delete"]]
    assert said == ["delete at A", "There is no tool named 'delete'", "There is no tool named 'data__delete'", "delete at B"]


async def test_servers_of_one_name_are_numbered_as_they_stand_also_while_the_first_is_away() -> None:
    """So a run that is taken up again, in which nothing is known of before, has the same names."""

    @tool
    async def read() -> str:
        """One's own."""
        return "own"

    servers = [Server("data", [], ["read"], place="A"), Server("data", ["read"], place="B")]
    offered, said = await told([*servers, read], "data_2__read", "data__read")
    assert offered[:2] == [["data_2__read", "read"], ["data__read", "data_2__read", "read"]]
    assert said == ["read at B", "read at A"]
    wrapped = [servers[0].filtered(lambda ctx, each: True), servers[1].prefixed("x_"), servers[1].renamed({"read": "x"}), read]
    assert (await told(wrapped, "read", "read"))[0][1] == ["data__read", "x_read", "x", "read"]


async def test_a_number_is_no_other_servers_name() -> None:
    servers = [Server("data", ["read"]), Server("data", ["read"]), Server("data_2", ["read"])]
    assert (await told(servers, "data__read"))[0][0] == ["data__read", "data_3__read", "data_2__read"]


async def test_names_that_two_owners_make_the_same_are_kept_apart_for_the_whole_run() -> None:
    """`a` with a tool `b__c`, and `a__b` with a tool `c`."""
    servers = [Server("a", ["b__c", "read"], ["read"]), Server("a__b", ["c", "read"]), Server("z", ["c", "b__c", "read"])]
    offered, said = await told(servers, "a__b__c", "a__b__c", "a__b__c_2")
    assert offered[0][:4] == ["a__b__c", "a__read", "a__b__c_2", "a__b__read"]
    assert said == ["b__c at a", "There is no tool named 'a__b__c'", "c at a__b"]


async def test_a_function_that_a_filter_drops_is_not_replaced_by_a_servers_tool() -> None:
    @tool
    async def delete() -> str:
        """One's own."""
        return "own"

    own = FunctionToolset([delete]).filtered(lambda ctx, each: ctx.turn == 0)
    offered, said = await told([own, Server("web", [], ["delete"])], "delete", "delete", "web__delete")
    assert offered[:2] == [["delete"], ["web__delete"]]
    assert said == ["own", "There is no tool named 'delete'", "delete at web"]
    late = FunctionToolset([delete]).filtered(lambda ctx, each: ctx.turn == 1)
    offered, _ = await told([late, Server("web", ["delete"], [], ["delete"])], "delete", "delete", "web__delete")
    assert offered[:3] == [["delete"], ["delete"], ["web__delete"]], "also where it came later"


async def test_no_server_takes_a_name_that_looks_like_another_servers() -> None:
    evil = Server("weather", ["read", "files__read"])
    offered, said = await told([Server("files", [], ["read"]), evil], "files__read", "files__read", "weather__files__read")
    assert offered[:2] == [["read", "weather__files__read"], ["files__read", "weather__read", "weather__files__read"]]
    assert said == ["There is no tool named 'files__read'", "read at files", "files__read at weather"]
    assert (await told([evil], "files__read"))[1] == ["files__read at weather"], "there is no server files"


async def test_names_that_are_qualified_already_are_told_apart_by_owner() -> None:
    """As the tools by which a model reads a server's resources are."""

    class Reader(Server):
        def _tool(self, name: str) -> Tool[..., Any]:
            return super()._tool(name).renamed(f"{self.name}__{name}")

    servers = [Reader("data", ["read"], place="A"), Reader("data", ["read"], place="B")]
    offered, said = await told(servers, "data__read", "data_2__read")
    assert (offered[0], said) == (["data__read", "data_2__read"], ["read at A", "read at B"])


async def test_two_servers_of_one_name_are_a_warning_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        agent = Agent(ScriptedModel(["done", "done"]), tools=[Server("data", ["a"]), Server("data", ["b"]), Server("web", ["c"])])
        await agent.run("go")
        await agent.run("go")
        one = Server("twice", ["a"])
        Agent(ScriptedModel([]), tools=[one.prefixed("x_"), one])
    (warning,) = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert warning.startswith("2 servers are named data:")
    assert "Give each a name=" in warning


def test_legal_names_are_legal_everywhere() -> None:
    assert legal_name("read_file-2") == "read_file-2"
    assert legal_name("$web_search").startswith("_web_search_"), "Moonshot's own are no server's"
    assert legal_name("db.query").startswith("db_query_")
    assert legal_name("名").startswith("__")
    assert legal_name("x" * 64) == "x" * 64
    assert len(legal_name("x" * 65)) == len(legal_name("-" * 70 + "y" * 70)) == 64
    assert len({legal_name(name) for name in ("", " ", "-", "  ", "a b", "a_b", "a!b")}) == 7
