"""Plays a task against an engine: draws its values, runs its tools, and judges the whole turn.

A task is data (see `embedded_tasks.py`). `$x` in a request stands for a value that is drawn anew per seed; a tool's
result is drawn per call. A turn is right when exactly the expected calls were made (in any order), with the expected
arguments and no unasked ones, and the answer carries the expected values of their results.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

JsonObject = dict[str, Any]
MAX_STEPS = 5


class ChatEngine(Protocol):
    """What an engine must do here."""

    def chat(self, body: JsonObject) -> Iterable[JsonObject]: ...


@dataclass(slots=True)
class Answer:
    """A drained stream."""

    text: str = ""
    calls: list[JsonObject] = field(default_factory=list[JsonObject])
    finish: str = ""
    usage: JsonObject = field(default_factory=JsonObject)


@dataclass(slots=True)
class Verdict:
    """How a task went: `calls` and `facts` per task, `why` for a reader."""

    calls: bool
    facts: bool
    why: str = ""

    @property
    def right(self) -> bool:
        return self.calls and self.facts


def drain(chunks: Iterable[JsonObject]) -> Answer:
    """Join a stream of chat.completion.chunk dicts."""
    answer = Answer()
    for chunk in chunks:
        answer.usage = chunk.get("usage") or answer.usage
        for choice in chunk["choices"]:
            delta = choice["delta"]
            answer.text += delta.get("content") or ""
            answer.finish = choice.get("finish_reason") or answer.finish
            for part in cast("list[JsonObject]", delta.get("tool_calls") or []):
                while len(answer.calls) <= part["index"]:
                    answer.calls.append({"id": "", "type": "function", "function": {"name": "", "arguments": ""}})
                call = answer.calls[int(part["index"])]
                function = cast(JsonObject, part.get("function") or {})
                call["id"] = part.get("id") or call["id"]
                call["function"]["name"] += function.get("name") or ""
                call["function"]["arguments"] += function.get("arguments") or ""
    return answer


def draw(spec: object, rng: random.Random) -> Any:
    """A value: a list is a choice, a pair is a range (whole or to two decimals), `@id` and `@code` are fresh names."""
    if isinstance(spec, list):
        return rng.choice(cast("list[Any]", spec))
    if isinstance(spec, tuple):
        low, high = cast("tuple[Any, Any]", spec)
        return rng.randint(low, high) if isinstance(low, int) else round(rng.uniform(low, high), 2)
    if spec == "@code":
        return "".join(rng.choices("ABCDEFGHKLMNPRSTUVWXYZ", k=2)) + f"-{rng.randint(100, 999)}"
    if spec == "@id":
        return rng.randint(1000, 99999)
    if isinstance(spec, dict):
        return {key: draw(value, rng) for key, value in cast(JsonObject, spec).items()}
    return cast(Any, spec)


def fill(value: Any, names: Mapping[str, Any]) -> Any:
    """Put drawn values in the place of `$name`; a text that is one `$name` becomes the value itself."""
    if isinstance(value, str):
        if value[:1] == "$" and value[1:] in names:
            return names[value[1:]]
        return re.sub(r"\$([a-z_]+)", lambda m: str(names.get(m[1], m[0])), value)
    if isinstance(value, list):
        return [fill(v, names) for v in cast("list[Any]", value)]
    if isinstance(value, dict):
        return {k: fill(v, names) for k, v in cast(JsonObject, value).items()}
    return value


def same(wanted: Any, got: Any) -> bool:
    """Equal as a user would say. A list of wanted values means any of them (a list in a list is a list)."""
    if wanted == "*":  # free text: anything
        return True
    if isinstance(wanted, list):
        choices = cast("list[Any]", wanted)
        if isinstance(got, list):
            lists = [cast("list[Any]", c) for c in choices if isinstance(c, list)] or [choices]
            items = cast("list[Any]", got)
            return any(len(c) == len(items) and all(map(same, c, items)) for c in lists)
        return any(same(w, got) for w in choices)
    if isinstance(wanted, dict) and isinstance(got, dict):
        members, made = cast(JsonObject, wanted), cast(JsonObject, got)
        return all(same(v, made.get(k)) for k, v in members.items()) and set(made) <= set(members)
    if isinstance(wanted, bool) or isinstance(got, bool):
        return wanted is got
    if isinstance(wanted, int | float) and isinstance(got, int | float):
        return abs(wanted - got) < 1e-6
    left, right = _plain(str(cast(object, wanted))), _plain(str(cast(object, got)))
    return left == right or left.removesuffix("s") == right.removesuffix("s")


def _plain(text: str) -> str:
    return re.sub(r"[\s\-_.,!?。，！？《》\"'“”]", "", text).casefold()


def carries(text: str, value: Any, words: Mapping[str, list[str]]) -> bool:
    """Whether an answer says a value: a number in any usual spelling, a word or its translation."""
    if isinstance(value, bool):
        return True
    if isinstance(value, int | float):
        plain = re.sub(r"(?<=\d)[,，](?=\d{3})", "", text)
        found = [float(n) for n in re.findall(r"\d+(?:\.\d+)?", plain)]
        return any(abs(n - abs(value)) < 1e-9 for n in found)
    return any(_plain(w) in _plain(text) for w in [str(value), *words.get(str(value), [])])


class Play:
    """One task under way."""

    def __init__(self, task: JsonObject, tools: Mapping[str, JsonObject], words: Mapping[str, list[str]], seed: int):
        self.rng = random.Random(f"{seed}/{task['id']}")
        self.task, self.tools, self.words = task, tools, words
        self.names: dict[str, Any] = {k: draw(v, self.rng) for k, v in task.get("vars", {}).items()}
        self.messages: list[JsonObject] = []
        if task.get("system"):
            self.messages.append({"role": "system", "content": task["system"]})
        self.transcript: list[str] = []

    def run(self, engine: ChatEngine) -> Verdict:
        """Play every turn; the first wrong one decides."""
        for turn in self.task["turns"]:
            verdict = self._turn(engine, turn)
            if not verdict.right:
                return verdict
        return Verdict(True, True)

    def _turn(self, engine: ChatEngine, turn: JsonObject) -> Verdict:
        self.messages.append({"role": "user", "content": fill(turn["say"], self.names)})
        self.transcript.append(f"> {self.messages[-1]['content']}")
        made: list[tuple[str, JsonObject]] = []
        answer = Answer()
        for _ in range(MAX_STEPS):
            schemas = [self.tools[name]["schema"] for name in self.task["tools"]]
            answer = drain(engine.chat({"messages": self.messages, "tools": schemas}))
            message: JsonObject = {"role": "assistant", "content": answer.text or None}
            if answer.calls:
                message["tool_calls"] = answer.calls
            self.messages.append(message)
            if not answer.calls:
                break
            made += [self._execute(call) for call in answer.calls]
        self.transcript.append(f"< {answer.text}")
        return self._judge(turn, made, answer.text)

    def _execute(self, call: JsonObject) -> tuple[str, JsonObject]:
        name, arguments = call["function"]["name"], json.loads(call["function"]["arguments"])
        spec = self.task.get("results", {}).get(name, self.tools[name]["result"])
        result = cast(JsonObject, fill(draw(spec, self.rng), {**self.names, **arguments}))
        self.names.update({f"{name}.{k}": v for k, v in result.items()})
        self.names.setdefault("results", []).append((name, result))
        content = json.dumps(result, ensure_ascii=False)
        self.messages.append({"role": "tool", "tool_call_id": call["id"], "content": content})
        self.transcript.append(f"  {name}({json.dumps(arguments, ensure_ascii=False)}) -> {content}")
        return name, arguments

    def _judge(self, turn: JsonObject, made: list[tuple[str, JsonObject]], text: str) -> Verdict:
        names = {k: v for k, v in self.names.items() if k != "results"}
        # `$tool.field` names a result's value, for calls that build on one another
        wanted = [(n, {k: names.get(str(v)[1:], fill(v, names)) for k, v in a.items()}) for n, a in turn["calls"]]
        left = list(made)
        for name, arguments in wanted:
            hit = next((m for m in left if m[0] == name and _fits(arguments, m[1])), None)
            if hit is None:
                return Verdict(False, False, f"wanted {name}{arguments}, made {made}")
            left.remove(hit)
        if left:
            return Verdict(False, False, f"unasked {left}")
        results = self.names.pop("results", [])
        missing = [
            (field, result[field])
            for name, field in (s.split(".") for s in turn.get("shows", []))
            for tool, result in results
            if tool == name and field in result and not carries(text, result[field], self.words)
        ]
        words = cast("list[str]", fill(turn.get("says", []), names))
        missing += [("says", w) for w in words if not any(_plain(x) in _plain(text) for x in w.split("|"))]
        if missing or not text.strip():
            return Verdict(True, False, f"answer lacks {missing}: {text!r}")
        return Verdict(True, True)


def _fits(wanted: JsonObject, got: JsonObject) -> bool:
    """`key?` is an argument that may be left out."""
    allowed = {k.rstrip("?"): v for k, v in wanted.items()}
    if any(k not in allowed for k in got):
        return False
    return all((k in got and same(allowed[k], got[k])) or (k + "?" in wanted and k not in got) for k in allowed)


def function(name: str, description: str, result: Any, required: str = "", /, **members: Any) -> JsonObject:
    """A tool: `required` are the first names of `members` that must be given; a member is a type or a whole schema."""
    properties: JsonObject = {k: {"type": v} if isinstance(v, str) else v for k, v in members.items()}
    parameters: JsonObject = {"type": "object", "properties": properties, "required": required.split()}
    schema: JsonObject = {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}
    return {"schema": schema, "result": result}
