"""`Agent`: what a user configures. Immutable, and shareable between any number of runs."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Generic, Self, cast

from typing_extensions import Unpack

from kimi_agent.background import background_loop
from kimi_agent.begin import Prompt, ResumeOptions, RunOptions, answer, as_messages, begin, carried, check_options
from kimi_agent.errors import UserError
from kimi_agent.healing import Healing
from kimi_agent.history import Conversation, fold
from kimi_agent.limits import Limits
from kimi_agent.models.base import Model
from kimi_agent.models.resolve import resolve_model
from kimi_agent.output.output import Output, output_of
from kimi_agent.output.spec import OutputSpec, OutputT, OutputValidator
from kimi_agent.result import RunResult, result_of
from kimi_agent.run import Instructions, Plan, PrepareTools, Run, new_id
from kimi_agent.sessions.journal import Journal, MemoryJournal, claim, release
from kimi_agent.settings import ModelSettings
from kimi_agent.stand_in import stand_in_for, standing_in
from kimi_agent.stream import RunStream, drive
from kimi_agent.tooling.approval import Approver, ask_later
from kimi_agent.tooling.dispatch import DispatchRules
from kimi_agent.tooling.hooks import Hooks, check_hooks
from kimi_agent.tooling.result import MAX_RESULT_CHARS
from kimi_agent.tooling.search import ToolSearch
from kimi_agent.tooling.toolset import ToolLike, as_toolsets

_NO_SETTINGS = ModelSettings()


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Agent(Generic[OutputT]):
    """A model, its instructions and its tools.

        agent = Agent("kimi-k2.6", tools=[get_weather], instructions="Be brief.")
        result = await agent.run("What should I wear in Beijing today?", deps=db)
        result = await agent.run("And tomorrow?", messages=result.messages)
        async for event in agent.stream("…"): ...

    Attributes:
        model: a name ("kimi-k2.6", "embedded", "local", "sglang:http://10.0.0.1:30000" …), a `Model`, or None: what is there.
        tools: functions, `Tool`s, `Toolset`s, or OpenAI tool dicts with their functions in `tool_map`.
        instructions: text, or functions of the `RunContext` (or of nothing), sync or async, asked before each request; or a list.
        output: what the answer is: a type, several, a function, or a `JsonSchema`; by default text. See `kimi_agent.output.spec`.
        output_validators: `(value) -> value` or `(context, value) -> value`, in order; raise ModelRetry to have it given anew.
        output_retries: how often the model may be asked again for an answer that does not fit, in one run.
        name: for logs and traces.
        tool_map: functions of OpenAI tool dicts, by name.
        settings: sampling and the like; a run may override them.
        limits: what ends a run; a run may override them.
        prepare_tools: `(context, tools) -> tools`, asked before each turn: what the model may call in it.
        tool_search_above: with more tools than this, the model is given a search for those that are `deferrable`, instead of all of
            them; None: never.
        approver: decides on calls of tools that need approval; by default they wait (`stop_reason == "pending"`).
        hooks: see `Hooks`.
        healing: what a run puts right by itself; see `Healing`.
        tool_timeout: seconds for a call whose tool does not say; None: no bound.
        tool_concurrency: calls of one run that run at once.
        max_result_chars: longest tool result of a tool that does not say; longer ones are cut in the middle.
    """

    model: str | Model | None = field(default=None, kw_only=False)
    tools: Iterable[ToolLike] = ()
    instructions: Instructions = ()
    output: OutputSpec[OutputT] = str  # pyright: ignore[reportAssignmentType] - it makes OutputT str where nothing is said
    output_validators: Sequence[OutputValidator] = ()
    output_retries: int = 2
    name: str = "agent"
    tool_map: Mapping[str, Callable[..., Any]] = field(default_factory=dict[str, Callable[..., Any]])
    settings: ModelSettings = _NO_SETTINGS
    limits: Limits = field(default_factory=Limits)
    prepare_tools: PrepareTools | None = None
    tool_search_above: int | None = 40
    approver: Approver = ask_later
    hooks: Sequence[Hooks] = ()
    healing: Healing = field(default_factory=Healing)
    tool_timeout: float | None = 300.0
    tool_concurrency: int = 16
    max_result_chars: int = MAX_RESULT_CHARS

    def __post_init__(self) -> None:
        """Raises ToolDefinitionError for what cannot become a tool; the model is looked up on the first run."""
        _check_types(self)
        object.__setattr__(self, "tools", tuple(self.tools))
        object.__setattr__(self, "_toolsets", as_toolsets(self.tools, self.tool_map))
        object.__setattr__(self, "_search", ToolSearch(self.tool_search_above))
        object.__setattr__(self, "_resolved", None)
        object.__setattr__(self, "_output", output_of(self.output, self.output_validators, self.output_retries))

    def __repr__(self) -> str:
        return f"Agent({self.name!r}, tools={len(tuple(self.tools))})"

    def with_(self, **changes: Any) -> Self:
        """A copy with other attributes. Raises UserError for one that there is not."""
        try:
            return replace(self, **changes)
        except TypeError as e:
            raise UserError(f"an Agent cannot be made with these: {e}") from e

    def override(self, *, everywhere: bool = False, **changes: Any) -> AbstractContextManager[None]:
        """Within the block, runs of this agent have other attributes: `with agent.override(model=ScriptedModel([…])): …`

        Holds for what the block calls and the tasks that it starts, and not for what runs beside it; with `everywhere` for all runs
        of this process: for fixtures, whose block the test itself does not stand in. Raises UserError for what an agent has not.
        """
        return standing_in(self, lambda agent: agent.with_(**changes), everywhere=everywhere)

    async def run(self, prompt: Prompt = None, **options: Unpack[RunOptions]) -> RunResult[OutputT]:
        """Runs to the end, and says why it ended (`RunResult.stop_reason`).

        Args:
            prompt: text, images and files of the user, or whole messages; None where `messages` or `journal` end with them.
            **options: see `RunOptions`.

        Raises:
            ProviderError: the endpoint failed; `error.messages` is the history to go on from.
            UserError: what was asked cannot be done; the text says what to change.
        """
        check_options("run", options, RunOptions)
        return await drive(await self._current._prepared(prompt, options))

    def run_sync(self, prompt: Prompt = None, **options: Unpack[RunOptions]) -> RunResult[OutputT]:
        """As `run`, for code that is not async, also inside a running event loop. Ctrl-C cancels the model call and the tools."""
        return background_loop().run(lambda: self.run(prompt, **options))

    def stream(self, prompt: Prompt = None, **options: Unpack[RunOptions]) -> RunStream[OutputT]:
        """The same run, watched: see `RunStream` and `kimi_agent.events`. Arguments as for `run`."""
        check_options("stream", options, RunOptions)
        agent = self._current  # a stream is often read outside the block in which it was made
        return RunStream(partial(agent._prepared, prompt, options))

    async def resume(
        self,
        source: RunResult[Any] | Journal,
        *,
        decisions: Mapping[str, bool | str] | None = None,
        results: Mapping[str, Any] | None = None,
        **options: Unpack[ResumeOptions],
    ) -> RunResult[OutputT]:
        """Takes up a run that waits, or that broke off.

        No finished call runs again. A call that was started and has no result runs again only if its tool is `idempotent`; else
        the model is told that its outcome is unknown.

        Args:
            source: a result whose `stop_reason` is "pending", or the journal of a run that broke off.
            decisions: by call id, for calls that wait for approval: True, False, or the reason of a refusal.
            results: by call id, for calls that wait for a result from outside: as a tool would return it.
            **options: `deps` (those of the result, if nothing is said), `settings` and `limits`, as for `run`.

        Raises:
            ProviderError, UserError: as `run`.
        """
        check_options("resume", options, ResumeOptions)
        journal = source.journal if isinstance(source, RunResult) else source
        if isinstance(source, RunResult):
            options.setdefault("deps", source.deps)
        if not hasattr(journal, "read"):
            raise UserError("resume takes the RunResult of a run that waits, or a Journal; messages go to run(messages=…)")
        claim(journal, None)
        try:
            conversation = fold(await journal.read())
            if conversation.stop_reason == "completed" and not decisions and not results:
                release(journal, None)
                return result_of(conversation, journal, self._current._checked_output)
            run = self._current._new_run(journal, conversation, options, None)
            run.run_id = conversation.run_id or run.run_id
            run.output = source.outputs or None if isinstance(source, RunResult) and run.accepted else None
            await answer(run, decisions or {}, results or {})
        except BaseException:
            release(journal, None)
            raise
        return await drive(run)

    def resume_sync(
        self,
        source: RunResult[Any] | Journal,
        *,
        decisions: Mapping[str, bool | str] | None = None,
        results: Mapping[str, Any] | None = None,
        **options: Unpack[ResumeOptions],
    ) -> RunResult[OutputT]:
        """As `resume`, for code that is not async."""
        return background_loop().run(lambda: self.resume(source, decisions=decisions, results=results, **options))

    async def _prepared(self, prompt: Prompt, options: RunOptions) -> Run:
        """A run that is ready to go, with the journal claimed for it; `drive` gives it back."""
        new = as_messages(prompt)
        before = carried(options.get("messages", ()))
        journal, parent = options.get("journal") or MemoryJournal(), options.get("parent_call_id")
        claim(journal, parent)
        try:
            conversation = fold(await journal.read(), parent)
            run = self._new_run(journal, conversation, options, parent)
            await begin(run, before, new)
        except BaseException:
            release(journal, parent)
            raise
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
            search=getattr(self, "_search"),  # noqa: B009
            settings=options.get("settings", _NO_SETTINGS).over(self.settings),
            limits=options.get("limits") or self.limits,
            dispatch=DispatchRules(
                concurrency=self.tool_concurrency, timeout=self.tool_timeout, max_result_chars=self.max_result_chars
            ),
            hooks=tuple(self.hooks),
            approver=self.approver,
            output=self._checked_output,
            healing=self.healing,
            deps=options.get("deps"),
            name=self.name,
        )
        return Run(plan, journal, conversation, new_id("run"), parent_call_id)

    @property
    def _current(self) -> "Agent[OutputT]":
        """This agent, or what stands for it here; see `override`."""
        return stand_in_for(self)

    @property
    def _checked_output(self) -> Output:
        return getattr(self, "_output")  # noqa: B009

    def _model(self) -> Model:
        """Looked up once; an agent may be made where no key is set yet."""
        known: Model | None = getattr(self, "_resolved")  # noqa: B009
        if known is None:
            known = resolve_model(self.model)
            object.__setattr__(self, "_resolved", known)
        return known


def _check_types(agent: Agent[Any]) -> None:
    """Slips that would show late and far away. Raises UserError."""
    if isinstance(agent.tools, str | Mapping) or callable(agent.tools):
        raise UserError("tools= takes a list: tools=[…]")
    check_hooks(agent.hooks)
    settings, limits, model = cast(tuple[Any, ...], (agent.settings, agent.limits, agent.model))  # callers may not check types
    if not isinstance(settings, ModelSettings) or not isinstance(limits, Limits):
        raise UserError("settings= takes ModelSettings(…), limits= takes Limits(…)")
    if not isinstance(cast(Any, agent.healing), Healing):
        raise UserError("healing= takes Healing(…)")
    if model is not None and not isinstance(model, str) and not callable(getattr(model, "stream", None)):  # reads no property
        raise UserError(f"model= takes a name or a Model, not {type(model).__name__}")
    if agent.tool_search_above is not None and agent.tool_search_above < 0:
        raise UserError("tool_search_above is a number of tools, or None: all are told, however many there are")
    if agent.tool_concurrency < 1:
        raise UserError("tool_concurrency is at least 1")
