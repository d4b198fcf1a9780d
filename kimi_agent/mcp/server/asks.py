"""What a running call asks its client: a question to the user, a completion of the client's model, the roots.

In the handshake era a question is a request of the server's own. In the modern era the client's request is answered with the
questions, and the client sends it again with the answers; meanwhile the call waits where it is, and is not run again.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import mcp_types as types
from mcp.shared.exceptions import MCPError
from mcp.shared.message import ServerMessageMetadata
from pydantic import BaseModel, ValidationError

from kimi_agent.errors import KimiAgentError, UserError
from kimi_agent.mcp.server.eras import Request, stream_of

AnswerT = TypeVar("AnswerT", bound=BaseModel)


class ClientRefused(KimiAgentError):
    """The client answered a question of the server with an error, or with something that is no answer."""


@dataclass(slots=True)
class _Question:
    request: types.InputRequest
    answer: asyncio.Future[Any] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Questions:
    """The open questions of one call, for an era in which they are sent as an answer."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._open: dict[str, _Question] = {}
        self._wake = wake
        self._count = 0

    async def ask(self, request: types.InputRequest, key: str | None) -> Any:
        """The client's answer, once a round has brought it."""
        self._count += 1
        name = key or f"question_{self._count}"
        if name in self._open:
            raise UserError(f"a question {name!r} is open already: give each a key of its own")
        question = self._open[name] = _Question(request)
        self._wake()
        try:
            return await question.answer
        finally:
            self._open.pop(name, None)

    @property
    def pending(self) -> dict[str, types.InputRequest]:
        """What the client is still to answer."""
        return {key: q.request for key, q in self._open.items() if not q.answer.done()}

    def take(self, answers: Mapping[str, Any]) -> None:
        """Answers of a round. What nobody asked is left out."""
        for key, answer in answers.items():
            if (question := self._open.get(key)) is not None and not question.answer.done():
                question.answer.set_result(answer)


async def ask_now(request: Request, question: types.InputRequest, kind: type[AnswerT], timeout: float) -> AnswerT:
    """Asks in mid-call, as the handshake era has it. Raises ClientRefused, and UserError where the client cannot be reached."""
    send = request.session.send_request
    try:
        async with asyncio.timeout(timeout):
            asking = send(question, kind, metadata=ServerMessageMetadata(related_request_id=request.request_id))
            return await _unless_ended(stream_of(request), question.method, asking)
    except MCPError as e:
        raise ClientRefused(f"the client refused {question.method}: {e.message}") from e
    except ValidationError as e:
        raise ClientRefused(f"the client's answer to {question.method} is none") from e
    except TimeoutError:
        raise ClientRefused(f"the client did not answer {question.method} within {timeout:g} s") from None


async def _unless_ended(stream: asyncio.Event | None, method: str, asking: Coroutine[Any, Any, AnswerT]) -> AnswerT:
    """The answer. Raises ClientRefused once the stream has ended on which the client was asked, since none will come."""
    if stream is None:
        return await asking
    answer, ended = asyncio.ensure_future(asking), asyncio.ensure_future(stream.wait())
    try:
        await asyncio.wait([answer, ended], return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            raise ClientRefused(f"the client hung up before it answered {method}")
        return answer.result()
    finally:
        answer.cancel()
        ended.cancel()
        await asyncio.wait([answer, ended])


def answer_of(question: types.InputRequest, answer: Any, kind: type[AnswerT]) -> AnswerT:
    """Raises ClientRefused for an answer to something else."""
    if isinstance(answer, kind):
        return answer
    try:
        return kind.model_validate(answer.model_dump(by_alias=True))  # the same thing, as a wider type
    except (ValidationError, AttributeError):
        raise ClientRefused(f"the client's answer to {question.method} is none: it is a {type(answer).__name__}") from None
