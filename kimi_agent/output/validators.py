"""An output validator: a function of the value, or of context and value."""

import inspect
from typing import Any

from kimi_agent.errors import UserError
from kimi_agent.output.spec import OutputValidator
from kimi_agent.tooling.context import RunContext
from kimi_agent.tooling.execute import call

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class Validator:
    """Calls the function as it wants to be called, on the loop or in a thread."""

    def __init__(self, function: OutputValidator) -> None:
        """Raises UserError for what is no function of one or two values."""
        try:
            parameters = inspect.signature(function).parameters.values()
        except (TypeError, ValueError) as e:
            raise UserError(f"{function!r} is no output validator: pass a function of the value, or of context and value") from e
        needed = [p for p in parameters if p.kind in _POSITIONAL and p.default is p.empty]
        if len(needed) > 2:
            raise UserError(f"{function!r} takes {len(needed)} values: an output validator takes the value, or context and value")
        self._function, self._with_context = function, len(needed) == 2
        self._is_async = inspect.iscoroutinefunction(function)

    async def __call__(self, context: RunContext[Any], value: Any) -> Any:
        """The value as the function leaves it. Raises what it raises."""
        function = self._function
        bound = (lambda: function(context, value)) if self._with_context else (lambda: function(value))
        return await call(self._is_async, bound)
