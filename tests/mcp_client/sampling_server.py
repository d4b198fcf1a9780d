"""A server of the handshake era that asks for sampling while a call goes on: `python sampling_server.py`.

`ask` wants `times` answers to `content`, and says what they were. `hold` is answered once something has been asked. `heard` says
what was answered so far, once nothing is left to be answered.
"""

import json
import sys
from typing import Any

_TOOLS = [{"name": name, "inputSchema": {"type": "object"}} for name in ("ask", "hold", "heard")]
_GREETING = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {"name": "asks", "version": "1"}}


class Server:
    def __init__(self) -> None:
        self.open: dict[str, int] = {}
        self.answers: list[str] = []
        self.held: list[int] = []
        self.listening: list[int] = []

    def send(self, **message: Any) -> None:
        sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        sys.stdout.flush()

    def say(self, call: int, text: str) -> None:
        self.send(id=call, result={"content": [{"type": "text", "text": text}]})

    def call(self, number: int, name: str, arguments: dict[str, Any]) -> None:
        if name == "ask":
            content = arguments.get("content", {"type": "text", "text": "apart: ?"})
            for i in range(arguments.get("times", 1)):
                self.open[f"{number}.{i}"] = number
                params = {"messages": [{"role": "user", "content": content}], "maxTokens": 1000}
                self.send(id=f"{number}.{i}", method="sampling/createMessage", params=params)
            for held in self.held:
                self.say(held, "held")
        elif name == "hold":
            self.held.append(number)
        else:
            self.listening.append(number)

    def hear(self, message: dict[str, Any]) -> None:
        call = self.open.pop(message["id"])
        self.answers.append(message["error"]["message"] if "error" in message else message["result"]["content"]["text"])
        if call not in self.open.values():
            self.say(call, "; ".join(self.answers))

    def take(self, message: dict[str, Any]) -> None:
        match message.get("method"):
            case None:
                self.hear(message)
            case "initialize":
                self.send(id=message["id"], result=_GREETING)
            case "tools/list":
                self.send(id=message["id"], result={"tools": _TOOLS})
            case "tools/call":
                self.call(message["id"], message["params"]["name"], message["params"].get("arguments") or {})
            case "ping":
                self.send(id=message["id"], result={})
            case _ if "id" in message:
                self.send(id=message["id"], error={"code": -32601, "message": "Method not found"})
        if not self.open:
            for call in self.listening:
                self.say(call, "; ".join(self.answers))
            self.listening.clear()


if __name__ == "__main__":
    server = Server()
    for line in sys.stdin:
        server.take(json.loads(line))
