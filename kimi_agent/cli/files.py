"""Files that the command line writes for its user: private, whole or not at all."""

import os
import secrets
from pathlib import Path

from kimi_agent.errors import UserError

_MOST = 512_000_000


def state_directory() -> Path:
    """Where state is kept between sessions: `$XDG_STATE_HOME/kimi-agent`, else `~/.local/state/kimi-agent`."""
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "kimi-agent"


def write_private(path: Path, text: str, *, overwrite: bool = False) -> None:
    """Writes a file that only its owner may read; a reader sees the old content or the new, never a part.

    Raises UserError where the file exists and may not be overwritten, or cannot be written.
    """
    try:
        if overwrite:  # what a symbolic link leads to is written, and the link stays
            path = path.resolve()
        if path.is_dir() or not path.name:
            raise UserError(f"{path} is a directory: name a file")
        beside = path.with_name(f".{secrets.token_hex(8)}.new")
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with open(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            _put(beside, path, overwrite)
        finally:
            beside.unlink(missing_ok=True)
    except FileExistsError:
        raise UserError(f"{path} exists already: choose another name, or say --force") from None
    except OSError as e:
        raise UserError(f"{path} cannot be written: {e.strerror or e}") from None
    except (ValueError, RuntimeError) as e:  # a null character, half a character, links that lead in a circle
        raise UserError(f"{str(path)!r} cannot be written: {e}") from None


def _put(beside: Path, path: Path, overwrite: bool) -> None:
    if overwrite:
        os.replace(beside, path)
        return
    try:
        os.link(beside, path)  # unlike a rename, it fails where somebody has made the file meanwhile
    except FileExistsError:
        raise
    except (OSError, NotImplementedError):  # a file system without links
        if path.exists():
            raise FileExistsError(path) from None
        os.replace(beside, path)


def read_text(path: Path) -> str:
    """The text of a file. Raises UserError where it cannot be read."""
    try:
        if path.is_file() and path.stat().st_size > _MOST:
            raise UserError(f"{path} is larger than {_MOST // 10**6} MB")
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as e:
        raise UserError(f"{path} cannot be read: {getattr(e, 'strerror', None) or e}") from None
