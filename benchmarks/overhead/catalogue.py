"""The drivers by name: where each one is, what it imports, and what a peer's environment needs."""

import ast
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
FLOOR = "bare_aiohttp"
OWN = "kimi_agent"


@dataclass(frozen=True, slots=True)
class Driver:
    """A library under measurement.

    Attributes:
        name: on the command line.
        title: in the report.
        source: `module:function` of its `build`.
        requirements: what pip installs for it; empty: this project's own environment has it.
        versions: distributions whose versions are told in the report.
    """

    name: str
    title: str
    source: str
    requirements: tuple[str, ...] = ()
    versions: tuple[str, ...] = ()

    @property
    def imports(self) -> str:
        """`IMPORT` of its file, which is read and not imported: a peer's own interpreter has to do that."""
        tree = ast.parse((ROOT / (self.source.partition(":")[0].replace(".", "/") + ".py")).read_text(encoding="utf-8"))
        for node in tree.body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "IMPORT":
                return str(ast.literal_eval(node.value))
        raise ValueError(f"{self.source} has no IMPORT")


def _peer(name: str, title: str, *requirements: str) -> Driver:
    versions = tuple(r.partition("[")[0] for r in requirements)
    return Driver(name, title, f"benchmarks.overhead.drivers.with_{name}:build", requirements, versions)


DRIVERS = {
    d.name: d
    for d in (
        Driver(FLOOR, "bare loop, aiohttp", "benchmarks.overhead.drivers.bare_aiohttp:build", versions=("aiohttp",)),
        Driver(OWN, "kimi-agent, events read", "benchmarks.peer_driver:build", versions=("kimi-agent", "pydantic")),
        Driver("kimi_agent_run", "kimi-agent, `run`", "benchmarks.peer_driver:build_unwatched"),
        Driver("official_client", "bare loop, openai", "benchmarks.overhead.drivers.official_client:build", versions=("openai",)),
        _peer("openai_agents", "openai-agents", "openai-agents"),
        _peer("pydantic_ai", "pydantic-ai", "pydantic-ai-slim[openai]"),
        _peer("langgraph", "langgraph", "langgraph", "langchain-openai"),
        _peer("strands", "strands", "strands-agents[openai]"),
        _peer("agno", "agno", "agno", "openai"),
        _peer("smolagents", "smolagents", "smolagents[openai]"),
        _peer("kosong", "kosong", "kosong"),
    )
}
HOUSE = tuple(d.name for d in DRIVERS.values() if not d.requirements)
PEERS = tuple(d.name for d in DRIVERS.values() if d.requirements)
HEAVY = frozenset({"official_client", *PEERS})
