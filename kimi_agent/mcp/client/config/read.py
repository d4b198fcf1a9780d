"""Reading an mcp.json, or the same as a mapping."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from kimi_agent.errors import UserError
from kimi_agent.mcp.client.config.entry import ServerConfig
from kimi_agent.mcp.client.config.source import SECTIONS, parse
from kimi_agent.mcp.client.config.spellings import SPELLINGS
from kimi_agent.redact import get_logger

_log = get_logger(__name__)
_LARGEST = 4_000_000  # bytes


def default_config_path() -> Path:
    """The user's own file: `$XDG_CONFIG_HOME/kimi-agent/mcp.json`, else `~/.config/kimi-agent/mcp.json`.

    A file in the current directory is never read by itself: a cloned repository must not start programs.
    """
    base = os.environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "kimi-agent" / "mcp.json"


def read_config(source: str | Path | Mapping[str, Any]) -> dict[str, ServerConfig]:
    """The servers of an mcp.json by name, in its order, the disabled ones too. Nothing is started, no variable is looked up.

    Args:
        source: a path, or what such a file holds: `{"mcpServers": {name: {…}}}`, or the servers themselves.

    Raises:
        UserError: it says the file, the server, the field and what to write.
    """
    if isinstance(source, Mapping):
        return _servers(source, "mcp config", None)
    path = Path(source).expanduser()
    return _servers(parse(read_text(path), str(path)), str(path), path.resolve().parent)


def read_text(path: Path) -> str:
    """The text of a config file, its line ends as they are. Raises UserError where it cannot be read."""
    try:
        if path.is_file() and path.stat().st_size > _LARGEST:
            raise UserError(f"{path} is larger than {_LARGEST // 1_000_000} MB: it is no mcp.json")
        return path.read_bytes().decode("utf-8").removeprefix("\ufeff")
    except FileNotFoundError:
        raise UserError(f"{path} is not there: `kimi-agent mcp add` makes one") from None
    except (OSError, ValueError) as e:
        raise UserError(f"{path} cannot be read: {getattr(e, 'strerror', None) or e}") from None


def _servers(data: Mapping[str, Any], name: str, folder: Path | None) -> dict[str, ServerConfig]:
    found: dict[str, ServerConfig] = {}
    for server, entry in _entries(data, name).items():
        where = f'{name}: server "{server}"'
        if not isinstance(entry, Mapping):
            raise UserError(f'{where} must be an object: {{"command": …}} or {{"url": …}}')
        config = ServerConfig.of(cast("Mapping[str, object]", entry), where, folder)
        for note in config.notes:
            _log.warning("%s: %s", where, note)
        found[server] = config
    return found


def _entries(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    sections = [key for key in SECTIONS if key in data]
    if not sections:
        starts = {*SPELLINGS["command"], *SPELLINGS["url"]}
        if all(isinstance(value, Mapping) and starts & value.keys() for value in data.values()):
            return data
        raise UserError(f'{name} has no "mcpServers"')
    if len(sections) > 1:
        raise UserError(f'{name} has both "mcpServers" and "servers": keep one')
    entries = data[sections[0]]
    if not isinstance(entries, Mapping):
        raise UserError(f'{name}: "{sections[0]}" must be an object: {{name: {{"command": …}}}}')
    return cast("Mapping[str, Any]", entries)
