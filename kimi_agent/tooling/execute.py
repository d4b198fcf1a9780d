"""One call: found, checked, approved, run in time, and answered, whatever happens."""

import asyncio
import inspect
import json
import math
import re
import threading
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from kimi_agent.errors import ModelRetry
from kimi_agent.redact import get_logger
from kimi_agent.tooling.context import RunContext
from kimi_agent.tooling.result import Pending, ToolResult, to_content
from kimi_agent.tooling.signature import InvalidArguments
from kimi_agent.tooling.tool import Tool
from kimi_agent.tooling.workers import ThreadExit, shared_pool

log = get_logger(__name__)
_MOST_NAMES = 50


class Refused(Exception):
    """The call cannot run; the text is for the model."""


def find(tools: Mapping[str, Tool[..., Any]], name: str) -> Tool[..., Any]:
    """Raises Refused with the nearest names where there is no such tool, or it cannot be called."""
    if found := tools.get(name):
        if not found.usable:
            raise Refused(f"{name} cannot be called: it describes its parameters in a way that nobody can check.")
        return found
    near = _nearest(tools, name)
    hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
    raise Refused(f"There is no tool named {name!r}.{hint}{_there(tools)}")


def _nearest(tools: Mapping[str, Tool[..., Any]], name: str) -> list[str]:
    """At most three. A tool that goes by a longer name, or by a shorter one again, is near by its other name."""
    import difflib  # only here

    other = [own for own, each in tools.items() if each.qualified == name or own.endswith(f"__{name}")]
    return (other or difflib.get_close_matches(name, tools, n=3, cutoff=0.5))[:3]


def _there(tools: Mapping[str, Tool[..., Any]]) -> str:
    """What there is: of very many tools, those that are always told of come first, and the search for others is one of them."""
    if not tools:
        return " There are no tools."
    names = list(tools) if len(tools) <= _MOST_NAMES else sorted(tools, key=lambda name: tools[name].rules.deferrable)
    rest = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return f" Tools: {', '.join(names[:_MOST_NAMES])}{rest}."


def parse(arguments: str, tool: Tool[..., Any] | None = None) -> dict[str, Any]:
    """Raises Refused unless the text is one JSON object; its text quotes what was written, since an endpoint is sent `{}` for it.
    Control characters in strings are let through, as models write them; some engines write `null` for no arguments."""
    try:
        value = DECODER.decode(arguments)
    except (ValueError, RecursionError) as e:
        problem = f"The arguments are not valid JSON ({e})."
    else:
        if value is None:
            return {}
        if isinstance(value, dict):
            return value if _HALF.search(arguments) is None else _without_halves(value)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        problem = f"The arguments must be one JSON object, not {type(value).__name__}."
    wanted = f"\nParameters: {_schema(tool)}" if tool is not None else ""
    raise Refused(f"{problem} You wrote: {_excerpt(arguments)}{wanted}\nMake the call again, with one JSON object.")


def _without_halves(value: dict[str, Any]) -> dict[str, Any]:
    """Half an emoji, which a model may write as an escape, has no bytes in any encoding: it becomes U+FFFD."""
    text = json.dumps(value, ensure_ascii=False)
    return json.loads(text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace"))


def _excerpt(text: str, most: int = 400) -> str:
    return text if len(text) <= most else f"{text[: most // 2]} … {text[-most // 2 :]}"


def _schema(tool: Tool[..., Any]) -> str:
    schema = json.dumps(tool.parameters, ensure_ascii=False)
    return schema if len(schema) <= 2000 else ", ".join(tool.parameters["properties"])


def _no_number(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError(f"{digits} is too large a number")
    return number


_HALF = re.compile(r"\\u[dD][89a-fA-F]")
# `json.loads` would make one a call
DECODER = json.JSONDecoder(strict=False, parse_constant=_no_number, parse_float=_finite)


def check(tool: Tool[..., Any], arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments as the function wants them. Raises Refused with what is wrong and what is right."""
    try:
        return tool.validate(arguments)
    except InvalidArguments as e:
        raise Refused(f"Invalid arguments for {tool.name}:\n{e}\nParameters: {_schema(tool)}\nMake the call again.") from None


async def run_tool(
    tool: Tool[..., Any], context: RunContext[Any], arguments: Mapping[str, Any], timeout: float | None
) -> ToolResult | Pending:
    """Runs the function within the time-out, in seconds; what it raises becomes a result, but ModelRetry, which is raised."""
    clock = asyncio.timeout(timeout)
    try:
        async with clock:
            value = await call(tool.is_async, tool.bind(context, arguments))
        return value if isinstance(value, ToolResult | Pending) else ToolResult(to_content(value), value=value)
    except (ModelRetry, asyncio.CancelledError) as e:
        if isinstance(e, asyncio.CancelledError) and not cancelled_from_outside():
            return ToolResult("The tool was cancelled from within.", is_error=True)
        raise
    except TimeoutError as e:
        if not clock.expired():
            return _failure(tool.name, e)
        rest = "" if tool.is_async else " Its thread cannot be stopped: what it does may still take effect."
        return ToolResult(f"{tool.name} did not finish within {timeout:g} s.{rest}", is_error=True)
    except (KeyboardInterrupt, GeneratorExit) as e:
        if threading.current_thread() is threading.main_thread():
            raise  # somebody's Ctrl-C, or the end of the loop
        return _failure(tool.name, e)
    except BaseException as e:  # sys.exit(), a panic of an extension: whatever a tool raises, its call is answered
        return _failure(tool.name, e.original if isinstance(e, ThreadExit) else e)


def cancelled_from_outside() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _failure(name: str, error: BaseException) -> ToolResult:
    log.info("tool %s failed", name, exc_info=error)
    try:
        text = str(error)
    except Exception as e:
        text = f"(its text cannot be had: {type(e).__name__})"
    return ToolResult(f"{type(error).__name__}: {text}" if text else type(error).__name__, is_error=True)


async def call(is_async: bool, bound: Callable[[], Any]) -> Any:
    """Async functions on the loop, others in a thread; an async generator's items as a list."""
    value = bound() if is_async else await shared_pool().run(bound)
    if inspect.isawaitable(value):
        value = await value
    if inspect.isasyncgen(value):
        return [item async for item in value]
    if inspect.isgenerator(value):
        return await shared_pool().run(lambda: list(value))  # pyright: ignore[reportUnknownArgumentType, reportUnknownLambdaType]
    return value
