"""What to pack for a trip: a typed answer, checked, from two tools, one of which needs a person's word.

python examples/packing.py "Three days in Beijing and Shanghai"    # the embedded model manages simple trips only
"""

import sys
from dataclasses import dataclass

from pydantic import BaseModel, Field
from weather import get_weather

from kimi_agent import Agent, ModelRetry, RunContext, RunResult, tool


class PackingList(BaseModel):
    """What to take along."""

    cities: list[str] = Field(min_length=1)
    items: list[str] = Field(min_length=1, max_length=12)
    umbrella: bool


@dataclass
class Wardrobe:
    """What the traveller owns, and what was ordered for the trip."""

    owned: set[str]
    ordered: list[str]


@tool(needs_approval=True)
def order(ctx: RunContext[Wardrobe], item: str) -> str:
    """Orders an item that the traveller does not own.

    Args:
        item: What to buy, one piece.
    """
    ctx.deps.ordered.append(item)
    return f"{item} will be here tomorrow"


def owned_or_ordered(ctx: RunContext[Wardrobe], packing: PackingList) -> PackingList:
    """Nothing is packed that is not there."""
    missing = [i for i in packing.items if i not in ctx.deps.owned and i not in ctx.deps.ordered]
    if missing:
        raise ModelRetry(f"Not in the house: {', '.join(missing)}. Order it, or leave it out.")
    return packing


def what_there_is(ctx: RunContext[Wardrobe]) -> str:
    """What the model must know of the wardrobe, said anew in each turn."""
    return f"The traveller owns only: {', '.join(sorted(ctx.deps.owned.union(ctx.deps.ordered)))}."


agent = Agent(
    tools=[get_weather, order],
    output=PackingList,
    output_validators=[owned_or_ordered],
    instructions=["You pack suitcases. Look at the weather first.", what_there_is],
)


def ask(result: RunResult[PackingList], wardrobe: Wardrobe) -> RunResult[PackingList]:
    """Asks at the terminal about calls that wait, until none does."""
    while result.pending:
        decisions = {call.id: input(f"{call.name}{call.arguments}? [y/n] ") == "y" for call in result.pending}
        result = agent.resume_sync(result, decisions=decisions, deps=wardrobe)
    return result


def main() -> None:
    """Packs for the trip that the command line names."""
    wardrobe = Wardrobe(owned={"T-shirt", "coat", "shoes"}, ordered=[])
    result = ask(agent.run_sync(" ".join(sys.argv[1:]) or "Two days in Beijing", deps=wardrobe), wardrobe)
    print(result.output.model_dump_json(indent=2) if result.has_output else result.stop_reason)


if __name__ == "__main__":
    main()
