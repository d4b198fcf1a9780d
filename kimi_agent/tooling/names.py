"""Which name each tool of a run goes by: its own, or its qualified one where its own would not do."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import Any, TypeAlias

from kimi_agent.errors import ToolDefinitionError
from kimi_agent.tooling.legal_names import legal_name
from kimi_agent.tooling.tool import Owner, Tool

AnyTool: TypeAlias = Tool[..., Any]
Holder: TypeAlias = "tuple[int, str] | str"  # the `id` of a tool's owner and its qualified name
_OWN, _NOBODY = "a function of one's own", "nobody"


class ToolNames:
    """Whose the names are, in one run. In each turn `given` gives the tools theirs:

    - A tool without a qualified name is one's own, and keeps the name that it has.
    - Any other goes by its own name, too, where it alone has it. Else by its qualified one; where several have one name, all of
      them do, and that name is nobody's: a model that goes on using it is told the nearest names.
    - It never goes by a name that looks like a qualified one of another owner: a tool `files__read` of the server `web` is
      `web__files__read` where there is a server `files`.
    - Of owners that have one name, the second has a number, in the order of the toolsets: `data__read`, `data_2__read`. Qualified
      names that are taken all the same get a number behind them.
    - A name that a tool has had is no other tool's in the same run, also where the first has vanished. Only a function of one's
      own, which has no other name, takes its name from a server's tool where it comes later.

    What can still happen: in a run that is taken up again, or with the messages of another, nobody knows whose a name was, except
    by what the tools are called now. And of tools without an owner whose qualified names are the same, the `_2` of one turn is the
    first of a later one where the first has vanished.
    """

    def __init__(self) -> None:
        self._holders: dict[str, Holder] = {}
        self._owners: list[Owner] = []  # held, so that the `id` of each stays its own
        self._numbers: dict[int, int] = {}
        self._labels: set[str] = set()
        self._asked: tuple[Sequence[AnyTool], Collection[str]] = ((), ())
        self._answered: dict[str, AnyTool] = {}

    def given(self, tools: Sequence[AnyTool], owners: Iterable[Owner] = (), reserved: Collection[str] = ()) -> dict[str, AnyTool]:
        """The tools by the names that they go by, in order; the same object each time.

        Args:
            tools: the same one twice is one.
            owners: in the order of their numbers, whether they have tools now or not.
            reserved: names that are taken already.

        Raises ToolDefinitionError if two tools without a qualified name have one name.
        """
        if self._asked != (tools, reserved):  # in most turns nothing has changed
            self._answered = self._given(tools, owners, reserved)
            self._asked = (tools, reserved)
        return dict(self._answered)

    def _given(self, tools: Sequence[AnyTool], owners: Iterable[Owner], reserved: Collection[str]) -> dict[str, AnyTool]:
        every = list(dict.fromkeys(tools))
        self._meet([*owners, *(each.owner for each in every if each.owner is not None)])
        every = [self._numbered(each) for each in every]
        short = self._short(every, reserved)
        used, last = {each.name for each in short}, dict[Holder, int]()
        found: dict[str, AnyTool] = {}
        for each in every:
            named = each if each in short else each.renamed(self._long(each, used, reserved, last))
            used.add(named.name)
            if found.setdefault(named.name, named) is not named:
                raise ToolDefinitionError(f"two tools are named {named.name!r}: rename one, or prefix its toolset")
        return found

    def keep(self, names: Iterable[str]) -> None:
        """These are names of functions of one's own."""
        self._asked = ((), ())
        self._holders |= dict.fromkeys(names, _OWN)

    def _meet(self, owners: Iterable[Owner]) -> None:
        new = {id(owner): owner for owner in owners if id(owner) not in self._numbers}
        self._owners += new.values()
        names = {owner.name for owner in self._owners} if new else set[str]()
        for key, owner in new.items():
            number, label = 1, owner.name
            while label in self._labels or (number > 1 and label in names):
                number += 1
                label = f"{owner.name}_{number}"
            self._labels.add(label)
            self._numbers[key] = number

    def _numbered(self, each: AnyTool) -> AnyTool:
        """With the number of its owner in its qualified name."""
        number = self._numbers.get(id(each.owner), 1)
        if each.qualified is None or number == 1:
            return each
        owner, separator, name = each.qualified.partition("__")
        return each.renamed(each.name, f"{owner}_{number}{separator}{name}")

    def _short(self, every: Iterable[AnyTool], reserved: Collection[str]) -> set[AnyTool]:
        """Those that go by their own names."""
        owners = self._labels | {_first(each.qualified) for each in every if each.qualified is not None}
        apt = [each for each in every if each.qualified is None or not _poses(each.name, each.qualified, owners)]
        times = Counter(each.name for each in apt)
        self._holders |= {name: _NOBODY for name, count in times.items() if count > 1}
        self.keep(each.name for each in apt if each.qualified is None)
        return {each for each in apt if each.qualified is None or (each.name not in reserved and self._holds(each.name, each))}

    def _long(self, each: AnyTool, used: Collection[str], reserved: Collection[str], last: dict[Holder, int]) -> str:
        """`last`: the number that was given last, by holder."""
        holder, qualified = _holder(each), each.qualified or each.name
        number = last.get(holder, 1)
        name = legal_name(qualified if number == 1 else f"{qualified}_{number}")
        while name in used or name in reserved or not self._holds(name, each):
            number += 1
            name = legal_name(f"{qualified}_{number}")
        last[holder] = number
        return name

    def _holds(self, name: str, each: AnyTool) -> bool:
        """Whether the name may be this tool's: nobody has had it, or this one has. Now it has."""
        holder = _holder(each)
        return self._holders.setdefault(name, holder) == holder


def _holder(each: AnyTool) -> Holder:
    return (0 if each.owner is None else id(each.owner), each.qualified or "")


def _first(name: str) -> str:
    """Of `files__read`, `files`."""
    return name.partition("__")[0]


def _poses(name: str, qualified: str, owners: Collection[str]) -> bool:
    """Whether a name looks as if the tool were of another of the owners."""
    return "__" in name and _first(name) != _first(qualified) and _first(name) in owners
