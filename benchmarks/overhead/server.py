"""The endpoint of the benchmark, in a process of its own: `python -m benchmarks.overhead.server` prints its port.

Deterministic: the model's name is the script, the turn is the number of assistant messages in the request. An answer is made once
and kept, and goes out in one write, one HTTP chunk an event, so that a driver never waits for the server's own work.
"""

import asyncio
import functools
import json
import re
from typing import Any

from benchmarks.overhead.script import Script

_ASSISTANT = re.compile(rb'"role":\s*"assistant"')
_MODEL = re.compile(rb'"model":\s*"(script-[^"]+)"')
_STREAM = re.compile(rb'"stream":\s*true')
_USAGE = re.compile(rb'"include_usage":\s*true')
_LENGTH = re.compile(rb"content-length:\s*(\d+)", re.IGNORECASE)
_COUNTED = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110, "prompt_tokens_details": {"cached_tokens": 0}}

Call = tuple[str, str, str]  # id, name, arguments


def arguments_of(script: Script, turn: int, call: int) -> str:
    """Arguments that differ from turn to turn, as a real run's do; those of `write` are four characters a delta."""
    if script.tool == "write":
        return json.dumps({"text": f"{turn % 1000:03d} " * max(script.deltas - 3, 1)})
    return json.dumps({"a": turn, "b": call} if script.tool == "add" else {"i": call})


def calls_of(script: Script, turn: int) -> list[Call]:
    """The calls of a turn."""
    if turn < script.turns - 1:
        return [(f"call_{turn}_{i}", script.tool, arguments_of(script, turn, i)) for i in range(script.calls)]
    return [(f"call_{turn}_0", script.final_tool, '{"answer": "done"}')] if script.final_tool else []


def pieces(text: str, count: int) -> list[str]:
    """The text in at most this many pieces."""
    size = max(1, -(-len(text) // max(count, 1)))
    return [text[i : i + size] for i in range(0, len(text), size)]


def whole_answer(head: dict[str, Any], calls: list[Call]) -> bytes:
    """The HTTP answer with one JSON object."""
    made = [{"id": i, "type": "function", "function": {"name": n, "arguments": a}} for i, n, a in calls]
    message: dict[str, Any] = {"role": "assistant", "content": None, "tool_calls": made} if calls else _done()
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if calls else "stop"}
    body = json.dumps({**head, "object": "chat.completion", "usage": _COUNTED, "choices": [choice]}).encode()
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


def streamed_answer(head: dict[str, Any], calls: list[Call], deltas: int, usage: bool) -> bytes:
    """The HTTP answer with server-sent events, one chunk each."""
    said: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    if not calls:
        said += [{"content": piece} for piece in pieces("done", deltas)]
    for i, (call_id, name, arguments) in enumerate(calls):
        said.append({"tool_calls": [{"index": i, "id": call_id, "type": "function", "function": {"name": name, "arguments": ""}}]})
        said += [{"tool_calls": [{"index": i, "function": {"arguments": piece}}]} for piece in pieces(arguments, deltas)]
    choices: list[list[dict[str, Any]]] = [[{"index": 0, "delta": delta, "finish_reason": None}] for delta in said]
    choices.append([{"index": 0, "delta": {}, "finish_reason": "tool_calls" if calls else "stop"}])
    chunks: list[dict[str, Any]] = [{**head, "object": "chat.completion.chunk", "choices": c} for c in choices]
    if usage:
        chunks.append({**head, "object": "chat.completion.chunk", "choices": [], "usage": _COUNTED})
    events = [b"data: %b\n\n" % json.dumps(c).encode() for c in chunks] + [b"data: [DONE]\n\n"]
    start = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    return start + b"".join(b"%x\r\n%b\r\n" % (len(event), event) for event in events) + b"0\r\n\r\n"


@functools.lru_cache(4096)
def answer(model: str, turn: int, stream: bool, usage: bool) -> tuple[float, bytes]:
    """Seconds to wait, and the HTTP answer."""
    script = Script.of(model)
    calls = calls_of(script, turn)
    head = {"id": f"chatcmpl-{turn}", "created": 1700000000, "model": model}
    made = streamed_answer(head, calls, script.deltas, usage) if stream else whole_answer(head, calls)
    return script.delay_ms / 1000, made


class Connection(asyncio.Protocol):
    """One client's connection: requests with a content-length, one after the other."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport
        self.data = bytearray()

    def data_received(self, data: bytes) -> None:
        self.data += data
        while (end := self.data.find(b"\r\n\r\n")) >= 0:
            length = _LENGTH.search(self.data, 0, end)
            whole = end + 4 + (int(length[1]) if length else 0)
            if len(self.data) < whole:
                return
            request, self.data = bytes(self.data[:whole]), self.data[whole:]
            self.answer(request)

    def answer(self, request: bytes) -> None:
        model = _MODEL.search(request)
        if model is None:  # GET /models among them: an engine that does not know it answers so
            return self.send(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")
        turn = len(_ASSISTANT.findall(request))
        wait, made = answer(model[1].decode(), turn, bool(_STREAM.search(request)), bool(_USAGE.search(request)))
        if wait:
            asyncio.get_running_loop().call_later(wait, self.send, made)
        else:
            self.send(made)

    def send(self, answer: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(answer)


def _done() -> dict[str, Any]:
    return {"role": "assistant", "content": "done"}


async def serve() -> None:
    """Serves until it is ended."""
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", 0, backlog=2048)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve())
