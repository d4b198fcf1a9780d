"""`Agent`: what a user configures. Immutable, and shareable between any number of runs."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias, TypedDict

from typing_extensions import Unpack

from kimi_agent.background import background_loop
from kimi_agent.errors import UserError
from kimi_agent.history import NO_RESULT, Conversation, fold
from kimi_agent.limits import Limits
from kimi_agent.messages import AssistantMessage, Content, Message, SystemMessage, ToolMessage, UserMessage
from kimi_agent.models.base import Model
from kimi_agent.models.resolve import resolve_model
from kimi_agent.records import CallDecided, CallFinished, InputAdded
from kimi_agent.result import RunResult, result_of
from kimi_agent.run import Instructions, Plan, PrepareTools, Run, new_id
from kimi_agent.sessions.journal import Journal, MemoryJournal
from kimi_agent.settings import ModelSettings
from kimi_agent.stream import RunStream, drive
from kimi_agent.tooling.approval import Approver, ask_later, declined
from kimi_agent.tooling.dispatch import DispatchRules
from kimi_agent.tooling.hooks import Hooks
from kimi_agent.tooling.result import MAX_RESULT_CHARS, to_content
from kimi_agent.tooling.toolset import ToolLike, as_toolsets

Prompt: TypeAlias = Content | Sequence[Message] | None
_NO_SETTINGS = ModelSettings()


class ResumeOptions(TypedDict, total=False):
    """What may be said anew when a run is taken up.

    Attributes:
        deps: what tools find as `ctx.deps`.
        settings: over the agent's.
        limits: instead of the agent's.
    """

    deps: Any
    settings: ModelSettings
    limits: Limits


class RunOptions(ResumeOptions, total=False):
    """Keyword arguments of `run`, `run_sync` and `stream`.

    Attributes:
        messages: the conversation so far: messages, or OpenAI's dicts.
        journal: where to write what happens; what it holds already is the conversation so far.
        parent_call_id: the call of another run that this one is part of.
    """

    messages: Iterable[Message | Mapping[str, Any]]
    journal: Journal
    parent_call_id: str | None


@dataclass(frozen=True, kw_only=True, eq=False)
class Agent:
    """A model, its instructions and its tools.

        agent = Agent("kimi-k2.6", tools=[get_weather], instructions="Be brief.")
        result = await agent.run("What should I wear in Beijing today?", deps=db)
        result = await agent.run("And tomorrow?", messages=result.messages)
        async for event in agent.stream("…"): ...

    Attributes:
        model: a name ("kimi-k2.6", "embedded", "local", "sglang:http://10.0.0.1:30000" …), a `Model`, or None: what is there.
        tools: functions, `Tool`s, `Toolset`s, or OpenAI tool dicts with their functions in `tool_map`.
        instructions: text, or functions of the `RunContext` (or of nothing), sync or async, asked before each request; or a list.
        name: for logs and traces.
        tool_map: functions of OpenAI tool dicts, by name.
        settings: sampling and the like; a run may override them.
        limits: what ends a run; a run may override them.
        prepare_tools: `(context, tools) -> tools`, asked before each turn: what the model may call in it.
        approver: decides on calls of tools that need approval; by default they wait (`stop_reason == "pending"`).
        hooks: see `Hooks`.
        tool_timeout: seconds for a call whose tool does not say; None: no bound.
        tool_concurrency: calls of one run that run at once.
        max_result_chars: longest tool result of a tool that does not say; longer ones are cut in the middle.
    """

    model: str | Model | None = field(default=None, kw_only=False)
    tools: Iterable[ToolLike] = ()
    instructions: Instructions = ()
    name: str = "agent"
    tool_map: Mapping[str, Callable[..., Any]] = field(default_factory=dict[str, Callable[..., Any]])
    settings: ModelSettings = _NO_SETTINGS
    limits: Limits = field(default_factory=Limits)
    prepare_tools: PrepareTools | None = None
    approver: Approver = ask_later
    hooks: Sequence[Hooks] = ()
    tool_timeout: float | None = 300.0
    tool_concurrency: int = 16
    max_result_chars: int = MAX_RESULT_CHARS

    def __post_init__(self) -> None:
        """Raises ToolDefinitionError for what cannot become a tool; the model is looked up on the first run."""
        if isinstance(self.tools, str) or callable(self.tools):
            raise UserError("tools= takes a list: tools=[…]")
        object.__setattr__(self, "tools", tuple(self.tools))
        object.__setattr__(self, "_toolsets", as_toolsets(self.tools, self.tool_map))
        object.__setattr__(self, "_resolved", None)

    def with_(self, **changes: Any) -> "Agent":
        """A copy with other attributes."""
        return replace(self, **changes)

    async def run(self, prompt: Prompt = None, **options: Unpack[RunOptions]) -> RunResult:
        """Runs to the end, and says why it ended (`RunResult.stop_reason`).

        Args:
            prompt: text, images and files of the user, or whole messages; None where `messages` or `journal` end with them.
            **options: see `RunOptions`.

        Raises:
            ProviderError: the endpoint failed; `error.messages` is the history to go on from.
            UserError: what was asked cannot be done; the text says what to change.
        """
        return await drive(await self._prepared(prompt, options))

    def run_sync(self, prompt: Prompt = None, **options: Unpack[RunOptions]) -> RunResult:
        """As `run`, for code that is not async, also inside a running event loop. Ctrl-C cancels the model call and the tools."""
        return background_loop().run(lambda: self.run(prompt, **options))

    def stream(self, prompt: Prompt = None, **options: Unpack[RunOptions]) -> RunStream:
        """The same run, watched: see `RunStream` and `kimi_agent.events`. Arguments as for `run`."""
        return RunStream(lambda: self._prepared(prompt, options))

    async def resume(
        self,
        source: RunResult | Journal,
        *,
        decisions: Mapping[str, bool | str] | None = None,
        results: Mapping[str, Any] | None = None,
        **options: Unpack[ResumeOptions],
    ) -> RunResult:
        """Takes up a run that waits, or that broke off.

        No finished call runs again. A call that was started and has no result runs again only if its tool is `idempotent`; else
        the model is told that its outcome is unknown.

        Args:
            source: a result whose `stop_reason` is "pending", or the journal of a run that broke off.
            decisions: by call id, for calls that wait for approval: True, False, or the reason of a refusal.
            results: by call id, for calls that wait for a result from outside: as a tool would return it.
            **options: `deps`, `settings` and `limits`, as for `run`.

        Raises:
            ProviderError, UserError: as `run`.
        """
        journal = source.journal if isinstance(source, RunResult) else source
        conversation = fold(await journal.read())
        run = self._new_run(journal, conversation, options, None)
        if conversation.stop_reason == "completed" and not decisions and not results:
            return result_of(conversation, journal)
        run.run_id = conversation.run_id or run.run_id
        open_ids = {c.id: c for c in conversation.unanswered}
        for call_id in (*(decisions or ()), *(results or ())):
            if call_id not in open_ids:
                raise UserError(f"no call {call_id!r} waits; those that do: {', '.join(open_ids) or 'none'}")
        for call_id, decision in (decisions or {}).items():
            reason = decision if isinstance(decision, str) else ""
            await run.record(run.made(CallDecided, call_id=call_id, approved=decision is True, reason=reason))
        for call_id, value in (results or {}).items():
            result = ToolMessage(call_id, open_ids[call_id].name, to_content(value))
            await run.record(run.made(CallFinished, result=result))
        return await drive(run)

    def resume_sync(
        self,
        source: RunResult | Journal,
        *,
        decisions: Mapping[str, bool | str] | None = None,
        results: Mapping[str, Any] | None = None,
        **options: Unpack[ResumeOptions],
    ) -> RunResult:
        """As `resume`, for code that is not async."""
        return background_loop().run(lambda: self.resume(source, decisions=decisions, results=results, **options))

    async def _prepared(self, prompt: Prompt, options: RunOptions) -> Run:
        journal, parent = options.get("journal") or MemoryJournal(), options.get("parent_call_id")
        conversation = fold(await journal.read(), parent)
        run = self._new_run(journal, conversation, options, parent)
        new = _as_messages(prompt)
        for call in conversation.unanswered:
            if new and call.id in conversation.pending:  # the result belongs to the run that made the call, hence that run's id
                text = NO_RESULT if call.id in conversation.started else declined("the user went on without deciding")
                result = ToolMessage(call.id, call.name, text, is_error=True)
                await run.record(CallFinished(run_id=conversation.run_id or "", parent_call_id=parent, result=result))
        if before := _carried(options.get("messages", ())):
            await run.record(run.made(InputAdded, messages=before, new=False))
        if new:
            await run.record(run.made(InputAdded, messages=new))
        elif not run.messages:
            raise UserError("there is nothing to answer: pass a prompt, or messages")
        return run

    def _new_run(
        self, journal: Journal, conversation: Conversation, options: "RunOptions | ResumeOptions", parent_call_id: str | None
    ) -> Run:
        plan = Plan(
            model=self._model(),
            instructions=tuple(
                [self.instructions] if isinstance(self.instructions, str) or callable(self.instructions) else self.instructions
            ),
            toolsets=getattr(self, "_toolsets"),  # noqa: B009
            prepare_tools=self.prepare_tools,
            settings=options.get("settings", _NO_SETTINGS).over(self.settings),
            limits=options.get("limits") or self.limits,
            dispatch=DispatchRules(
                concurrency=self.tool_concurrency, timeout=self.tool_timeout, max_result_chars=self.max_result_chars
            ),
            hooks=tuple(self.hooks),
            approver=self.approver,
            deps=options.get("deps"),
            name=self.name,
        )
        return Run(plan, journal, conversation, new_id("run"), parent_call_id)

    def _model(self) -> Model:
        """Looked up once; an agent may be made where no key is set yet."""
        known: Model | None = getattr(self, "_resolved")  # noqa: B009
        if known is None:
            known = resolve_model(self.model)
            object.__setattr__(self, "_resolved", known)
        return known


def _as_messages(prompt: Prompt) -> tuple[Message, ...]:
    if prompt is None:
        return ()
    kinds = (UserMessage, AssistantMessage, SystemMessage, ToolMessage)
    if isinstance(prompt, kinds):
        return (prompt,)
    if isinstance(prompt, Sequence) and prompt and all(isinstance(m, kinds) for m in prompt):
        return tuple(prompt)  # pyright: ignore[reportReturnType]
    return (UserMessage(prompt),)  # pyright: ignore[reportArgumentType]


def _carried(messages: Iterable[Message | Mapping[str, Any]]) -> tuple[Message, ...]:
    """Messages, or OpenAI's dicts, or both in turn."""
    given = tuple(messages)
    if not any(isinstance(m, Mapping) for m in given):
        return given  # pyright: ignore[reportReturnType]
    from kimi_agent.message_json import from_openai

    if not all(isinstance(m, Mapping) for m in given):
        raise UserError("messages= holds both messages and dicts: turn the dicts into messages with from_openai(…)")
    return from_openai([dict(m) for m in given if isinstance(m, Mapping)])
