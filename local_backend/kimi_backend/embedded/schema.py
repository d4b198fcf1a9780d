"""JSON Schema made simple: references inlined, `allOf` merged, and the small questions the other modules ask."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

__all__ = ["JsonObject", "compact", "properties", "resolve", "split_keys", "type_text"]

JsonObject = dict[str, Any]
#: References may be recursive (a tree); beyond this depth a value is unconstrained by its schema.
MAX_DEPTH = 6


def resolve(schema: object, root: Mapping[str, Any] | None = None, depth: int = 0) -> JsonObject:
    """A copy of `schema` without `$ref` and `allOf`. Boolean schemas become `{}`; too deep a recursion becomes `{}`."""
    if not isinstance(schema, dict) or depth > MAX_DEPTH:
        return {}
    node = cast(JsonObject, schema)
    top: Mapping[str, Any] = node if root is None else root
    if isinstance(node.get("$ref"), str):
        merged = {**_lookup(top, cast(str, node["$ref"])), **{k: v for k, v in node.items() if k != "$ref"}}
        return resolve(merged, top, depth + 1)
    out = dict(node)
    for part in cast("list[Any]", out.pop("allOf", None) or []):
        out = _merge(out, resolve(part, top, depth + 1))
    for key in ("anyOf", "oneOf", "prefixItems"):
        if isinstance(out.get(key), list):
            out[key] = [resolve(item, top, depth) for item in cast("list[Any]", out[key])]
    for key in ("items", "additionalProperties"):
        if isinstance(out.get(key), dict):
            out[key] = resolve(out[key], top, depth)
    if isinstance(out.get("properties"), dict):
        members = cast(JsonObject, out["properties"])
        out["properties"] = {name: resolve(member, top, depth) for name, member in members.items()}
    out.pop("$defs", None)
    out.pop("definitions", None)
    return out


def _lookup(root: Mapping[str, Any], reference: str) -> JsonObject:
    node: Any = root
    for step in reference.removeprefix("#").strip("/").split("/"):
        key = step.replace("~1", "/").replace("~0", "~")
        if key:
            node = cast(JsonObject, node).get(key) if isinstance(node, dict) else None
    return cast(JsonObject, node) if isinstance(node, dict) else {}


def _merge(left: JsonObject, right: JsonObject) -> JsonObject:
    out = {**left, **right}
    if "properties" in left and "properties" in right:
        out["properties"] = {**left["properties"], **right["properties"]}
    if "required" in left and "required" in right:
        out["required"] = list(dict.fromkeys([*left["required"], *right["required"]]))
    return out


def properties(schema: JsonObject) -> dict[str, JsonObject]:
    """The members of an object schema, resolved."""
    members = schema.get("properties")
    return cast("dict[str, JsonObject]", members) if isinstance(members, dict) else {}


def split_keys(schema: JsonObject) -> tuple[list[str], list[str]]:
    """(required, optional) member names, each in the schema's order."""
    members = properties(schema)
    wanted = cast("list[str]", schema.get("required") or [])
    required = [*[k for k in members if k in wanted], *[k for k in wanted if k not in members]]
    return required, [k for k in members if k not in wanted]


def compact(value: object) -> str:
    """JSON as the model sees it everywhere: one line, `", "` and `": "`, text unescaped."""
    return json.dumps(value, ensure_ascii=False)


def type_text(schema: JsonObject, depth: int = 0) -> str:
    """A type in the short notation that code models know: `string`, `"a" | "b"`, `integer[]`, `{x: number, y?: …}`."""
    if "const" in schema:
        return compact(schema["const"])
    if isinstance(schema.get("enum"), list):
        values = cast("list[Any]", schema["enum"])
        return " | ".join(compact(v) for v in values[:24]) + (" | …" if len(values) > 24 else "")
    for key in ("anyOf", "oneOf"):
        if isinstance(schema.get(key), list):
            parts = [type_text(s, depth) for s in cast("list[JsonObject]", schema[key])]
            return " | ".join(dict.fromkeys(p for p in parts if p != "null")) or "null"
    kind = schema.get("type")
    if isinstance(kind, list):
        kinds = [k for k in cast("list[str]", kind) if k != "null"]
        return " | ".join(type_text({**schema, "type": k}, depth) for k in kinds) or "null"
    if kind == "array" or (kind is None and "items" in schema):
        item = type_text(cast(JsonObject, schema.get("items") or {}), depth + 1)
        return f"({item})[]" if " | " in item else f"{item}[]"
    if properties(schema) and depth < 4:
        return "{" + ", ".join(_member(schema, k, depth) for k in properties(schema)) + "}"
    return str(schema.get("format") or kind or "any") if kind == "string" else str(kind or "any")


def _member(schema: JsonObject, key: str, depth: int) -> str:
    optional = "" if key in cast("list[str]", schema.get("required") or []) else "?"
    return f"{key}{optional}: {type_text(properties(schema)[key], depth + 1)}"
