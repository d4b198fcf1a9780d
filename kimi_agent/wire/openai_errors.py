"""Error bodies of OpenAI-compatible endpoints → the exception tree. Pure; the caller redacts all that was not cut here.

Moonshot's own words (platform.kimi.ai, API errors): `{"error": {"type": …, "message": …}}` with 400 `content_filter`,
`invalid_request_error`; 401 `invalid_authentication_error`, `incorrect_api_key_error`; 429 `engine_overloaded_error`,
`rate_limit_reached_error`, and `exceeded_current_quota_error`, which is about money and never gets better by waiting.
"""

import json
import re
import time
from collections.abc import Mapping
from typing import Any

from kimi_agent.errors import (
    AuthenticationError,
    ContextLengthExceeded,
    Overloaded,
    QuotaExceeded,
    RateLimited,
    StatusError,
)
from kimi_agent.redact import excerpt
from kimi_agent.wire.open_json import as_object, as_text

_REQUEST_IDS = ("msh-request-id", "x-request-id", "x-trace-id", "request-id")

# Moonshot has no code for it: "Invalid request: Your request exceeded model token limit: 8192 (requested: 9000)"
# (inspect_ai `_providers/moonshot.py`); vLLM: "This model's maximum context length is 32768 tokens. However, you
# requested …"; SGLang: "The input (40000 tokens) is longer than the model's context length (32768 tokens)." and "Requested
# token count exceeds the model's maximum context length of …"; others: "prompt is too long", `context_length_exceeded`.
_OVERFLOW = re.compile(
    r"exceeded model token limit|maximum context length|context_length_exceeded|model'?s context length|context window"
    r"|(prompt|input)( token length| length)? (is )?too long|exceeds? the (model'?s )?(max\w* )?context",
    re.IGNORECASE,
)
_QUOTA = re.compile(
    r"exceeded_current_quota|insufficient[_ ](account[_ ])?(quota|balance|funds)|exceeded your current quota|billing",
    re.IGNORECASE,
)
_OVERLOAD = re.compile(r"overloaded", re.IGNORECASE)
_STATUS_OF_TYPE = {  # for error objects inside a stream, whose HTTP status was 200
    "invalid_request_error": 400,
    "content_filter": 400,
    "badrequesterror": 400,
    "invalid_authentication_error": 401,
    "incorrect_api_key_error": 401,
    "exceeded_current_quota_error": 429,
    "rate_limit_reached_error": 429,
    "engine_overloaded_error": 429,
}


def request_id_of(headers: Mapping[str, str]) -> str | None:
    """The endpoint's own name of a request, from its answer's headers (any case)."""
    return next((value for name in _REQUEST_IDS if (value := headers.get(name))), None)


def retry_after_of(headers: Mapping[str, str]) -> float | None:
    """Seconds that the endpoint asks to wait: `retry-after-ms`, or `Retry-After` as seconds or as a date."""
    try:
        if milliseconds := headers.get("retry-after-ms"):
            return max(0.0, float(milliseconds) / 1000)
        return max(0.0, float(headers["retry-after"]))
    except KeyError:
        return None
    except ValueError:
        import email.utils  # slow to import

        date = email.utils.parsedate_tz(headers.get("retry-after", ""))
        return None if date is None else max(0.0, email.utils.mktime_tz(date) - time.time())


def status_error(status: int, body: bytes, headers: Mapping[str, str]) -> StatusError:
    """The exception for an HTTP error answer, whatever its body is."""
    try:
        value: Any = json.loads(body)
    except (ValueError, RecursionError):
        value = None
    code, message = _said(value)
    if not message:
        message = _excerpt(body.decode("utf-8", "replace"))
    return _classify(status, code, message, retry_after_of(headers), request_id_of(headers))


def stream_error(error: Any, request_id: str | None) -> StatusError:
    """The exception for an error object that came inside an answer with status 200."""
    code, message = _said({"error": error})
    told = as_object(error) or {}
    numbers = [n for key in ("code", "status", "status_code") if isinstance(n := told.get(key), int) and 400 <= n < 600]
    status = numbers[0] if numbers else _STATUS_OF_TYPE.get((code or "").lower(), 500)
    return _classify(status, code, message or "an error without words", None, request_id)


def _said(value: Any) -> tuple[str | None, str]:
    """The code and the words of an error body: OpenAI's object, vLLM's flat one, FastAPI's `detail`, or a string."""
    body = as_object(value) or {}
    error = body.get("error", body)
    inner = as_object(error)
    if inner is None:
        return None, as_text(error) or ""
    code = as_text(inner.get("type")) or as_text(inner.get("code"))
    if as_text(inner.get("code")) == "context_length_exceeded":
        code = "context_length_exceeded"
    detail = inner.get("message") or inner.get("detail")
    return code, as_text(detail) or (json.dumps(detail, ensure_ascii=False) if detail else "")


def _excerpt(text: str) -> str:
    if "<html" in text[:1000].lower():
        return "the answer is a web page, not an API's: is the base URL right?"
    return excerpt(text, 500)


def _classify(status: int, code: str | None, message: str, retry_after: float | None, request_id: str | None) -> StatusError:
    said = f"{code or ''} {message}"
    text = f"{status}{f' {code}' if code else ''}: {message}".rstrip(": ")
    if status == 402 or (status in (400, 403, 429) and _QUOTA.search(said)):
        kind = QuotaExceeded
    elif status in (401, 403):
        kind = AuthenticationError
    elif status in (503, 529) or (status in (429, 500) and _OVERLOAD.search(said)):
        kind = Overloaded
    elif status == 429:
        kind = RateLimited
    elif status in (400, 413, 422, 500) and _OVERFLOW.search(said):
        kind = ContextLengthExceeded
    else:
        kind = StatusError
    error = kind(text, status=status, code=code, retry_after=retry_after, request_id=request_id)
    if kind is ContextLengthExceeded:
        error.retryable = False
    return error
