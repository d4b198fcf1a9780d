"""The tools that the chaos server says it has: good ones, very many, and such as no model and no validator takes."""

import time
from typing import Any

from chaos import Chaos, Message

_ARGUMENTS = {
    "type": "object",
    "properties": {
        "what": {"type": "string"},
        "label": {"type": "string"},
        "size": {"type": "integer"},
        "again": {"type": "boolean"},
        "text": {"type": "string"},
    },
}
_COUNT = {"type": "object", "properties": {"count": {"type": "integer"}}, "required": ["count"]}
CALLS = ("do", "do_safely", "structured")


def listing(chaos: Chaos, cursor: str | None) -> Message:
    """The result of `tools/list`."""
    kind = chaos.options.get("list", "good")
    if chaos.well:
        kind = "good"
    if kind == "slow":
        time.sleep(chaos.size())
    if kind == "net":
        return {"tools": [*GOOD, _tool("net", {"type": "object", "properties": {"x": {"$ref": chaos.options["elsewhere"]}}})]}
    if kind in ("loop", "endless"):
        number = 0 if cursor is None or kind == "loop" else int(cursor)
        return {"tools": [_tool(f"page_{number}")] if kind == "endless" else GOOD, "nextCursor": str(number + 1)}
    if kind == "many":
        return _page(chaos, int(cursor or 0), 100)
    if kind == "growing":
        return {"tools": [*GOOD, *(_tool(f"late_{n}") for n in range(len(chaos.record.events("grow"))))]}
    return {"tools": _LISTS.get(kind, GOOD)}


def _page(chaos: Chaos, first: int, length: int) -> Message:
    last = min(first + length, chaos.size())
    page: Message = {"tools": [_tool(f"{chaos.options.get('prefix', 'tool')}_{n}") for n in range(first, last)]}
    return page if last >= chaos.size() else {**page, "nextCursor": str(last)}


def _tool(name: Any, schema: Any = None, **more: Any) -> Message:
    return {"name": name, "description": f"Does {name}.", "inputSchema": _ARGUMENTS if schema is None else schema, **more}


GOOD = [
    _tool("do"),
    _tool("do_safely", annotations={"idempotentHint": True, "readOnlyHint": True}),
    _tool("structured", outputSchema=_COUNT),
    _tool("echo"),
]

_NAMES = [
    "two words",
    "a/b/c",
    "x" * 200,
    "天气",
    "",
    "do",
    "do",
    ".hidden",
    "tab\there",
    "new\nline",
    "emoji 🙂",
    "UPPER",
    "upper",
]
_LOOP = {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}, "$defs": {"node": {"$ref": "#/$defs/node"}}}
_TREE = {"type": "object", "properties": {"child": {"$ref": "#"}}}
_DANGLING = {"type": "object", "properties": {"x": {"$ref": "#/$defs/none"}}}
_BIG = {"type": "object", "properties": {f"field_{n}": {"type": "string", "description": "d" * 90} for n in range(8000)}}
_DEEP: Message = {"type": "object"}
for _ in range(200):
    _DEEP = {"type": "object", "properties": {"x": _DEEP}}

_LISTS: dict[str, Any] = {
    "bad_names": [*GOOD, *map(_tool, _NAMES)],
    "bad_schemas": [
        *GOOD,
        _tool("no_type", {}),
        _tool("no_type_but_properties", {"properties": {"x": {"type": "string"}}}),
        _tool("loop", _LOOP),
        _tool("tree", _TREE),
        _tool("dangling", _DANGLING),
        _tool("big", _BIG),
        _tool("deep", _DEEP),
        _tool("bad_pattern", {"type": "object", "properties": {"x": {"type": "string", "pattern": "(["}}}),
        _tool("bad_type", {"type": "object", "properties": {"x": {"type": "text"}}}),
        _tool("bad_required", {"type": "object", "required": "x"}),
        _tool("null_properties", {"type": "object", "properties": None}),
        _tool("array", {"type": "array", "items": {"type": "string"}}),
        _tool("bad_output", outputSchema={"type": "object", "properties": {"x": {"type": "text"}}}),
    ],
    "odd_schemas": [*GOOD, _tool("true", True)],
    "text_schema": [*GOOD, _tool("text", "object")],
    "no_schema": [*GOOD, {"name": "no_schema"}],
    "no_name": [*GOOD, {"inputSchema": _ARGUMENTS}],
    "number_name": [*GOOD, _tool(7)],
    "null_tool": [*GOOD, None],
    "no_list": {"do": _ARGUMENTS},
    "null": None,
}
