"""Reads a command line against a snapshot: its values, and every problem in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from pydantic import JsonValue

from .flexible import rewrite
from .known import Known
from .options import Option, Table
from .problems import Problem, listed, nearest, printable
from .values import convert
from .words import Reading, Use, read_argparse, read_click

__all__ = ["Outcome", "examine"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command line says."""

    values: Mapping[str, JsonValue]
    given: frozenset[str]
    problems: tuple[Problem, ...]


def examine(table: Table, known: Known, words: Sequence[str]) -> Outcome:
    """Reads words as the engine's own parser does, but goes on after what is wrong."""
    reading = _read(table, words)
    named = f"{table.engine} {table.version}"
    problems = [_explained(p, known, named) for p in reading.problems]
    values: dict[str, JsonValue] = {option.dest: option.default for option in reversed(table.options)}
    for use in reading.uses:
        problems += _apply(use, values)
    given = frozenset(use.option.dest for use in reading.uses)
    problems += [p for use in reading.uses for p in _named(use, known, table)]
    problems += _registered(reading.uses, values, given, named) + _duplicated(reading.uses)
    problems += _missing(table, known, reading, given)
    problems = [replace(problem, text=printable(problem.text)) for problem in problems]
    return Outcome(values, given, tuple(sorted(problems, key=partial(_place, words))))


def _read(table: Table, words: Sequence[str]) -> Reading:
    flags = {flag: option for option in table.options for flag in option.flags}
    positionals = [option for option in table.options if not option.flags]
    if table.parser == "click":
        return read_click(words, flags, positionals)
    if table.parser == "argparse":
        return read_argparse(words, flags, positionals)
    first = Reading()
    second = read_argparse(rewrite(words, first), flags, positionals)
    return Reading(second.uses, first.problems + second.problems)


def _place(words: Sequence[str], problem: Problem) -> int:
    """Where a problem's flag stands, so that problems come in the order of the command line; what is missing comes last."""
    plain = problem.flag.replace("_", "-")
    return next((i for i, word in enumerate(words) if word.replace("_", "-").startswith(plain)), len(words))


def _explained(problem: Problem, known: Known, named: str) -> Problem:
    """An unknown flag that the engine once had names its successor."""
    if problem.kind not in ("unknown", "ambiguous") or (change := known.removed.get(problem.flag)) is None:
        return replace(problem, text=f"{named}: {problem.text}")
    told = f"use {change.successor} instead" if change.successor else "leave it out"
    text = f"{named}: {problem.flag} was removed; {told}."
    return replace(problem, kind="removed", text=text, successor=change.successor)


def _apply(use: Use, values: dict[str, JsonValue]) -> list[Problem]:
    """Sets the value of an option, as its argparse action does."""
    option, dest = use.option, use.option.dest
    try:
        found = _converted(use)
    except ValueError as error:
        return [Problem(severity="error", kind="mistyped", flag=use.written, text=f"{use.flag or option.dest} {error}.")]
    match option.action:
        case "true":
            values[dest] = True
        case "false":
            values[dest] = False
        case "bool":
            values[dest] = use.flag not in option.off
        case "const":
            values[dest] = option.const
        case "append":
            before = values[dest]
            values[dest] = [*(before if isinstance(before, list) else []), found]
        case "nothing" | "help":
            pass
        case _:
            values[dest] = found
    return []


def _converted(use: Use) -> JsonValue:
    """The value of an option's words.

    Raises:
        ValueError: what is wrong with them, in words that follow the flag.
    """
    option = use.option
    if option.type is None:
        return None
    single = option.nargs in (None, "?")
    if single and not use.words:
        return option.const
    found = [_one(option, word) for word in use.words]
    return found[0] if single else found


def _one(option: Option, word: str) -> JsonValue:
    try:
        value = convert(option.type or "str", word)
    except ValueError as error:
        raise ValueError(f"must be {error}, not {word!r}") from error
    if option.choices is not None and value not in option.choices:
        near = nearest(word, [str(c) for c in option.choices], 1)
        meant = f" (perhaps {near[0]})" if near else ""
        raise ValueError(f"must be one of {listed(option.choices)}, not {word!r}{meant}")
    if option.keys and isinstance(value, dict) and (unknown := sorted(set(value) - set(option.keys))):
        raise ValueError(f"has no key {unknown[0]!r}; its keys are {listed(option.keys)}")
    if option.action in ("lora-json", "lora-pairs"):
        return _lora(option.action, word)
    return value


def _lora(form: str, word: str) -> JsonValue:
    """A LoRA adapter: `name=path` or JSON, whose keys the two engines name differently."""
    text = word.strip()
    if form == "lora-pairs" and "=" in word and "," not in word:
        name, _, path = word.partition("=")
        return {"name": name, "path": path}
    if form == "lora-json" and not (text.startswith("{") and text.endswith("}")):
        return text
    value = convert("json-object", text)
    keys = {"lora_name", "lora_path"} if form == "lora-json" else {"name", "path"}
    if not isinstance(value, dict) or not keys <= set(value):
        raise ValueError(f"must have the keys {listed(sorted(keys))}")
    return value


def _named(use: Use, known: Known, table: Table) -> list[Problem]:
    """What is to be said of a flag because of its name alone."""
    option, told = use.option, partial(Problem, flag=use.written)
    if option.action == "help":
        text = f"{use.flag} prints the engine's help and starts nothing; leave it out."
        return [told(severity="error", kind="help", text=text)]
    successor = option.successor
    gone = known.removed.get(use.written) if use.written != use.flag else None  # an old flag that begins as a new one does
    if (change := gone or known.older.get(use.flag)) and change.successor:
        successor = change.successor
    instead = f"; use {successor} instead" if successor else ""
    if option.refused:
        text = f"{table.engine} {table.version} takes {use.flag} no more{instead}."
        return [told(severity="error", kind="removed", text=text, successor=successor)]
    if option.deprecated or change:
        text = f"{use.flag} is deprecated{instead}."
        return [told(severity="warning", kind="deprecated", text=text, successor=successor)]
    if use.option.flags and use.written != use.flag:
        text = f"{use.written} is short for {use.flag} only as long as no other flag begins so; write {use.flag}."
        return [told(severity="warning", kind="abbreviated", text=text, successor=use.flag)]
    return []


def _registered(uses: Sequence[Use], values: Mapping[str, JsonValue], given: frozenset[str], named: str) -> list[Problem]:
    """Names that the parser lets pass and the engine then does not know. A plugin may bring names of its own."""
    plugins = {"tool_call_parser": "tool_parser_plugin", "reasoning_parser": "reasoning_parser_plugin"}
    found: list[Problem] = []
    for use in uses:
        option, value = use.option, values[use.option.dest]
        if not option.registered or not value or value in option.registered or plugins.get(option.dest) in given:
            continue
        near = nearest(str(value), option.registered, 1)
        text = f"{named} has no {use.flag} {value}; it has {listed(near or option.registered)}."
        successor = f"{use.flag} {near[0]}" if near else None
        found.append(Problem(severity="error", kind="mistyped", flag=use.written, text=text, successor=successor))
    return found


def _duplicated(uses: Sequence[Use]) -> list[Problem]:
    found: list[Problem] = []
    last: dict[str, Use] = {}
    for use in uses:
        if (before := last.get(use.option.dest)) and use.option.action != "append":
            text = f"{use.flag} is given again after {before.flag}; the engine takes only the last."
            found.append(Problem(severity="warning", kind="duplicated", flag=use.written, text=text))
        last[use.option.dest] = use
    return found


def _missing(table: Table, known: Known, reading: Reading, given: frozenset[str]) -> list[Problem]:
    tell = partial(Problem, severity="error", kind="missing")
    absent = [o for o in table.options if o.dest not in given and (o.required or _bare(o))]
    found = [tell(flag=o.name, text=f"{table.engine} {table.version} needs {o.name}.") for o in absent]
    on = {use.option.name for use in reading.uses if use.flag not in use.option.off}
    for flag, other in known.needs.items():
        if flag in on and other not in on:
            found.append(tell(flag=flag, text=f"{flag} needs {other} beside it.", successor=f"{flag} {other} <value>"))
    return found


def _bare(option: Option) -> bool:
    """A positional argument that must be there."""
    return not option.flags and option.nargs is None
