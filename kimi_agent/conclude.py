"""How a run ends that the model ends: with text, or with a typed answer, or with the model being asked again."""

from kimi_agent.errors import ModelRetry
from kimi_agent.messages import AssistantMessage, UserMessage
from kimi_agent.output.output import OutputTool
from kimi_agent.output.text import fitting, json_in
from kimi_agent.records import InputAdded
from kimi_agent.run import AnyTool, Run
from kimi_agent.tooling.execute import run_tool
from kimi_agent.tooling.result import ToolResult
from kimi_agent.tooling.signature import InvalidArguments

INVALID = "invalid_output"


async def concluded(run: Run, message: AssistantMessage, tools: dict[str, AnyTool]) -> str | None:
    """The stop reason, if the run is over with this turn, whose calls all have their results; else None."""
    output = run.plan.output
    if run.accepted:
        return "completed"
    if message.tool_calls:
        unfit = any(isinstance(tools.get(c.name), OutputTool) for c in message.tool_calls)
        return _count_unfit(run) if unfit else None
    if run.inbox:
        return None
    if message.finish_reason == "length":
        return "length"
    if output.plain:
        return "completed"
    try:
        await _read(run, message.text)
        return "completed"
    except (InvalidArguments, ModelRetry) as e:
        if (stop := _count_unfit(run)) is None:
            await run.record(run.made(InputAdded, messages=(UserMessage(_again(run, str(e))),)))
        return stop


def _count_unfit(run: Run) -> str | None:
    run.unfit_outputs += 1
    return INVALID if run.unfit_outputs > run.plan.output.rules.retries else None


async def _read(run: Run, text: str) -> None:
    """Takes a text as the answer: as JSON where it fits a choice, in whatever way it was asked for, else as it stands where text is
    allowed. Raises InvalidArguments and ModelRetry, with a text for the model."""
    output = run.plan.output
    try:
        choice, arguments = fitting(output.choices, json_in(text))
    except InvalidArguments:
        if not output.text_allowed:
            raise
        await run.accept(await output.checked(run.context(), text), "")
        return
    tool, dispatch = output.tools[choice.name], run.plan.dispatch
    given = await run_tool(tool, run.context(tool_name=tool.name), arguments, dispatch.timeout)
    if not run.accepted:
        problem = given.content if isinstance(given, ToolResult) else given.reason
        raise InvalidArguments(problem if isinstance(problem, str) else str(problem))


def _again(run: Run, problem: str) -> str:
    output = run.plan.output
    if output.mode(run.plan.model.profile) == "tool" and output.tools:
        way = f"Give it by calling {' or '.join(output.tools)}."
    elif output.choices:
        way = "Give it again, as one JSON value and nothing else."
    else:
        way = "Give it again."
    return f"This is not a valid answer: {problem}\n{way}"
