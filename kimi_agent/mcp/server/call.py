"""`ServedCall`: one request of a client that runs code of ours, as that code sees it through its `RunContext`."""

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
import mcp_types as types
from mcp.shared.exceptions import MCPError
from pydantic import BaseModel

from kimi_agent.errors import UserError
from kimi_agent.limits import Usage
from kimi_agent.mcp.server.asks import Questions, answer_of, ask_now
from kimi_agent.mcp.server.eras import Request, is_modern
from kimi_agent.mcp.server.gate import Place
from kimi_agent.mcp.server.outbox import LEVELS, Note, Outbox, Progress
from kimi_agent.mcp.server.sampling import ask_model
from kimi_agent.messages import AssistantMessage, Content, Message
from kimi_agent.run import new_id
from kimi_agent.settings import ModelSettings
from kimi_agent.tooling.context import RunContext

if TYPE_CHECKING:
    from kimi_agent.mcp.server.serving import Serving

AnswerT = TypeVar("AnswerT", bound=BaseModel)
_GRACE = 5.0  # seconds that a cancelled call may take to clean up, before its client is no longer kept waiting
_LET_OTHERS_ASK = 10  # turns of the event loop in which questions asked side by side come together


class ServedCall:
    """Runs one coroutine in a task of its own, over as many rounds as its questions need. It is the `RunView` of that code."""

    parent_call_id: str | None = None
    messages: tuple[Message, ...] = ()
    usage = Usage()
    turn = 0

    def __init__(self, serving: "Serving", request: Request) -> None:
        self.serving, self.request = serving, request
        self.run_id = new_id("mcp")
        self.cancel_reason: str | None = None
        self.refusal: Exception | None = None
        self._place = serving.gate.place()
        self._task: asyncio.Task[Any] | None = None
        self._over = False
        self._news = asyncio.Event()
        self._outbox = Outbox(self._wake)
        self._questions = Questions(self._wake)

    @property
    def place(self) -> Place:
        """Its place among the calls that run."""
        return self._place

    def context(self, tool_name: str = "") -> RunContext[Any]:
        """For tools, prompts and resources."""
        return RunContext(self.serving.deps, self, self.run_id, tool_name)

    # ── what code of ours may do through its context ────────────────────────────────────────────────────────────────────────────

    def inject(self, content: Content) -> None:
        """There is no conversation to add to."""
        raise UserError("ctx.inject() needs an agent's run: this tool is called by an MCP client, which has the conversation")

    def cancel(self, reason: str = "cancelled") -> None:
        """Ends this call; the client is told the reason. From any thread."""
        self.cancel_reason = reason
        self._place.end()
        if self._task is not None:
            self.serving.soon(self._task.cancel)

    def report(self, call_id: str, text: str, progress: float | None = None, total: float | None = None) -> None:
        """A progress notification, where the client asked for them."""
        if not self._over:
            self._outbox.put(Progress(text, progress, total))

    def log(self, call_id: str, level: str, text: str, source: str = "") -> None:
        """A log message, where the client wants this level; one that the protocol does not have is "info"."""
        if not self._over:
            self._outbox.put(Note(level if level in LEVELS else "info", text, source))

    async def ask_model(
        self, call_id: str, messages: Sequence[Message], instructions: str = "", settings: ModelSettings | None = None
    ) -> AssistantMessage:
        """Asks the client's model (sampling). Raises UserError where the client offers none, and ClientRefused."""
        return await ask_model(self, messages, instructions, settings or ModelSettings())

    async def ask(self, question: types.InputRequest, kind: type[AnswerT], key: str | None = None) -> AnswerT:
        """Asks the client, in the way of its era. Raises ClientRefused, also where too many wait for answers already."""
        self.serving.asking.admit(self, self.request)
        async with self._place.left():
            return await self._ask(question, kind, key)

    async def _ask(self, question: types.InputRequest, kind: type[AnswerT], key: str | None) -> AnswerT:
        if is_modern(self.request):
            return answer_of(question, await self._questions.ask(question, key), kind)
        await self._outbox.send(self.request)  # what was said before the question is heard before it
        return await ask_now(self.request, question, kind, self.serving.ask_timeout)

    # ── how it is served ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def start(self, work: Coroutine[Any, Any, Any]) -> None:
        """Begins; the outcome is for `round`."""
        self._task = asyncio.create_task(work, name=f"mcp {self.request.method} {self.run_id}")
        self._task.add_done_callback(self._ended)
        self.serving.calls.add(self)

    async def round(self, request: Request) -> Any:
        """Serves the call on this request: to its end, or until it asks and has to be answered by another request; then None.

        Raises what the work raised.
        """
        assert self._task is not None
        self.request = request
        while True:
            self._news.clear()
            ended = self._task.done()
            await self._outbox.send(request)
            if ended:
                if self._task.cancelled():
                    raise MCPError(types.INTERNAL_ERROR, "The call was ended: the server is shutting down, or has waited too long")
                return self._task.result()
            if self._questions.pending and is_modern(request):
                for _ in range(_LET_OTHERS_ASK):
                    await asyncio.sleep(0)
                await self._outbox.send(request)
                if self._questions.pending:
                    return None
                continue
            await self._news.wait()

    @property
    def questions(self) -> dict[str, types.InputRequest]:
        """What the client is to answer before the call can go on."""
        return self._questions.pending

    def answer(self, answers: Mapping[str, Any]) -> None:
        """What the client answered."""
        self._questions.take(answers)

    async def stop(self) -> None:
        """Cancels, and waits until it is gone. A synchronous tool's thread cannot be stopped, and is given up."""
        if self._task is None:
            return
        self._place.end()
        self._task.cancel()
        with anyio.CancelScope(shield=True):
            await asyncio.wait([self._task], timeout=_GRACE)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._over = True
        self.serving.calls.discard(self)
        self.serving.asking.forget(self)
        self._news.set()
        if not task.cancelled():
            task.exception()  # where its client is gone nobody reads it

    def _wake(self) -> None:
        if not self._news.is_set():  # else the round is about to look anyway
            self.serving.soon(self._news.set)
