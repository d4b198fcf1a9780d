"""The table of docs/mcp-faults.md, measured: `python tests/mcp_client/chaos_table.py` prints it, `--write` puts it into the page.

Run it on a quiet machine. Each drill runs three times; what stands there is the slowest.
"""

import asyncio
import io
import logging
import re
import sys
import tempfile
import time
from pathlib import Path

from chaos_drill import chaos, run
from chaos_drills import AT_ONCE, DEATHS, GARBAGE, HANGS, HTTP, NOTICES, ODD_ANSWERS, Drill, turns

from kimi_agent import Agent, FunctionModel
from kimi_agent.models.base import ModelRequest

PAGE = Path(__file__).parents[2] / "docs" / "mcp-faults.md"
_TIMES = 3
_BEGIN, _END = "<!-- measured: begin -->", "<!-- measured: end -->"
_HEAD = "| the server | over | the model sees | within, s | measured, s |\n|---|---|---|---|---|\n"
_GROUPS = {
    "It dies": DEATHS,
    "It hangs": HANGS,
    "It prints what is no message": GARBAGE,
    "It answers oddly": ODD_ANSWERS,
    "It says and asks what it should not": NOTICES,
    "Over HTTP": HTTP,
}


def _seen(text: str) -> str:
    """The result, short, with what differs from run to run left out."""
    text = re.sub(r"127\.0\.0\.1:\d+", "HOST", " ".join(text.split()))
    short = text if len(text) <= 150 else f"{text[:90]} … {text[-50:]}"
    return f"`{short.replace('|', '¦').replace('`', chr(39))}`"


async def _once(drill: Drill, how: str) -> tuple[str, float]:
    with tempfile.TemporaryDirectory() as directory:
        async with chaos(Path(directory), *drill.options, how=how, **drill.client) as one:
            before, faulty = turns(drill)
            ran = await run(one.server, *before, faulty)
            return ran.texts[-1], ran.seconds[-1]


async def _row(drill: Drill) -> str:
    text, seconds = "", 0.0
    for how in drill.how:
        for _ in range(_TIMES):
            text, took = await _once(drill, how)
            seconds = max(seconds, took)
    return f"| {drill.told} | {', '.join(drill.how)} | {_seen(text)} | {drill.promised:g} | {_number(seconds, drill.promised)} |\n"


def _number(seconds: float, promised: float) -> str:
    return f"{seconds:.2f}" if seconds <= promised else f"**{seconds:.2f}**"


_STARTS = [  # what it does, its options, over, the client's options, seconds that are promised
    ("ends while it starts", ["on.start=exit1"], "stdio", {}, 2 * AT_ONCE),
    ("dies at `server/discover`, and is greeted the old way", ["on.server/discover=exit1"], "stdio", {}, 2 * AT_ONCE),
    ("never answers the greeting", ["on.initialize=mute"], "stdio", {"start_timeout": 1.0}, 1.5),
    ("never answers the greeting", ["on.initialize=mute"], "http", {"start_timeout": 1.0}, 1.5),
    ("never names its endpoint", ["get=mute"], "sse", {"start_timeout": 1.0}, 1.5),
    ("says 401", ["auth=1"], "http", {}, AT_ONCE),
]  # fmt: skip
_ENDS = [
    ("ends when its stdin does", [], "stdio", 1.5),
    ("heeds neither the end of its stdin nor SIGTERM", ["on.end=ignore"], "stdio", 4.0),
    ("leaves a process of its group behind that keeps its pipes", ["on.start=grandchild"], "stdio", 2.5),
    ("never answers the end of its session (`DELETE`)", ["delete=hang"], "http", 7.0),
]


async def _start_once(options: list[str], how: str, client: dict[str, float]) -> tuple[str, float]:
    """Why the server is down, and the seconds until the model was asked."""
    asked: list[float] = []

    def answer(request: ModelRequest) -> str:
        asked.append(time.perf_counter())
        return "Done."

    with tempfile.TemporaryDirectory() as directory:
        async with chaos(Path(directory), *options, how=how, **client) as one:
            began = time.perf_counter()
            await Agent(FunctionModel(answer), tools=[one.server]).run("Go.")
            return one.server.status.error, asked[0] - began


async def _start_row(told: str, options: list[str], how: str, client: dict[str, float], promised: float) -> str:
    worst, error = 0.0, ""
    for _ in range(_TIMES):
        error, seconds = await _start_once(options, how, client)
        worst = max(worst, seconds)
    warning = _seen(error) if error else "none: its tools are there"
    return f"| {told} | {how} | {warning} | {promised:g} | {_number(worst, promised)} |\n"


async def _end_row(told: str, options: list[str], how: str, promised: float) -> str:
    worst = 0.0
    for _ in range(_TIMES):
        with tempfile.TemporaryDirectory() as directory:
            async with chaos(Path(directory), *options, how=how) as one:
                await one.server.list_tools()
                began = time.perf_counter()
                await one.server.aclose()
                worst = max(worst, time.perf_counter() - began)
    return f"| {told} | {how} | {promised:g} | {_number(worst, promised)} |\n"


async def table() -> str:
    """All of it, as Markdown."""
    out = io.StringIO()
    out.write("### It does not start\n\nUntil the model is asked, without its tools:\n\n")
    out.write("| the server | over | the warning | within, s | measured, s |\n|---|---|---|---|---|\n")
    for start in _STARTS:
        out.write(await _start_row(*start))
    for name, drills in _GROUPS.items():
        out.write(f"\n### {name}\n\n{_HEAD}")
        for drill in drills:
            out.write(await _row(drill))
            print(".", end="", file=sys.stderr, flush=True)
    out.write("\n### It is closed\n\n| the server | over | within, s | measured, s |\n|---|---|---|---|\n")
    for end in _ENDS:
        out.write(await _end_row(*end))
    return out.getvalue()


def main() -> None:
    """Prints the table, or writes it into the page."""
    logging.disable(logging.CRITICAL)
    made = asyncio.run(table())
    if "--write" not in sys.argv:
        print(made)
        return
    before, _, rest = PAGE.read_text().partition(_BEGIN)
    PAGE.write_text(f"{before}{_BEGIN}\n\n{made}\n{_END}{rest.partition(_END)[2]}")


if __name__ == "__main__":
    main()
