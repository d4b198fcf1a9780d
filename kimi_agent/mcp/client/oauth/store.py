"""Where what was granted is kept: one text for each server, and one holder at a time while it is asked for or renewed."""

import asyncio
import hashlib
import os
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from kimi_agent.errors import UserError
from kimi_agent.mcp.client.private_file import replace_file

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

_AGAIN_AFTER = 0.05  # seconds between two looks at a lock that somebody else holds


class TokenStore(Protocol):
    """Keeps a text for the URL of a server. The text holds tokens: it is for nobody else's eyes."""

    def load(self, url: str) -> str | None:
        """What was saved last; None where nothing was."""
        ...

    def save(self, url: str, text: str) -> None:
        """Keeps it, in place of what was there."""
        ...

    def remove(self, url: str) -> None:
        """Forgets it; nothing happens where nothing was."""
        ...

    def lock(self, url: str) -> AbstractAsyncContextManager[None]:
        """Held while a token is asked for or renewed, so that only one flow runs for a server."""
        ...


@asynccontextmanager
async def _held(take: Callable[[], bool], give_back: Callable[[], object]) -> AsyncGenerator[None]:
    """Held by one at a time."""
    while not take():  # noqa: ASYNC110 – the holder may be another loop, thread or process, which can't set an event here
        await asyncio.sleep(_AGAIN_AFTER)
    try:
        yield
    finally:
        give_back()


@dataclass(frozen=True, slots=True, eq=False)
class MemoryTokenStore:
    """Kept as long as this object lives, for tests and for programs that may not write."""

    _texts: dict[str, str] = field(default_factory=dict[str, str], repr=False)
    _holders: dict[str, object] = field(default_factory=dict[str, object], repr=False)

    def load(self, url: str) -> str | None:
        """See TokenStore."""
        return self._texts.get(url)

    def save(self, url: str, text: str) -> None:
        """See TokenStore."""
        self._texts[url] = text

    def remove(self, url: str) -> None:
        """See TokenStore."""
        self._texts.pop(url, None)

    def lock(self, url: str) -> AbstractAsyncContextManager[None]:
        """See TokenStore."""
        me = object()
        return _held(lambda: self._holders.setdefault(url, me) is me, lambda: self._holders.pop(url, None))


def default_directory() -> Path:
    """`$XDG_STATE_HOME/kimi-agent/mcp-oauth`, else `~/.local/state/kimi-agent/mcp-oauth`."""
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "kimi-agent" / "mcp-oauth"


_HERE = MemoryTokenStore()  # the locks of this process, where the system has none for files


@dataclass(frozen=True, slots=True)
class FileTokenStore:
    """One file for each server, mode 0600 in a directory of mode 0700; the name is a hash, so that a listing tells nothing.

    Args:
        directory: None is the user's own state directory.
    """

    directory: Path | str | None = None

    def load(self, url: str) -> str | None:
        """See TokenStore. Raises UserError where the file is there and cannot be read."""
        path = self.path(url)
        try:
            return path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as e:
            raise UserError(f"the tokens in {path} cannot be read: {e}. Remove the file to sign in anew.") from None

    def save(self, url: str, text: str) -> None:
        """See TokenStore. Raises UserError where it cannot be written."""
        path = self.path(url)
        try:
            self._make_directory()
            replace_file(path, text.encode())
        except OSError as e:
            raise UserError(f"the tokens cannot be kept in {path}: {e.strerror or e}. {_ELSEWHERE}") from None

    def remove(self, url: str) -> None:
        """See TokenStore."""
        self.path(url).unlink(missing_ok=True)

    def path(self, url: str) -> Path:
        """The file of a server."""
        directory = default_directory() if self.directory is None else Path(self.directory)
        return directory / f"{hashlib.sha256(url.encode()).hexdigest()[:32]}.json"

    def lock(self, url: str) -> AbstractAsyncContextManager[None]:
        """See TokenStore. On Windows it holds for this process only."""
        return _HERE.lock(url) if fcntl is None else self._file_lock(url)

    @asynccontextmanager
    async def _file_lock(self, url: str) -> AsyncGenerator[None]:
        path = self.path(url).with_suffix(".lock")
        try:
            self._make_directory()
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as e:
            raise UserError(f"the tokens cannot be kept in {path.parent}: {e.strerror or e}. {_ELSEWHERE}") from None
        try:
            async with _held(lambda: _locked(descriptor), lambda: None):
                yield
        finally:
            os.close(descriptor)  # which gives the lock back, as the end of the process does

    def _make_directory(self) -> None:
        directory = self.path("").parent
        if not directory.is_dir():
            directory.mkdir(parents=True, exist_ok=True)
            directory.chmod(0o700)


_ELSEWHERE = "Give OAuth(store=FileTokenStore(directory)) another place, or OAuth(store=MemoryTokenStore())."


def _locked(descriptor: int) -> bool:
    if fcntl is None:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
