"""What stands for an agent for a while: see `Agent.override`."""

import itertools
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")
_numbers = itertools.count()
_lock = threading.Lock()


@dataclass(frozen=True, slots=True, eq=False)
class _StandIn:
    """Blocks are numbered as they are entered: the last one that is still open holds, whatever the order in which they end."""

    agent: object
    other: Any
    number: int = field(default_factory=_numbers.__next__)


_here: ContextVar[tuple[_StandIn, ...]] = ContextVar("kimi_agent_stand_ins", default=())
_everywhere: tuple[_StandIn, ...] = ()  # replaced as a whole, so that readers in other threads see it before or after


def stand_in_for(agent: T) -> T:
    """What runs instead of this agent, here or everywhere; else itself."""
    open_blocks = _here.get() + _everywhere
    if not open_blocks:
        return agent
    mine = [s for s in open_blocks if s.agent is agent]
    return max(mine, key=lambda s: s.number).other if mine else agent


@contextmanager
def standing_in(agent: T, change: Callable[[T], T], *, everywhere: bool) -> Generator[None]:
    """Within the block, the agent as `change` leaves it runs instead; what stands for it already is what is changed."""
    global _everywhere
    entry = _StandIn(agent, change(stand_in_for(agent)))
    if everywhere:
        with _lock:
            _everywhere = (*_everywhere, entry)
    else:
        _here.set((*_here.get(), entry))
    try:
        yield
    finally:
        if everywhere:
            with _lock:
                _everywhere = tuple(s for s in _everywhere if s is not entry)
        else:
            _here.set(tuple(s for s in _here.get() if s is not entry))
