"""Finished runs of served agents, held in memory: to be read as resources, and to be gone on from."""

import secrets
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import mcp_types as types
from pydantic_core import from_json, to_json

from kimi_agent.message_json import dump_messages
from kimi_agent.messages import text_of
from kimi_agent.result import RunResult

_PREFIX = "kimi-agent://runs/"
_TITLE = 60  # characters of the prompt


@dataclass(frozen=True, slots=True)
class KeptRun:
    """A finished run.

    Attributes:
        id: unguessable; not the run's own name, which logs and events hold.
        owner: who may see it; None: whoever knows its id.
    """

    id: str
    owner: str | None
    agent: str
    prompt: str
    result: RunResult[Any]

    @property
    def uri(self) -> str:
        """Where it is read."""
        return _PREFIX + self.id

    @property
    def resource(self) -> types.Resource:
        """As it stands in lists."""
        short = self.prompt if len(self.prompt) <= _TITLE else self.prompt[:_TITLE] + "…"
        about = f"A finished run of {self.agent}; stop reason: {self.result.stop_reason}"
        return types.Resource(name=self.id, title=short, uri=self.uri, description=about, mime_type="application/json")

    @property
    def document(self) -> str:
        """JSON: what was asked, what came of it, and the messages as `dump_messages` writes them."""
        result = self.result
        document = {
            "run_id": result.run_id,
            "agent": self.agent,
            "prompt": self.prompt,
            "stop_reason": result.stop_reason,
            "output": result.output if result.has_output else None,
            "usage": result.usage,
            "pending": [{"name": c.name, "arguments": c.effective} for c in result.pending],
            "messages": from_json(dump_messages(result.messages)),
        }
        return to_json(document, indent=2, fallback=str, inf_nan_mode="strings", bytes_mode="base64").decode()


class KeptRuns:
    """At most `most` runs; the oldest go. A client sees its own; what nobody owns is not listed, and read by who knows its id."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._runs: OrderedDict[str, KeptRun] = OrderedDict()

    def keep(self, agent: str, prompt: Any, result: RunResult[Any], owner: str | None) -> KeptRun | None:
        """Keeps a run; None where none are kept."""
        if self._most <= 0:
            return None
        text = prompt if isinstance(prompt, str) else text_of(prompt)
        kept = KeptRun(secrets.token_urlsafe(18), owner, agent, text, result)
        self._runs[kept.id] = kept
        while len(self._runs) > self._most:
            self._runs.popitem(last=False)
        return kept

    def find(self, name: str, owner: str | None) -> KeptRun | None:
        """By its id or URI. None also for what belongs to another: nobody learns that it is there."""
        kept = self._runs.get(name.removeprefix(_PREFIX))
        return kept if kept is not None and kept.owner in (None, owner) else None

    def listed(self, owner: str | None) -> list[KeptRun]:
        """Those of one client, the newest first."""
        return [k for k in reversed(self._runs.values()) if owner is not None and k.owner == owner]
