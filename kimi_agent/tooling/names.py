"""Which name each tool goes by: its own, or its qualified one where another tool has that too."""

import hashlib
import re
from collections import Counter
from collections.abc import Collection, Iterable
from typing import Any, TypeAlias

from kimi_agent.errors import ToolDefinitionError
from kimi_agent.tooling.tool import NAME, Tool

AnyTool: TypeAlias = Tool[..., Any]
_LONGEST = 64
_HASH = 8  # digits
_ILLEGAL = re.compile(r"[^a-zA-Z0-9_.-]+")


def fitted(name: str) -> str:
    """The name where endpoints take it; else what is legal of it, with 8 digits of its SHA-256, at most 64 characters. The same for
    the same name."""
    if NAME.fullmatch(name):
        return name
    stem = _ILLEGAL.sub("_", name)
    if not (stem[:1].isalpha() or stem[:1] == "_"):
        stem = f"tool_{stem}"
    mark = "_" + hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:_HASH]
    return stem[: _LONGEST - len(mark)] + mark


def distinct(tools: Iterable[AnyTool], reserved: Collection[str], held: dict[str, str]) -> dict[str, AnyTool]:
    """The tools by the names that they go by, in order.

    Where several have one name, or it is reserved, each that has a qualified name goes by that, all of them alike; one that has
    none keeps the bare name. Where the qualified name is taken too, `_2`, `_3` … is added, in order. So the bare name belongs to no
    server's tool, and a model that goes on using it is told the nearest names. A bare name that one server's tool has had is never
    another's in the same run: see `held`.

    What can still happen: in a run that is taken up again, or with the messages of another, nobody knows whose a name was. And of
    tools whose qualified names are the same, the `_2` of one turn is the first of a later one where the first has vanished: give
    servers names of their own.

    Args:
        tools: the same one twice is one.
        reserved: names that are taken already.
        held: by bare name, the qualified name of the tool that has had it, or "" where several have; is written to.

    Raises ToolDefinitionError if two tools without a qualified name have one name.
    """
    every = list(dict.fromkeys(tools))
    times = Counter(each.name for each in every)
    taken, last = set(times), dict[str, int]()
    found: dict[str, AnyTool] = {}
    for each in every:
        named = each
        if times[each.name] > 1:
            held[each.name] = ""
        if each.qualified is not None and (each.name in reserved or not holds(each, held)):
            named = each.renamed(_free(each.qualified, taken, reserved, last))
            taken.add(named.name)
        if found.setdefault(named.name, named) is not named:
            raise ToolDefinitionError(f"two tools are named {named.name!r}: rename one, or prefix its toolset")
    return found


def holds(each: AnyTool, held: dict[str, str]) -> bool:
    """Whether the bare name may be this tool's: nobody has had it, or this one has. Now it has."""
    return each.qualified is None or held.setdefault(each.name, each.qualified) == each.qualified


def _free(qualified: str, taken: Collection[str], reserved: Collection[str], last: dict[str, int]) -> str:
    """`last`: the number that was given last, by qualified name."""
    name, number = fitted(qualified), last.get(qualified, 1)
    while name in taken or name in reserved:
        number += 1
        name = fitted(f"{qualified}_{number}")
    last[qualified] = number
    return name
