"""Exit codes of `kimi-agent`, and which one a run or an error has."""

from kimi_agent.errors import MCPServerError, ProviderError, UserError

OK = 0
FAILED = 1
USAGE = 2
PROVIDER = 3
STOPPED = 4
PENDING = 5
UNFIT = 6
INTERRUPTED = 130

EXIT_CODES = {
    OK: "the run completed",
    FAILED: "an unforeseen error",
    USAGE: "the command line, a tool or the configuration is wrong; the message says what to change",
    PROVIDER: "the endpoint, or an MCP server that is needed, failed",
    STOPPED: "a limit ended the run, or the answer was cut off",
    PENDING: "calls wait for approval",
    UNFIT: "no answer fitted --output",
    INTERRUPTED: "Ctrl-C",
}


def of_stop_reason(reason: str) -> int:
    """The exit code of a run that ended so."""
    return {"completed": OK, "pending": PENDING, "invalid_output": UNFIT, "cancelled": INTERRUPTED}.get(reason, STOPPED)


def of_error(error: BaseException) -> int:
    """The exit code of a run that raised this."""
    if isinstance(error, UserError):
        return USAGE
    if isinstance(error, ProviderError | MCPServerError):
        return PROVIDER
    return INTERRUPTED if isinstance(error, KeyboardInterrupt) else FAILED
