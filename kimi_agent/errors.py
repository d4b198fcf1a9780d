"""The exception tree, split by who is to blame. What the *model* should see is never an exception: it is a tool result.

KimiAgentError
├── UserError                  the caller's mistake: the message says what to change
│   ├── ToolDefinitionError    a function or schema that cannot become a tool
│   └── NoOutput               the output of a run that ended without one was asked for
├── MCPServerError             an MCP server cannot be reached, or failed; `server`
└── ProviderError              the endpoint's failure; `status`, `request_id`, `retryable`
    ├── ConnectionFailed       no connection, or it broke before the first byte of an answer
    ├── ProviderTimeout        connect, first byte, idle stream, the whole call, or the wait for a place
    ├── StreamBroken           an answer began and did not end
    ├── BadResponse            an answer that is not one
    └── StatusError            an HTTP error status
        ├── AuthenticationError    401, 403
        ├── QuotaExceeded          money or quota is used up: trying again does not help
        ├── RateLimited            429
        │   └── Overloaded         503, 529 and the like
        ├── BadRequest             the request itself is refused: a setting, a schema, a name, a content filter
        └── ContextLengthExceeded  the request does not fit the model's context

ModelRetry                     raised *by a tool*: its text goes to the model, which may call again
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kimi_agent.messages import Message


class KimiAgentError(Exception):
    """Base of everything that this library raises on purpose.

    Attributes:
        messages: where a run raised it, the run's legal history so far, to go on from
            (`agent.run(…, messages=error.messages)`).
    """

    messages: tuple["Message", ...] = ()

    def __reduce__(self) -> Any:
        """Errors cross process borders whole, whatever their constructors take."""
        return _rebuilt, (type(self), self.args, self.__dict__)


def _rebuilt(kind: type[KimiAgentError], args: tuple[Any, ...], state: dict[str, Any]) -> KimiAgentError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class UserError(KimiAgentError):
    """The caller's mistake; the message says what to change."""


class ToolDefinitionError(UserError):
    """A function or a schema cannot become a tool."""


class NoOutput(UserError):
    """The typed output of a run was asked for that ended without one: look at `stop_reason` first."""


class MCPServerError(KimiAgentError):
    """An MCP server cannot be started or reached, or it failed. Inside a run it is no exception, but the result of the call.

    Attributes:
        server: the server's name.
    """

    def __init__(self, message: str, *, server: str = "") -> None:
        super().__init__(message)
        self.server = server


class ProviderError(KimiAgentError):
    """The endpoint failed.

    Attributes:
        retryable: whether the same request may succeed later.
        request_id: the endpoint's own name for the request, for its support; None where it gave none.
    """

    retryable: bool = False

    def __init__(self, message: str, *, request_id: str | None = None) -> None:
        super().__init__(message)
        self.request_id = request_id
        self.messages: tuple[Message, ...] = ()

    @property
    def status(self) -> int | None:
        """The HTTP status of the endpoint's answer; None where there was none, or where it was no error."""
        return None


class ConnectionFailed(ProviderError):
    """No connection to the endpoint, or it broke before the first byte of an answer."""

    retryable = True


class ProviderTimeout(ProviderError):
    """A time-out expired; `phase` is "connect", "first byte", "idle" or "total"; "queue" for the wait of a `Limiter`."""

    retryable = True

    def __init__(self, message: str, *, phase: str, request_id: str | None = None) -> None:
        super().__init__(message, request_id=request_id)
        self.phase = phase


class StreamBroken(ProviderError):
    """An answer began and did not end."""

    retryable = True


class BadResponse(ProviderError):
    """The endpoint answered with something that is not a model's answer.

    Retryable where it was JSON without an answer in it, as resellers give when theirs fails; not where it was no JSON at all,
    such as a web page.
    """

    def __init__(self, message: str, *, request_id: str | None = None, retryable: bool = False) -> None:
        super().__init__(message, request_id=request_id)
        self.retryable = retryable


class StatusError(ProviderError):
    """The endpoint answered with an HTTP error status.

    Attributes:
        code: the `type` or `code` of the endpoint's error object, if it sent one.
        retry_after: seconds that the endpoint asked to wait, if it did.
    """

    _passes: bool | None = None  # whether trying again helps; None: the status decides

    def __init__(
        self, message: str, *, status: int, code: str | None = None, retry_after: float | None = None, request_id: str | None = None
    ) -> None:
        super().__init__(message, request_id=request_id)
        self._status = status
        self.code = code
        self.retry_after = retry_after
        self.retryable = self._passes if self._passes is not None else status in (408, 409, 425) or status >= 500

    @property
    def status(self) -> int:
        """The HTTP status; where the error came inside an answer with status 200, the one that it stands for."""
        return self._status


class AuthenticationError(StatusError):
    """The key is missing, wrong, or not allowed to do this."""

    _passes = False


class QuotaExceeded(StatusError):
    """Money or quota is used up: trying again does not help."""

    _passes = False


class RateLimited(StatusError):
    """Too many requests; `retry_after` says how long to wait where the endpoint told."""

    _passes = True


class Overloaded(RateLimited):
    """The endpoint has too much to do."""


class BadRequest(StatusError):
    """The endpoint refuses the request itself: a setting, a schema, an unknown model, or a content filter (`code` says so)."""

    _passes = False


class ContextLengthExceeded(StatusError):
    """The request does not fit the model's context."""

    _passes = False


class ModelRetry(Exception):
    """Raised by a tool: the text goes to the model, which may call again with other arguments, within the tool's budget."""
