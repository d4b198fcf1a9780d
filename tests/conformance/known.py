"""What is required of each part of the suite, what does not apply, and the few checks that do not pass, with their reasons."""

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from types import MappingProxyType

NEWEST = "conformance-next"
RELEASED = "@modelcontextprotocol/conformance"

NOT_APPLICABLE = MappingProxyType(
    {
        "tasks-*": "the extension io.modelcontextprotocol/tasks: neither the SDK nor this library has it",
        "auth/dpop*": "proofs of possession (SEP-1932, a draft): the SDK's OAuth client does not make them",
        "auth/wif-jwt-bearer": "workload identity by a bare jwt-bearer grant (a draft): the SDK's OAuth client does not have it",
    }
)
"""Scenarios, as patterns, that are about something that this library does not claim to do."""


@dataclass(frozen=True, slots=True)
class Leg:
    """One run of the suite.

    Attributes:
        role: which side of ours is tested, "server" or "client".
        suite: the npm package of the suite: the release, or the newest, which knows more.
        revision: of the protocol that all scenarios are run at; "" leaves it to the suite.
        scenarios, passed: at least so many must be run, and so many checks must pass.
        known: by "scenario/check", why it may fail or warn. One that no longer does is to be taken out.
    """

    role: str
    suite: str
    revision: str
    scenarios: int
    passed: int
    known: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def name(self) -> str:
        return f"{self.role}, {self.revision}" if self.revision else self.role


_EARLY = "input-required-result-ignore-extra-params/sep-2322-ignore-unexpected-params"
_EARLY_ANSWERS = {_EARLY: "a warning: the call brings answers before anything was asked; our server asks all the same"}
_POLLING = {
    f"server-sse-polling/{check}": "a warning: the suite asks at 2025-03-26, which has no such event; the SDK's example warns alike"
    for check in ("server-sse-priming-event", "server-sse-retry-field")
}

LEGS = (
    Leg("server", RELEASED, "", 32, 44, _POLLING),
    Leg("client", RELEASED, "", 26, 315),
    Leg("server", NEWEST, "", 55, 189, _EARLY_ANSWERS),
    Leg("client", NEWEST, "", 45, 482),
    Leg("server", NEWEST, "2026-07-28", 40, 151, _EARLY_ANSWERS),
    Leg("client", NEWEST, "2026-07-28", 33, 405),
)


def applies(scenario: str) -> bool:
    """Whether a scenario is about something that this library does."""
    return not any(fnmatchcase(scenario, pattern) for pattern in NOT_APPLICABLE)
