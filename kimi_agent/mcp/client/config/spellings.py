"""The keys of a server's entry, as the clients of this field spell them.

Sources: code.claude.com/docs/en/mcp (Claude Code), cursor.com/docs/mcp (Cursor),
code.visualstudio.com/docs/copilot/reference/mcp-configuration (VS Code), moonshotai.github.io/kimi-code/en/customization/mcp
(Kimi Code), and fastmcp's `mcp_config.py`, with which Kimi CLI reads `~/.kimi/mcp.json`.
"""

import difflib
from collections.abc import Mapping

from kimi_agent.errors import UserError

SPELLINGS = {
    "command": ("command",),
    "args": ("args",),
    "env": ("env",),
    "env_file": ("envFile",),
    "cwd": ("cwd",),
    "url": ("url", "serverUrl", "httpUrl"),
    "headers": ("headers",),
    "bearer_token_variable": ("bearerTokenEnvVar",),
    "transport": ("type", "transport", "transportType"),
    "auth": ("auth", "oauth"),
    "disabled": ("disabled",),
    "enabled": ("enabled",),
    "timeout_ms": ("timeout", "toolTimeoutMs"),
    "timeout": ("toolTimeoutSec",),
    "start_timeout_ms": ("startTimeout", "startupTimeout", "startupTimeoutMs"),
    "start_timeout": ("startTimeoutSec",),
    "allow": ("allow", "allowedTools", "enabledTools", "includeTools"),
    "deny": ("deny", "disabledTools", "excludeTools"),
    "required": ("required",),
    "prefix": ("prefix",),
    "needs_approval": ("needsApproval",),
    "roots": ("roots",),
    "sampling": ("sampling",),
    "log_level": ("logLevel",),
    "resource_tools": ("resourceTools",),
    "trust_annotations": ("trustAnnotations",),
}
"""Our name of a field → the keys that mean it. The first one is what is written."""

IGNORED = frozenset(
    ("description", "icon", "alwaysAllow", "autoApprove", "gallery", "trust", "version", "dev", "$schema", "name", "authentication")
)
"""Keys of other clients that change nothing here, and that need no warning."""

_FIELDS = {key: field for field, keys in SPELLINGS.items() for key in keys}
TRANSPORTS = {
    "stdio": "stdio",
    "http": "http",
    "streamable-http": "http",
    "streamablehttp": "http",
    "streamable_http": "http",
    "sse": "sse",
}


def known_fields(entry: Mapping[str, object]) -> tuple[dict[str, object], list[str]]:
    """The fields of an entry by our names, and a line for each key that nobody knows.

    Raises UserError where two keys say the same thing differently.
    """
    fields: dict[str, object] = {}
    said: dict[str, str] = {}
    notes: list[str] = []
    for key, value in entry.items():
        name = _FIELDS.get(key)
        if name is None:
            if key not in IGNORED:
                notes.append(_unknown(key))
        elif name in fields and fields[name] != value:
            raise UserError(f'"{said[name]}" and "{key}" mean the same and differ: keep one')
        else:
            fields[name], said[name] = value, key
    return fields, notes


def _unknown(key: str) -> str:
    lower = {known.lower(): known for known in _FIELDS}
    near = difflib.get_close_matches(key.replace("_", "").lower(), lower, n=1)
    return f'"{key}" is not known and changes nothing' + (f': did you mean "{lower[near[0]]}"?' if near else "")


def key_of(field: str) -> str:
    """The key that a field is written and named with."""
    return SPELLINGS.get(field, (field,))[0]
