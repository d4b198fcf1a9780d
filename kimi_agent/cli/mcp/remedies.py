"""What to do about a server that does not work."""

import re
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import PurePath

from kimi_agent.cli.mcp.shown import shown_command, shown_url
from kimi_agent.cli.mcp.targets import Target
from kimi_agent.errors import MCPServerError

_RUNNERS = {
    "npx": "install Node.js, which brings npx",
    "node": "install Node.js",
    "uvx": "pip install uv, which brings uvx",
    "uv": "pip install uv",
    "docker": "install Docker, and start it",
}
_FETCHING = ("npx", "uvx", "docker", "bunx", "pipx", "pnpm")


@contextmanager
def with_remedy(target: Target) -> Generator[None]:
    """A failure of the server says what to do about it, too."""
    try:
        yield
    except MCPServerError as e:
        remedy = remedy_for(str(e), target)
        raise MCPServerError(f"{e}\nwhat to do: {remedy}" if remedy else str(e), server=e.server) from e


def remedy_for(error: str, target: Target) -> str:
    """A sentence on what to change, for the text of an error; "" where the text says it itself."""
    if target.command:
        return _for_command(error, target.command)
    return _for_url(error, shown_url(str(target.options.get("url", ""))), signs_in=target.options.get("auth") is not None)


def _for_command(error: str, command: tuple[str, ...]) -> str:
    program = PurePath(command[0]).name.removesuffix(".cmd").removesuffix(".exe")
    if "there is no program" in error:
        return _RUNNERS.get(program, "install it, or write its whole path; a server is not started by a shell: it knows no aliases")
    if "did not answer within" in error:
        first = (
            f"{program} may still fetch it: run it once by hand, or raise --timeout" if program in _FETCHING else "raise --timeout"
        )
        return f"{first}; does it speak MCP on its standard streams? Some servers want an argument for that, such as stdio"
    if re.search(r"ended with exit code|was killed|closed its stdout|does not read its stdin", error):
        return f"run it by hand: {shown_command(command)}"
    return ""


def _for_url(error: str, url: str, *, signs_in: bool) -> str:
    status = found[1] if (found := re.search(r"\bHTTP (\d{3})\b", error)) else ""
    if status == "401" and not signs_in:
        return "sign in with --auth oauth, or give its token: --header 'Authorization=Bearer ${TOKEN}'"
    if status in ("401", "403"):
        return "the token is not taken: has it expired, and may it do this?"
    if status in ("404", "405"):
        return f"is {url} its URL? It often ends in /mcp; an old server's ends in /sse, and wants --transport sse"
    if "text/html" in error:
        return f"{url} is a web page, not an MCP server: its URL often ends in /mcp"
    if "cannot be reached" in error:
        return f"does it run, and listen at {url}? A server that this machine shall start is given as a command"
    return ""
