"""`kimi-agent` as a process: with pipes, or at a terminal of its own."""

import asyncio
import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web
from loopback import delta, events, send

ROOT = Path(__file__).parents[2]
WEATHER = f"{ROOT}/examples/weather.py:get_weather"
CALL = [delta(tool_calls=[{"index": 0, "id": "c", "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'}}]),
        delta("tool_calls")]  # fmt: skip
SAYS = [delta(content="Overcast, "), delta("stop", content="18 degrees.")]
# Pastes are marked, as they are while an answer comes; but then the prompt is drawn.
_LISTENS = re.compile(r"\x1b\[\?2004h(?:\x1b\[\?1l)?\x1b\[\?25l\x1b\[0m")
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b[=>()][0-9A-Z]?|\x1b\][^\x07]*\x07|\r")


def script(*answers: list[dict[str, Any]]) -> Any:
    """Answers the requests in turn."""

    async def handle(request: web.Request, number: int) -> web.StreamResponse:
        return await send(request, events(*answers[number]))

    return handle


def environment(url: str = "", **more: str) -> dict[str, str]:
    """None of the developer's keys; an endpoint, if there is one."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("KIMI_", "MOONSHOT_")) and k.lower() != "http_proxy"}
    given = {"KIMI_BASE_URL": url, "KIMI_API_KEY": "sk-secret-123456", "KIMI_MODEL_NAME": "kimi-k2.6"} if url else {}
    return {**clean, "COLUMNS": "200", **given, **more}


async def cli(
    *arguments: str, url: str = "", cwd: Path | None = None, stdin: str | None = None, **env: str
) -> tuple[int, str, str]:
    """Exit code, standard output, standard error."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "kimi_agent",
        *arguments,
        cwd=cwd,
        env=environment(url, **env),
        stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    out, err = await process.communicate(stdin.encode() if stdin is not None else None)
    return process.returncode or 0, out.decode(errors="replace"), err.decode()


class Terminal:
    """A process at a pseudo-terminal, and the hands and eyes of its user."""

    def __init__(self, process: asyncio.subprocess.Process, master: int) -> None:
        self.process, self.master = process, master
        self.raw = ""
        self._seen = self._listened = 0
        self._news = asyncio.Event()
        asyncio.get_running_loop().add_reader(master, self._read)

    @property
    def text(self) -> str:
        """All that was shown, without the control sequences."""
        return _CONTROL.sub("", self.raw)

    def _read(self) -> None:
        try:
            data = os.read(self.master, 65536)
        except OSError:
            data = b""
        if not data:
            asyncio.get_running_loop().remove_reader(self.master)
        self.raw += data.decode(errors="replace")
        self._news.set()

    def type(self, keys: str) -> None:
        """Presses keys; Enter is \\r."""
        os.write(self.master, keys.encode())

    async def sees(self, text: str) -> str:
        """Waits until this comes, behind what was waited for before; what came up to there."""
        while (at := self.text.find(text, self._seen)) < 0:
            await self._more(text, self.text[self._seen :])
        before, self._seen = self._seen, at + len(text)
        return self.text[before : self._seen]

    async def says(self, line: str) -> None:
        """Waits for the prompt, and sends a line."""
        await self.listens()
        self.type(line + "\r")

    async def listens(self) -> None:
        """Waits for the next prompt: the terminal is asked to mark what is pasted."""
        while (at := _LISTENS.search(self.raw, self._listened)) is None:
            await self._more("the prompt", self.raw[self._listened :])
        self._listened = at.end()

    async def _more(self, wanted: str, since: str) -> None:
        self._news.clear()
        try:
            await asyncio.wait_for(self._news.wait(), 20)
        except TimeoutError:
            raise AssertionError(f"never came: {wanted!r}; the screen since: {since!r}") from None


@asynccontextmanager
async def terminal(*arguments: str, url: str = "", cwd: Path | None = None, **env: str) -> AsyncIterator[Terminal]:
    """`kimi-agent` at a terminal of 100 columns."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
    own = {k: v for k, v in environment(url, TERM="xterm-256color", PROMPT_TOOLKIT_NO_CPR="1", **env).items() if k != "COLUMNS"}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "kimi_agent",
        *arguments,
        cwd=cwd,
        env=own,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # so that Ctrl-C is a signal, as at a real one
    )
    os.close(slave)
    shown = Terminal(process, master)
    try:
        yield shown
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        asyncio.get_running_loop().remove_reader(master)
        os.close(master)
