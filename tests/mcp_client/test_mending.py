"""Answers that cost too much to read or that cannot be written again."""

import json
import sys
from typing import Any

import pytest
from mcp_types import JSONRPCError, JSONRPCResponse

from kimi_agent import MCPServer, MCPServerError, Text
from kimi_agent.mcp.client.mending import mended_result, read_message

pytestmark = pytest.mark.anyio
OBJECTS = b"[" + b"{}," * 600_000 + b"{}]"


@pytest.mark.parametrize(
    ("line", "asked"),
    [
        (b'{"jsonrpc":"2.0","id":7,"result":{"content":[],"a":%b}}', 7),
        (b'{"jsonrpc": "2.0", "id": "a-7", "result": {"content": [], "a": %b}}', "a-7"),
        (b'{"id":7,"jsonrpc":"2.0","error":{"code":1,"message":"m","data":%b}}', 7),
        (b'{"jsonrpc":"2.0","result":{"a":%b},"id":7}', 7),
        (b'{"result":{"a":%b}, "id": 7, "jsonrpc": "2.0"} \r', 7),
    ],
)
def test_an_answer_of_too_many_values_is_the_error_of_its_request(line: bytes, asked: int | str) -> None:
    message = read_message(line % OBJECTS)
    assert isinstance(message, JSONRPCError) and message.id == asked
    assert message.error.message == "the answer has more than 1,000,000 values"


@pytest.mark.parametrize(
    "line",
    [
        b'{"jsonrpc":"2.0","id":7,"method":"sampling/createMessage","params":{"a":%b}}',
        b'{"jsonrpc":"2.0","method":"notifications/message","params":{"data":%b,"id":7}}',
        b'{"jsonrpc":"2.0","result":{"a":%b,"id":7}}',
        b'{"result":{"id":7,"a":%b}}',
        b"%b",
    ],
)
def test_what_is_no_answer_to_anything_that_can_be_told_is_left_out(line: bytes) -> None:
    assert read_message(line % OBJECTS) is None


def test_many_short_texts_are_many_values() -> None:
    line = b'{"jsonrpc":"2.0","id":7,"result":{"a":[' + b'"",' * 1_100_000 + b'""]}}'
    assert isinstance(read_message(line), JSONRPCError)


@pytest.mark.parametrize("text", ["a,b,c\n" * 600_000, '{"a": ["\\"", "b"]},\n' * 300_000, "\\" * 3_000_000 + "[" * 2_000_000])
def test_a_long_text_is_one_value_whatever_it_holds(text: str) -> None:
    answer = {"jsonrpc": "2.0", "id": 7, "result": {"content": [{"type": "text", "text": text}]}}
    message = read_message(json.dumps(answer).encode())
    assert isinstance(message, JSONRPCResponse) and message.result == answer["result"]


def nested(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {"a": 1}
    for _ in range(levels - 1):
        value = {"a": value}
    return value


def test_what_is_nested_too_deep_is_left_out_of_a_result() -> None:
    text = {"type": "text", "text": "paid"}
    told = {"type": "text", "text": "[The tool has structured content of more than 200 levels; it is left out.]"}
    assert mended_result({"content": [text], "structuredContent": nested(400)}) == {"content": [text, told]}
    assert mended_result({"content": [text], "_meta": nested(400)}) == {"content": [text]}
    block = {**text, "_meta": nested(5_000)}
    assert mended_result({"content": [block]})["content"] == [
        {"type": "text", "text": "[A block of more than 200 levels is left out.]"}
    ]
    kept = {"content": [text], "structuredContent": nested(150)}
    assert mended_result(kept) == kept


SERVER = """
import json, sys
for line in sys.stdin:
    asked = json.loads(line)
    info = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {"name": "s", "version": "1"}}
    results = {"initialize": json.dumps(info), "tools/list": '{"tools": [{"name": "t", "inputSchema": {"type": "object"}}]}'}
    if asked.get("method") == "tools/call":
        n = asked["params"]["arguments"]["n"]
        deep = '{"a":' * n + "1" + "}" * n
        wide = "[" + "{}," * 700000 + "{}]"
        results["tools/call"] = '{"content": [{"type": "text", "text": "paid"}], "structuredContent": %s}' % (
            deep if n else '{"a": %s}' % wide
        )
    result = results.get(asked.get("method"))
    if "id" in asked:
        body = '"result": ' + result if result else '"error": {"code": -32601, "message": "no"}'
        print('{"jsonrpc": "2.0", "id": %s, %s}' % (json.dumps(asked["id"]), body), flush=True)
"""


async def test_the_text_of_a_tool_that_ran_is_not_lost_to_what_cannot_be_shown() -> None:
    async with MCPServer(sys.executable, "-c", SERVER, name="s") as server:
        for levels in (210, 400, 900):
            first, *_, last = (await server.call("t", {"n": levels})).content
            assert first == Text("paid") and isinstance(last, Text) and "more than 200 levels" in last.text
        for n, why in ((100_000, "nested too deep to be read"), (0, "more than 1,000,000 values")):
            with pytest.raises(MCPServerError, match=why):  # told at once, not at its time-out
                await server.call("t", {"n": n})
        assert (await server.call("t", {"n": 3})).value == {"a": {"a": {"a": 1}}}, "it goes on"
