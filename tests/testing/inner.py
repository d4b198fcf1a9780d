"""Inner pytest runs with the plugin, whether or not the environment loads it by itself."""

from importlib.metadata import entry_points

import pytest

PLUGIN = "kimi_agent.testing.plugin"
LOADED = any(e.value == PLUGIN for e in entry_points(group="pytest11"))
LOAD = () if LOADED else ("-p", PLUGIN)


def ran(pytester: pytest.Pytester, *options: str, **outcomes: int) -> pytest.RunResult:
    """An inner run with these outcomes."""
    result = pytester.runpytest_inprocess(*LOAD, "-p", "no:cacheprovider", *options)
    result.assert_outcomes(**outcomes)
    return result


def ran_apart(pytester: pytest.Pytester, *options: str, **outcomes: int) -> pytest.RunResult:
    """As `ran`, in a process of its own: nothing is imported there yet, and warnings are errors."""
    result = pytester.runpytest_subprocess(*LOAD, "-p", "no:cacheprovider", "-W", "error", *options)
    result.assert_outcomes(**outcomes)
    return result
