"""Very many tools: those that may wait are left out of the request until the model has searched for them.

What is loaded is what the conversation says: the results of searches, and the calls in it. There is no other state, so it is the
same in a run that is resumed, in another process too. See docs/tool-search.md.
"""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property, lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeAlias

from kimi_agent.errors import ToolDefinitionError
from kimi_agent.messages import AssistantMessage, Message, ToolMessage
from kimi_agent.tooling.tool import Tool, tool

if TYPE_CHECKING:
    from kimi_agent.tooling.ranking import Ranking

AnyTool: TypeAlias = Tool[..., Any]
MOST_LOADED = 30
_MOST_FOUND = 20
NAMES = ("search_tools", "find_tools", "search_more_tools", "find_more_tools")
_MOST_GROUPS, _LEAST_GROUP = 100, 3
_LONGEST_DESCRIPTION, _LONGEST_PARAMETERS = 300, 300  # characters
_LONGEST_READ = 4_000  # characters of a description, which a stranger may have written
_LEAST_SCORE = 0.25  # of the best one's
_KEPT = 8  # catalogues: an agent whose runs have filters of their own has several
_PARTS = re.compile(r"[_.\-]+")
_SPACE = re.compile(r"[^\w.$-]+")
_FOUND = re.compile(r'^\{"name": "([^"]+)"', re.MULTILINE)
_DESCRIPTION = (
    "Finds tools by what they do, and loads them so that you can call them. {count} tools are there that you are not told of "
    "before you have searched for them: {groups}. Search before you say that something cannot be done."
)


class ToolSearch:
    """Which tools of a turn the model is told of."""

    def __init__(self, above: int | None) -> None:
        """`above`: with so many tools all are told; None: always."""
        self._above = above
        self._catalogue = lru_cache(maxsize=_KEPT)(Catalogue)

    def catalogue(self, tools: Mapping[str, AnyTool], taken: Collection[str] = ()) -> "Catalogue | None":
        """What must be searched, of these tools; None where all can be told. `taken`: names that others have."""
        if self._above is None or len(tools) <= self._above:
            return None
        deferred = tuple(t for t in tools.values() if t.rules.deferrable)
        name = next((n for n in NAMES if n not in tools and n not in taken), None)
        return self._catalogue(deferred, name) if deferred and name is not None else None


class Catalogue:
    """Tools that the model finds by a search.

    Attributes:
        tool: the search, as a tool.
    """

    def __init__(self, tools: tuple[AnyTool, ...], name: str) -> None:
        self._tools = {t.name: t for t in tools}
        self._groups = _groups(tools)
        self.tool: AnyTool = tool(
            self._search,
            name=name,
            description=_DESCRIPTION.format(count=len(tools), groups=self._groups),
            idempotent=True,
            max_result_chars=1_000_000,  # bounded here: names that were cut off would not be loaded
        )

    def offered(self, tools: Mapping[str, AnyTool], messages: Iterable[Message], always: str | None) -> dict[str, AnyTool]:
        """Those of the tools that the model is told of: what cannot wait, the search, and what is loaded, in the order of its
        loading, so that a request begins as the one before did. `always`: the name of a tool that is loaded in any case."""
        found: dict[str, AnyTool] = {name: each for name, each in tools.items() if name not in self._tools}
        found[self.tool.name] = self.tool
        return found | {name: self._tools[name] for name in self._loaded(messages, always)}

    def find(self, query: str, limit: int) -> list[AnyTool]:
        """The tools that fit best; those that the query names come first."""
        ranked = self._ranking.search(query)
        least = ranked[0][1] * _LEAST_SCORE if ranked else 0.0
        every = tuple(self._tools.values())
        order = dict.fromkeys([*self._named(query), *(every[i] for i, score in ranked if score >= least)])
        return list(islice((each for each in order if each.usable), limit))

    def _named(self, query: str) -> Iterable[AnyTool]:
        """A word that is one of many names, such as `search`, names a tool only where it is all that is asked."""
        from kimi_agent.tooling.ranking import words

        whole = query.strip()
        for name in [whole, *(word for word in _SPACE.split(whole) if len(words(word)) > 1)]:
            yield from self._by_spelling.get(name.casefold(), ())

    def _search(self, query: str, limit: int = 5) -> str:
        """Finds tools.

        Args:
            query: A few words that say what the tool does, or its name. English words find most.
            limit: How many tools to load, at most 20.
        """
        found = self.find(query, min(max(limit, 1), _MOST_FOUND))
        if found:
            return "\n".join([*map(_told, found), "They are loaded: call them as any other tool."])
        return (
            f"No tool fits {query[:200]!r}. Try other words: what the tool does, or what it works on; English words find most, and "
            f"a group's name finds what is in it. Groups: {self._groups}."
        )

    def _loaded(self, messages: Iterable[Message], always: str | None) -> list[str]:
        """The most recent ones, in the order of their loading."""
        latest: dict[str, None] = {}
        first: dict[str, None] = {}
        for name in [*_mentioned(messages), *([always] if always else [])]:
            if name in self._tools:
                first[name] = None
                latest.pop(name, None)
                latest[name] = None
        kept = set(list(latest)[-MOST_LOADED:])
        return [name for name in first if name in kept]

    @cached_property
    def _ranking(self) -> "Ranking":
        from kimi_agent.tooling.ranking import Ranking  # its expressions take as long to compile as the rest of this room

        return Ranking(map(_parts, self._tools.values()))

    @cached_property
    def _by_spelling(self) -> dict[str, list[AnyTool]]:
        found: dict[str, list[AnyTool]] = defaultdict(list)
        for each in self._tools.values():
            qualified = each.qualified or each.name
            for spelling in {each.name.casefold(), qualified.casefold(), qualified.rpartition("__")[2].casefold()}:
                found[spelling].append(each)
        return found


def _groups(tools: Collection[AnyTool]) -> str:
    """`github (26), files (11)`, largest first: servers, and what names begin with where there is no server."""
    servers = Counter(server for each in tools if (server := _server(each)))
    stems = Counter(_PARTS.split(each.name.lstrip("_$"))[0] for each in tools if not _server(each))
    largest = (servers + Counter({stem: count for stem, count in stems.items() if count >= _LEAST_GROUP})).most_common(_MOST_GROUPS)
    others = len(tools) - sum(count for _, count in largest)
    return ", ".join([*(f"{group} ({count})" for group, count in largest), *([f"others ({others})"] if others else [])])


def _server(each: AnyTool) -> str:
    """Of `github__search`, `github`; "" where the tool has no such name."""
    server, found, _ = (each.qualified or "").partition("__")
    return server if found else ""


def _mentioned(messages: Iterable[Message]) -> Iterable[str]:
    for message in messages:
        if isinstance(message, AssistantMessage):
            yield from (call.name for call in message.tool_calls)
        elif isinstance(message, ToolMessage) and message.name in NAMES and not message.is_error:
            yield from _FOUND.findall(message.text)


def _told(each: AnyTool) -> str:
    parameters = each.parameters
    required: Sequence[str] = parameters.get("required", ())
    names = ", ".join(name if name in required else f"{name}?" for name in parameters.get("properties", ()))
    told = {
        "name": each.name,
        "description": _short(" ".join(each.description.split()), _LONGEST_DESCRIPTION),
        "parameters": _short(names, _LONGEST_PARAMETERS),
    }
    return json.dumps(told, ensure_ascii=False)


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 2]} …"


def _parts(each: AnyTool) -> Iterable[tuple[str, float]]:
    yield each.name, 3.0
    yield _server(each) if each.qualified != each.name else "", 2.0
    yield str(getattr(each, "title", None) or ""), 2.0
    with suppress(ToolDefinitionError):  # a bad signature
        yield each.description[:_LONGEST_READ], 1.0
        yield " ".join(each.parameter_names), 1.0
