"""A switch that forbids requests to real models, so that no test pays, waits or leaks by accident.

    with forbid_real_requests():
        agent.run_sync("…")  # UserError, unless the agent's model is a double

It holds for the whole process: in every thread, in the background loop of `run_sync`, and in tasks that began before. A switch
that one thread does not see would let through just the request that nobody thought of. Of several switches the one that was set
last holds.
"""

import threading
from collections.abc import Generator
from contextlib import contextmanager

from kimi_agent.errors import UserError

_lock = threading.Lock()
_switches: tuple[list[bool], ...] = ()  # lists of one each: told apart by identity, since they may be left in any order


@contextmanager
def forbid_real_requests() -> Generator[None]:
    """Inside it, real models raise UserError instead of sending anything. Also a decorator, of functions that are not async."""
    with _switch(False):
        yield


@contextmanager
def allow_real_requests() -> Generator[None]:
    """Inside it, real models may be asked, whatever `forbid_real_requests` said outside."""
    with _switch(True):
        yield


def real_requests_allowed() -> bool:
    """Whether a real model may be asked now."""
    switches = _switches
    return switches[-1][0] if switches else True


def check_real_request(model_name: str) -> None:
    """Raises UserError where real requests are forbidden. Each model that leaves the process, or loads weights, asks this first."""
    if not real_requests_allowed():
        raise UserError(
            f"the real model {model_name!r} was asked while real requests are forbidden: give the agent a ScriptedModel, "
            "FunctionModel or ReplayModel, or lift the ban with allow_real_requests() or, in pytest, "
            "@pytest.mark.real_requests"
        )


@contextmanager
def _switch(allowed: bool) -> Generator[None]:
    global _switches
    mine = [allowed]
    with _lock:
        _switches = (*_switches, mine)
    try:
        yield
    finally:
        with _lock:
            _switches = tuple(s for s in _switches if s is not mine)
