"""What the chaos server answers where it behaves."""

import json
from typing import Any

from chaos import Chaos, Message, Wire
from chaos_lists import CALLS, listing


def answer(chaos: Chaos, wire: Wire, message: Message) -> None:
    """Answers one request."""
    method, params = message["method"], message.get("params") or {}
    if method == "initialize":
        version = chaos.options.get("version") or params.get("protocolVersion", "2025-11-25")
        chaos.result(wire, message, {"protocolVersion": version, "capabilities": _abilities(), "serverInfo": _INFO})
    elif method == "server/discover" and chaos.options.get("modern"):
        result = {"supportedVersions": ["2026-07-28"], "capabilities": _abilities(), "_meta": {_STAMP: _INFO}}
        chaos.result(wire, message, {**result, **_MODERN})
    elif method == "tools/list":
        chaos.result(wire, message, {**listing(chaos, params.get("cursor")), **_MODERN})
    elif method == "tools/call":
        _call(chaos, wire, message)
    elif method in ("ping", "logging/setLevel"):
        chaos.result(wire, message, {})
    elif method == "subscriptions/listen" and chaos.options.get("modern"):
        stamp = {"_meta": {"io.modelcontextprotocol/subscriptionId": message["id"]}}
        acknowledged = {**stamp, "notifications": {"toolsListChanged": True}}
        wire.send({"jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged", "params": acknowledged})
    else:
        chaos.error(wire, message, -32601, f"Method not found: {method}")


_INFO = {"name": "chaos", "version": "1.0"}
_STAMP = "io.modelcontextprotocol/serverInfo"
_MODERN = {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"}


def _abilities() -> Message:
    return {"tools": {"listChanged": True}, "logging": {}}


def _call(chaos: Chaos, wire: Wire, message: Message) -> None:
    """The effect, then the fault, unless it was done for this label before."""
    name, arguments = message["params"]["name"], message["params"].get("arguments") or {}
    label = str(arguments.get("label", ""))
    known = [each for each in chaos.record.events("effect") if each["label"] == label]
    chaos.record.add("effect", label=label, name=name)
    what = arguments.get("what", "ok")
    if name in CALLS and what != "ok" and (not known or arguments.get("again")):
        chaos.do(what, wire, message)
    else:
        done(chaos, wire, message)


def done(chaos: Chaos, wire: Wire, message: Message, **more: Any) -> None:
    """The result of a call that went well."""
    name, arguments = message["params"]["name"], message["params"].get("arguments") or {}
    text = f"{name} did {arguments.get('label', json.dumps(arguments)[:200])}"
    result: Message = {"content": [{"type": "text", "text": text}], "isError": False, "resultType": "complete", **more}
    if name == "structured" and "structuredContent" not in result:
        result["structuredContent"] = {"count": 1}
    chaos.result(wire, message, result)
