"""A Python program at a pseudo-terminal, and its user."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_DRAWN = "\x1b[?25h"  # the cursor is shown again, once a prompt is drawn and keys are read


class AtTerminal:
    """What the program has shown, and what is typed."""

    def __init__(self, master: int) -> None:
        self.master, self.raw = master, ""
        self._seen = 0
        self._news = asyncio.Event()
        asyncio.get_running_loop().add_reader(master, self._read)

    def _read(self) -> None:
        try:
            data = os.read(self.master, 65536)
        except OSError:  # the program has ended
            data = b""
        if not data:
            asyncio.get_running_loop().remove_reader(self.master)
        self.raw += data.decode(errors="replace")
        self._news.set()

    async def sees(self, text: str) -> None:
        """Waits until this comes, behind what was waited for before."""
        while (at := self.raw.find(text, self._seen)) < 0:
            await self._more(text)
        self._seen = at + len(text)

    async def says(self, line: str, *, to: str) -> None:
        """Waits for this prompt, and sends a line."""
        await self.sees(to)
        await self.sees(_DRAWN)
        os.write(self.master, f"{line}\r".encode())

    async def _more(self, wanted: str) -> None:
        self._news.clear()
        try:
            await asyncio.wait_for(self._news.wait(), 20)
        except TimeoutError:
            raise AssertionError(f"never came: {wanted!r}; the screen since: {self.raw[self._seen :]!r}") from None


@asynccontextmanager
async def at_terminal(*arguments: str) -> AsyncIterator[AtTerminal]:
    """`python ARGUMENTS…`, with a terminal for all three streams."""
    import pty

    master, slave = pty.openpty()
    env = {**os.environ, "TERM": "xterm-256color", "PROMPT_TOOLKIT_NO_CPR": "1"}
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, env=env, stdin=slave, stdout=slave, stderr=slave, start_new_session=True
    )
    os.close(slave)
    shown = AtTerminal(master)
    try:
        yield shown
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        asyncio.get_running_loop().remove_reader(master)
        os.close(master)
