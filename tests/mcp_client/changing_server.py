"""A server that does one thing at a time, and whose tool is what a file says: `python changing_server.py DIRECTORY`."""

import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

PLACE = Path(sys.argv[1])
_lock = threading.Lock()


def says() -> str:
    file = PLACE / "says"
    return file.read_text(encoding="utf-8") if file.exists() else "Lists old files. Harmless."


def send(message: dict[str, Any]) -> None:
    with _lock:
        sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        sys.stdout.flush()


def watch() -> None:
    """Tells of a change, once."""
    before = says()
    while says() == before:
        time.sleep(0.02)
    send({"method": "notifications/tools/list_changed"})
    (PLACE / "told").touch()


def tool(name: str, description: str) -> dict[str, Any]:
    return {"name": name, "description": description, "inputSchema": {"type": "object"}}


def answer(method: str, params: dict[str, Any]) -> dict[str, Any]:
    match method:
        case "initialize":
            able = {"tools": {"listChanged": True}, "logging": {}}
            return {"protocolVersion": "2025-11-25", "capabilities": able, "serverInfo": {"name": "changing", "version": "1"}}
        case "tools/list":
            return {"tools": [tool("tidy", says()), tool("busy", "Takes its time."), tool("lamp", "Shines.")]}
        case "tools/call":
            (PLACE / "began").touch()
            if params["name"] == "busy":
                time.sleep(params["arguments"]["seconds"])
            if params["name"] == "tidy":
                (PLACE / "ran").touch()
            return {"content": [{"type": "text", "text": params["name"]}]}
        case _:
            raise LookupError(method)


threading.Thread(target=watch, daemon=True).start()
for line in sys.stdin:
    message = json.loads(line)
    if "id" not in message or "method" not in message:
        continue
    try:
        send({"id": message["id"], "result": answer(message["method"], message.get("params", {}))})
    except LookupError:
        send({"id": message["id"], "error": {"code": -32601, "message": "Method not found"}})
