"""`kimi-agent mcp doctor`: tries servers, and says what to do about those that do not work."""

import asyncio
import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text as Styled

from kimi_agent.cli.exits import OK, PROVIDER
from kimi_agent.cli.mcp.begin import ConfigOption, JsonOption, carry_out, note
from kimi_agent.cli.mcp.checks import Report, check
from kimi_agent.cli.mcp.targets import configured, known_servers, target_of
from kimi_agent.cli.options import console_for_tables
from kimi_agent.errors import UserError
from kimi_agent.observe.plain import json_line, one_line, plain
from kimi_agent.observe.waiting import Waiting
from kimi_agent.redact import redact

_SHOWN = 5  # of a list


def doctor(
    servers: Annotated[
        list[str] | None, typer.Argument(help="Names, command lines or URLs; default: all of the configuration.")
    ] = None,
    timeout: Annotated[float | None, typer.Option("--timeout", min=0.001, help="Seconds that a server may take to start.")] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Start each server, and say what it is, what of it Kimi models can use, and what to do if it fails. Exit code 3: one does."""

    async def work() -> int:
        reports = await _try_all(servers or [], config, timeout)
        if as_json:
            print(json_line([{**asdict(r), "is_well": r.is_well} for r in reports]))
        else:
            for report in reports:
                _print(console_for_tables(), report)
        return OK if all(r.is_well for r in reports) else PROVIDER

    carry_out(work)


async def _try_all(specs: Sequence[str], config: Path | None, timeout: float | None) -> list[Report]:
    known = known_servers([config] if config else [])
    for name, server in known.items():
        for each in server.notes if name in specs or not specs else ():
            note(f"{plain(name)}: {plain(each)}")
    names = specs or [name for name, server in known.items() if not server.disabled]
    if not names:
        note("no servers are configured: kimi-agent mcp add NAME -- COMMAND …, or mcp doctor 'COMMAND …'")
    waiting, begun = Waiting(Console(stderr=True, highlight=False)), time.monotonic()
    under_way = list(names)

    async def try_one(name: str) -> Report:
        try:
            target = configured(name, known[name]) if name in known else target_of(name, lambda: known)
            return await check(target, timeout)
        except UserError as e:  # such as a variable that is not set
            return Report(name, "", problem=redact(str(e)))
        finally:
            under_way.remove(name)
            waiting.show([(each, begun) for each in under_way])

    heard = _Heard(logging.WARNING)
    logging.getLogger("kimi_agent.mcp").addHandler(heard)
    waiting.show([(each, begun) for each in under_way])
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(try_one(name)) for name in names]
    finally:
        waiting.stop()
        logging.getLogger("kimi_agent.mcp").removeHandler(heard)
    reports = [task.result() for task in tasks]
    for text in heard.texts:
        if not any(report.problem and report.problem in text for report in reports):
            note(f"warning: {plain(text)}")
    return reports


class _Heard(logging.Handler):
    """What the library warned of, each thing once."""

    def __init__(self, level: int) -> None:
        super().__init__(level)
        self.texts: dict[str, None] = {}

    def emit(self, record: logging.LogRecord) -> None:
        self.texts[record.getMessage()] = None


def _print(console: Console, report: Report) -> None:
    mark, style = ("✓ ", "bold green") if report.is_well else ("✗ ", "bold red")
    console.print(Styled.assemble((mark, style), (plain(report.name), "bold"), f"  {plain(report.where)}"), soft_wrap=True)
    for name, text in _facts(report):
        console.print(Styled.assemble((f"    {name:14}", "dim"), plain(text)), soft_wrap=True)
    for name, text, colour in (("problem", report.problem, "red"), ("what to do", report.remedy, "yellow")):
        if text:
            console.print(Styled.assemble((f"    {name:14}", colour), plain(text).replace("\n", "\n" + " " * 18)), soft_wrap=True)


def _facts(report: Report) -> Iterable[tuple[str, str]]:
    if report.program:
        yield "program", report.program
    if report.seconds is None:
        return
    yield "server", f"{report.server or 'without a name'}, protocol {report.protocol}"
    yield "capabilities", ", ".join(report.capabilities) or "none"
    ping = f", ping {report.ping * 1000:.0f} ms" if report.ping is not None else ""
    yield "time to start", f"{report.seconds:.2f} s{ping}"
    if report.tools is not None:
        left = f" (the filters leave {report.taken})" if report.tools != report.taken else ""
        others = ((report.resources, "resource"), (report.prompts, "prompt"))
        yield "offers", ", ".join([_count(report.tools, "tool") + left, *(_count(n, what) for n, what in others if n is not None)])
    for name, each in (("renamed", report.renamed), ("mended", report.mended), ("refused", report.refused)):
        if each:
            yield name, _some(each)
    if report.instructions:
        yield "instructions", one_line(report.instructions, 200)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _some(told: dict[str, str]) -> str:
    shown = [f"{name} → {what}" for name, what in list(told.items())[:_SHOWN]]
    return "; ".join([*shown, *([f"and {len(told) - _SHOWN} more (--json)"] if len(told) > _SHOWN else [])])
