"""Functions of the user that are no tools: what prompts and resources are made of."""

import asyncio
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import mcp_types as types
from mcp.shared.exceptions import MCPError

from kimi_agent.errors import ToolDefinitionError
from kimi_agent.mcp.server.content import masked
from kimi_agent.redact import get_logger
from kimi_agent.tooling.execute import Refused, call, check
from kimi_agent.tooling.tool import Tool

if TYPE_CHECKING:
    from kimi_agent.mcp.server.call import ServedCall

Choices: TypeAlias = Sequence[str] | Callable[..., Any]
_MOST_CHOICES = 100  # as the protocol has it
log = get_logger(__name__)


def as_function(function: Callable[..., Any], name: str | None, description: str | None) -> Tool[..., Any]:
    """The function with its name, its description and its parameters. Raises ToolDefinitionError."""
    return function if isinstance(function, Tool) else Tool(function, name=name, description=description)  # pyright: ignore[reportUnknownVariableType]


async def called(function: Tool[..., Any], served: "ServedCall", arguments: Mapping[str, Any]) -> Any:
    """What the function returns. Raises MCPError for arguments that do not fit, and where it fails or takes too long: with the
    error's text, as a tool would answer."""
    try:
        bound = function.bind(served.context(), check(function, dict(arguments)))
        async with served.place.taken(alone=False), asyncio.timeout(served.serving.timeout):
            return await call(function.is_async, bound)
    except Refused as e:
        raise MCPError(types.INVALID_PARAMS, masked(str(e).split("\nParameters:")[0])) from None
    except MCPError:
        raise
    except Exception as e:
        log.info("%s failed", function.name, exc_info=e)
        raise MCPError(types.INTERNAL_ERROR, masked(f"{function.name} failed: {type(e).__name__}: {e}".rstrip(": "))) from e


async def completed(choices: Choices | None, value: str, arguments: Mapping[str, str]) -> types.Completion:
    """What the value may be completed to: those of the choices that begin with it, or what the user's function finds."""
    if choices is None:
        return types.Completion(values=[], total=0, has_more=False)
    if callable(choices):
        found = await _asked(choices, value, arguments)
    else:
        found = [c for c in choices if c.casefold().startswith(value.casefold())]
    values = [str(v) for v in found]
    return types.Completion(values=values[:_MOST_CHOICES], total=len(values), has_more=len(values) > _MOST_CHOICES)


async def _asked(choices: Callable[..., Any], value: str, arguments: Mapping[str, str]) -> Any:
    try:
        takes_both = len(inspect.signature(choices).parameters) > 1
        found = choices(value, arguments) if takes_both else choices(value)
        return await found if inspect.isawaitable(found) else found
    except Exception as e:
        log.info("a completion failed", exc_info=e)
        raise MCPError(types.INTERNAL_ERROR, masked(f"the completion failed: {type(e).__name__}: {e}")) from e


def check_choices(complete: Mapping[str, Choices], names: Iterable[str], what: str) -> None:
    """Raises ToolDefinitionError for choices of something that there is not."""
    if unknown := sorted(set(complete) - set(names)):
        raise ToolDefinitionError(f"{what}: complete= names {', '.join(unknown)}, which it does not take")
