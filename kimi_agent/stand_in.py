"""What stands for an agent for a while: see `Agent.override`."""

import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

T = TypeVar("T")
_here: ContextVar[Mapping[object, object] | None] = ContextVar("kimi_agent_stand_ins", default=None)
_everywhere: dict[object, list[object]] = {}
_lock = threading.Lock()


def stand_in_for(agent: T) -> T:
    """What runs instead of this agent: what this context says, else what holds everywhere, else itself."""
    known = _here.get()
    if known is not None and agent in known:
        return known[agent]  # pyright: ignore[reportReturnType]
    if _everywhere and (standing := _everywhere.get(agent)):
        return standing[-1]  # pyright: ignore[reportReturnType]
    return agent


@contextmanager
def standing_in(agent: object, other: object, *, everywhere: bool) -> Generator[None]:
    """Has `other` run instead of `agent` within the block."""
    if not everywhere:
        before = _here.get()
        _here.set({**(before or {}), agent: other})
        try:
            yield
        finally:
            _here.set(before)  # not `reset`: the block of a fixture may end in another context
        return
    with _lock:
        _everywhere.setdefault(agent, []).append(other)
    try:
        yield
    finally:
        with _lock:
            _everywhere[agent].remove(other)
            if not _everywhere[agent]:
                del _everywhere[agent]
