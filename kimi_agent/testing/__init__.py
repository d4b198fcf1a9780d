"""Doubles for your tests, and ours: models that say what they are told to, that replay, and that have bad days.

from kimi_agent.testing import ChaosModel, FunctionModel, Reply, ReplayModel, ScriptedModel, call, forbid_real_requests

`kimi_agent.testing.plugin` is a pytest plugin; it is found by itself once kimi-agent is installed.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kimi_agent.models.chaos import ChaosModel, Injected
    from kimi_agent.models.faults import FAULTS, Fault
    from kimi_agent.models.real_requests import allow_real_requests, forbid_real_requests
    from kimi_agent.models.replay import ReplayModel
    from kimi_agent.models.scripted import FunctionModel, Reply, ScriptedCall, ScriptedModel, call

_HOMES = {
    "FAULTS": "faults",
    "ChaosModel": "chaos",
    "Fault": "faults",
    "FunctionModel": "scripted",
    "Injected": "chaos",
    "ReplayModel": "replay",
    "Reply": "scripted",
    "ScriptedCall": "scripted",
    "ScriptedModel": "scripted",
    "allow_real_requests": "real_requests",
    "call": "scripted",
    "forbid_real_requests": "real_requests",
}

__all__ = [
    "FAULTS",
    "ChaosModel",
    "Fault",
    "FunctionModel",
    "Injected",
    "ReplayModel",
    "Reply",
    "ScriptedCall",
    "ScriptedModel",
    "allow_real_requests",
    "call",
    "forbid_real_requests",
]


def __getattr__(name: str) -> Any:
    """Each double is imported when it is asked for: every pytest run imports this package, for its plugin."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"kimi_agent.models.{_HOMES[name]}"), name)
