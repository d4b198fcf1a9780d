"""A small MCP server on standard streams, on the standard library alone: `python mcp_child.py [how]`.

How it behaves: "" well; "dies" with a word on stderr; "silent" never answers; "deaf" outlives a closed stdin and SIGTERM; "odd" has
tools whose names and schemas no endpoint takes.
"""

import json
import os
import signal
import sys
import time
from typing import Any

TEXT = {"type": "string"}
TOOLS: list[dict[str, Any]] = [
    {"name": "echo", "description": "Says it again.", "annotations": {"readOnlyHint": True},
     "inputSchema": {"type": "object", "required": ["text"],
                     "properties": {"text": TEXT, "times": {"type": "integer", "default": 1}}}},
    {"name": "join", "description": "Joins words.",
     "inputSchema": {"type": "object", "properties": {"words": {"type": "array", "items": TEXT}}, "required": ["words"]},
     "outputSchema": {"type": "object", "properties": {"joined": TEXT}, "required": ["joined"]}},
    {"name": "work", "description": "Takes a while.", "inputSchema": {"type": "object"}},
    {"name": "fail", "description": "Cannot do it.", "inputSchema": {"type": "object"}},
    {"name": "look", "description": "Gives a picture.", "inputSchema": {"type": "object"}},
    {"name": "wait", "description": "Never ends.", "inputSchema": {"type": "object"}},
    {"name": "ask", "description": "Asks the user.", "inputSchema": {"type": "object"}},
    {"name": "environment", "description": "Tells a variable.",
     "inputSchema": {"type": "object", "properties": {"name": TEXT}, "required": ["name"]}},
]  # fmt: skip
ODD: list[dict[str, Any]] = [
    {"name": "do it/now", "description": "A name that endpoints refuse.", "inputSchema": {"type": "object"}},
    {"name": "mended", "description": "A schema that Moonshot refuses as it is.",
     "inputSchema": {"type": "object", "properties": {"x": {"description": "any"}, "y": {"oneOf": [TEXT, {"type": "null"}]}}}},
]  # fmt: skip
FORM = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "title": "Your name", "minLength": 2},
        "age": {"type": "integer", "minimum": 0},
        "colour": {"type": "string", "enum": ["red", "green"], "enumNames": ["Red", "Green"]},
        "agreed": {"type": "boolean", "default": True},
    },
    "required": ["name", "age"],
}
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="


def send(**message: Any) -> None:
    print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)


def text(said: str, **more: Any) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": said}], **more}


def work(params: dict[str, Any]) -> dict[str, Any]:
    token = params.get("_meta", {}).get("progressToken")
    for i in range(1, 4):
        if token is not None:
            send(
                method="notifications/progress", params={"progressToken": token, "progress": i, "total": 3, "message": f"part {i}"}
            )
    send(method="notifications/message", params={"level": "warning", "logger": "disk", "data": "nearly full"})
    return text("worked")


def ask() -> dict[str, Any]:
    send(id="q1", method="elicitation/create", params={"mode": "form", "message": "Who are you?\nReally?", "requestedSchema": FORM})
    for line in sys.stdin:
        answer = json.loads(line)
        if answer.get("id") == "q1":
            return text(json.dumps(answer.get("result") or answer.get("error")))
    raise SystemExit(0)


def call(params: dict[str, Any]) -> dict[str, Any]:
    arguments = params.get("arguments") or {}
    match params["name"]:
        case "echo":
            return text(" ".join([arguments["text"]] * arguments.get("times", 1)))
        case "join":
            joined = {"joined": "-".join(arguments["words"])}
            return text(json.dumps(joined), structuredContent=joined)
        case "work":
            return work(params)
        case "look":
            return {"content": [{"type": "image", "data": PIXEL, "mimeType": "image/png"}, {"type": "text", "text": "a pixel"}]}
        case "ask":
            return ask()
        case "environment":
            return text(os.environ.get(arguments["name"], "not set"))
        case "wait":
            time.sleep(1000)
            return text("")
        case _:
            return text("the disk is \x1b[31mfull", isError=True)


def answer(message: dict[str, Any], how: str) -> None:
    match message["method"]:
        case "initialize":
            told = {
                "protocolVersion": message["params"]["protocolVersion"],
                "capabilities": {"tools": {}, "logging": {}},
                "serverInfo": {"name": "child", "version": "1.2.3"},
                "instructions": "Use echo first.",
            }
            send(id=message["id"], result=told)
        case "tools/list":
            send(id=message["id"], result={"tools": TOOLS + (ODD if how == "odd" else [])})
        case "tools/call":
            send(id=message["id"], result=call(message["params"]))
        case "ping" | "logging/setLevel":
            send(id=message["id"], result={})
        case _:
            send(id=message["id"], error={"code": -32601, "message": "no such method"})


def main() -> None:
    how = sys.argv[1] if len(sys.argv) > 1 else ""
    if marker := os.environ.get("CHILD_PID_FILE"):
        with open(marker, "a", encoding="utf-8") as file:
            file.write(f"{os.getpid()}\n")
    if how == "dies":
        print("cannot open /etc/kimi: no such file", file=sys.stderr, flush=True)
        sys.exit(3)
    if how == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for line in sys.stdin:
        message = json.loads(line)
        if "method" in message and "id" in message and how != "silent":
            answer(message, how)
    if how == "deaf":
        time.sleep(1000)


if __name__ == "__main__":
    main()
