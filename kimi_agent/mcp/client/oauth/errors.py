"""What can go wrong in an authorization, and for how long it is not tried again."""

import time
from dataclasses import dataclass, field

from kimi_agent.errors import KimiAgentError, UserError

_NO_AGAIN_FOR = 30.0  # seconds


class OAuthFailed(KimiAgentError):
    """The authorization server, the person asked, or the MCP server said no. The text holds no token, code or secret."""


@dataclass(frozen=True, slots=True)
class Refusals:
    """The last failure for each server: a client that tries an older protocol, or connects anew, asks nobody again at once."""

    _last: dict[str, tuple[float, KimiAgentError]] = field(default_factory=dict[str, tuple[float, KimiAgentError]])

    def note(self, url: str, error: KimiAgentError) -> None:
        """Keeps a failure."""
        self._last[url] = (time.monotonic(), error)

    def check(self, url: str) -> None:
        """Raises the failure again, an OAuthFailed or a UserError, where it is fresh."""
        when, error = self._last.get(url, (0.0, None))
        if error is not None and time.monotonic() - when < _NO_AGAIN_FOR:
            raise (UserError if isinstance(error, UserError) else OAuthFailed)(str(error))

    def clear(self, url: str) -> None:
        """The next try is a new one."""
        self._last.pop(url, None)
