"""A server, tried: whether it starts, what it is, and whether Kimi models can use its tools."""

import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kimi_agent.cli.mcp.remedies import remedy_for
from kimi_agent.cli.mcp.shown import shown_command, shown_url
from kimi_agent.cli.mcp.targets import Target
from kimi_agent.errors import KimiAgentError
from kimi_agent.observe.plain import one_line
from kimi_agent.redact import redact
from kimi_agent.wire.mfjs import normalise, validate

if TYPE_CHECKING:
    from kimi_agent.mcp.client.server import MCPServer
    from kimi_agent.mcp.client.tools import MCPTool


@dataclass(slots=True)
class Report:
    """What was found out about a server.

    Attributes:
        where: its command line or URL, as it may be shown.
        program: the file that the command stands for; "" where there is none.
        seconds: from nothing until it was ready; None where it never was.
        ping: seconds of a round trip.
        tools: how many it has, of which the filters leave `taken`; `resources` and `prompts` are None where it has no such lists.
        renamed: names that models call by the server's own, where they differ.
        mended: schemas that Moonshot refuses as they are, and gets in its own dialect: what is wrong, by tool.
        refused: schemas that cannot be mended: what is wrong, by tool.
        problem: why it cannot be used; "" where it can.
        remedy: what to do about it.
    """

    name: str
    where: str
    program: str = ""
    seconds: float | None = None
    ping: float | None = None
    protocol: str = ""
    server: str = ""
    capabilities: list[str] = field(default_factory=list[str])
    tools: int | None = None
    taken: int = 0
    resources: int | None = None
    prompts: int | None = None
    renamed: dict[str, str] = field(default_factory=dict[str, str])
    mended: dict[str, str] = field(default_factory=dict[str, str])
    refused: dict[str, str] = field(default_factory=dict[str, str])
    instructions: str = ""
    problem: str = ""
    remedy: str = ""

    @property
    def is_well(self) -> bool:
        """Whether all of its tools can be used."""
        return not self.problem and not self.refused


async def check(target: Target, timeout: float | None) -> Report:
    """Starts it, asks it, and ends it; whatever goes wrong is part of the report."""
    where = shown_command(target.command) if target.command else shown_url(str(target.options.get("url", "")))
    program = shutil.which(target.command[0]) if target.command else None
    report = Report(target.name or where, where, program or "")
    more = {} if timeout is None else {"start_timeout": timeout}
    try:
        server = target.server(**more)
        report.name = server.name
        try:
            await _look(server, report)
        finally:
            await server.aclose()
    except KimiAgentError as e:
        report.problem = redact(str(e))
        report.remedy = remedy_for(report.problem, target)
    except Exception as e:  # whatever a server makes of its client is what is to be reported
        report.problem = redact(one_line(f"{type(e).__name__}: {e}", 500))
    return report


async def _look(server: "MCPServer", report: Report) -> None:
    begun = time.monotonic()
    await server.connect()
    report.seconds = round(time.monotonic() - begun, 3)
    tools = await server.list_tools()
    status = server.status
    report.protocol = status.protocol or ""
    report.server = " ".join(filter(None, (status.server_name, status.server_version)))
    report.capabilities = list(status.capabilities)
    report.ping = round(await server.ping(), 4)
    report.tools, report.taken = status.tools, len(tools)
    report.instructions = await server.instructions()
    _judge(tools, report, server.options.prefix)
    if "resources" in status.capabilities:
        report.resources = len(await server.resources())
    if "prompts" in status.capabilities:
        report.prompts = len(await server.prompts())


def _judge(tools: Iterable["MCPTool"], report: Report, prefix: str) -> None:
    for tool in tools:
        if tool.name != prefix + tool.original:
            report.renamed[tool.original] = tool.name
        if breaches := validate(tool.parameters):
            left = validate(normalise(tool.parameters))
            told = left or breaches
            where = f"{told[0].path}: " if told[0].path else ""
            (report.refused if left else report.mended)[tool.original] = one_line(f"{where}{told[0].message}", 200)
