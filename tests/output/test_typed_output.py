"""What a user gets from `Agent(output=…)`, whatever the model answers."""

import asyncio
from dataclasses import dataclass
from typing import Annotated, Any, Generic, Literal, TypeVar

import pytest
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from kimi_agent import (
    Agent,
    JsonSchema,
    Limits,
    ModelRetry,
    ModelSettings,
    NativeOutput,
    NoOutput,
    Profile,
    PromptedOutput,
    Reply,
    RunContext,
    RunResult,
    ScriptedCall,
    ScriptedModel,
    ToolDefinitionError,
    ToolMessage,
    ToolOutput,
    UserError,
    UserMessage,
    call,
    tool,
)

pytestmark = pytest.mark.anyio
T = TypeVar("T")


class Report(BaseModel):
    """A weather report."""

    city: str
    celsius: Annotated[int, Field(ge=-90, le=60)]


class Apology(BaseModel):
    reason: str


@dataclass
class Point:
    x: int
    y: int = 0


class Shape(TypedDict):
    sides: int


BEIJING = call("final_result", city="Beijing", celsius=27)


def tool_names(model: ScriptedModel, request: int = 0) -> list[str]:
    return [t.name for t in model.requests[request].tools]


def problems(result: RunResult) -> list[str]:
    """What the model was told of answers that did not fit."""
    return [m.text for m in result.messages if isinstance(m, ToolMessage) and m.is_error]


@pytest.mark.parametrize(
    ("output", "arguments", "value"),
    [
        (Report, {"city": "Beijing", "celsius": 27}, Report(city="Beijing", celsius=27)),
        (Point, {"x": 1}, Point(1)),
        (Shape, {"sides": 3}, {"sides": 3}),
        (dict[str, int], {"a": 1}, {"a": 1}),
        (int, {"result": 42}, 42),
        (bool, {"result": False}, False),
        (int | None, {"result": None}, None),
        (Literal["yes", "no"], {"result": "no"}, "no"),
        (list[Point], {"result": [{"x": 1}, {"x": 2}]}, [Point(1), Point(2)]),
        (list[int | str], {"result": [1, "a"]}, [1, "a"]),
        (JsonSchema({"type": "object", "properties": {"value": {"type": "integer"}}}), {"value": 1}, {"value": 1}),
        (JsonSchema({"enum": ["red", "green"]}), {"result": "red"}, "red"),
    ],
)
async def test_every_kind_of_type_comes_as_itself(output: Any, arguments: dict[str, Any], value: Any) -> None:
    model = ScriptedModel([call("final_result", **arguments)])
    result = await Agent(model, output=output).run("go")
    assert result.output == value
    assert type(result.output) is type(value)
    assert (result.stop_reason, result.usage.requests, result.has_output) == ("completed", 1, True)


async def test_the_model_is_told_what_to_call_and_what_it_takes() -> None:
    model = ScriptedModel([BEIJING])
    await Agent(model, output=Report, instructions="Be brief.").run("Weather?")
    [spec] = model.requests[0].tools
    assert spec.name == "final_result"
    assert spec.description.startswith("A weather report.")
    assert spec.parameters["properties"]["celsius"] == {"type": "integer", "minimum": -90, "maximum": 60}
    assert "final_result" in model.requests[0].messages[0].content
    assert model.requests[0].messages[0].content.startswith("Be brief.")


async def test_an_answer_that_does_not_fit_is_asked_for_again_with_the_reason() -> None:
    model = ScriptedModel([call("final_result", city="Beijing", celsius=99), BEIJING])
    result = await Agent(model, output=Report).run("go")
    assert result.output == Report(city="Beijing", celsius=27)
    assert "celsius" in problems(result)[0] and "60" in problems(result)[0]


@pytest.mark.parametrize("retries", [0, 1, 2])
async def test_the_budget_ends_the_run_and_the_history_is_kept(retries: int) -> None:
    model = ScriptedModel([call("final_result", celsius=1), "Sorry.", ScriptedCall("final_result", "{not json")][: retries + 1])
    result = await Agent(model, output=Report, output_retries=retries).run("go")
    assert (result.stop_reason, result.usage.requests) == ("invalid_output", retries + 1)
    assert not result.has_output
    with pytest.raises(NoOutput, match="invalid_output"):
        _ = result.output
    again = await Agent(ScriptedModel([BEIJING]), output=Report).run("And now?", messages=result.messages)
    assert again.output.city == "Beijing"


async def test_a_run_that_a_limit_ends_has_no_typed_output() -> None:
    @tool
    def look() -> str:
        return "seen"

    result = await Agent(ScriptedModel([call("look")]), tools=[look], output=Report, limits=Limits(turns=1)).run("go")
    assert result.stop_reason == "turns"
    with pytest.raises(NoOutput, match="turns"):
        _ = result.output


async def test_text_instead_of_the_call_is_asked_for_again_and_then_forced() -> None:
    model = ScriptedModel(["It is warm.", BEIJING])
    result = await Agent(model, output=Report).run("go")
    assert result.output.celsius == 27
    assert [r.settings.tool_choice for r in model.requests] == [None, "required"]
    asked = model.requests[1].messages[-1]
    assert isinstance(asked, UserMessage) and "final_result" in asked.text


async def test_a_call_is_never_forced_while_the_model_thinks() -> None:
    thinking = Profile(thinks_by_default=True, forced_tool_choice=False)
    model = ScriptedModel(["It is warm.", BEIJING], profile=thinking)
    assert (await Agent(model, output=Report).run("go")).output.celsius == 27
    assert [r.settings.tool_choice for r in model.requests] == [None, None]
    model = ScriptedModel(["It is warm.", BEIJING], profile=thinking)
    await Agent(model, output=Report, settings=ModelSettings(thinking=False)).run("go")
    assert model.requests[1].settings.tool_choice == "required"


@pytest.mark.parametrize("text", ['{"city": "Beijing", "celsius": 27}', '```json\n{"city": "Beijing", "celsius": 27}\n```\n'])
async def test_a_model_that_writes_the_answer_as_text_is_understood(text: str) -> None:
    result = await Agent(ScriptedModel([text]), output=Report).run("go")
    assert result.output == Report(city="Beijing", celsius=27)


async def test_a_bare_scalar_in_text_is_understood() -> None:
    assert (await Agent(ScriptedModel(["42"]), output=int).run("go")).output == 42


async def test_json_amid_prose_is_not_taken_for_the_answer() -> None:
    model = ScriptedModel(['For example {"city": "Beijing", "celsius": 27} would do.', BEIJING])
    assert (await Agent(model, output=Report).run("go")).usage.requests == 2


@pytest.mark.parametrize("output", [Report | Apology, [Report, Apology]])
async def test_one_of_several(output: Any) -> None:
    model = ScriptedModel([call("final_result_Apology", reason="rain")])
    result = await Agent(model, output=output).run("go")
    assert result.output == Apology(reason="rain")
    assert tool_names(model) == ["final_result_Report", "final_result_Apology"]


async def test_generic_types_and_none_have_usable_names() -> None:
    class Box(BaseModel, Generic[T]):
        content: T

    model = ScriptedModel([call("final_result_Box_int", content=1)])
    assert (await Agent(model, output=[Box[int], Report]).run("go")).output == Box[int](content=1)
    assert (await Agent(ScriptedModel(["Hi."]), output=None).run("go")).output == "Hi."  # type: ignore[arg-type]


async def test_objects_beside_scalars_share_no_tool() -> None:
    model = ScriptedModel([call("final_result", result=None)])
    assert (await Agent(model, output=Report | int | None).run("go")).output is None
    assert tool_names(model) == ["final_result_Report", "final_result"]


async def test_text_may_be_one_of_the_answers() -> None:
    agent = Agent(ScriptedModel(["Which city?", BEIJING]), output=[Report, str])
    first = await agent.run("Weather?")
    assert first.output == "Which city?"
    assert (await agent.run("Beijing", messages=first.messages)).output == Report(city="Beijing", celsius=27)
    assert not any("final answer" in str(m.content) for m in agent.model.requests[0].messages)  # type: ignore[union-attr]


async def test_named_tools_and_descriptions() -> None:
    model = ScriptedModel([call("report", city="Beijing", celsius=1)])
    await Agent(model, output=ToolOutput(Report, name="report", description="Reports.")).run("go")
    assert (model.requests[0].tools[0].name, model.requests[0].tools[0].description) == ("report", "Reports.")


async def test_an_output_function_gives_the_output() -> None:
    def submit(ctx: RunContext[str], city: str) -> str:
        """Submits the city."""
        if city == "Atlantis":
            raise ModelRetry("There is no such city.")
        return f"{ctx.deps}: {city}"

    model = ScriptedModel([call("submit", city="Atlantis"), call("submit", city="Beijing")])
    result = await Agent(model, output=submit).run("go", deps="order 7")
    assert result.output == "order 7: Beijing"
    assert "no such city" in problems(result)[0]


async def test_an_async_output_function_beside_a_type() -> None:
    async def submit(city: str) -> Report:
        return Report(city=city, celsius=0)

    model = ScriptedModel([call("submit", city="Beijing")])
    assert (await Agent(model, output=[submit, Apology]).run("go")).output == Report(city="Beijing", celsius=0)


async def test_validators_see_and_change_the_value_in_order() -> None:
    def warm(value: Report) -> Report:
        if value.celsius < 20:
            raise ModelRetry("Too cold to be true.")
        return value

    async def marked(ctx: RunContext[str], value: Report) -> str:
        return f"{ctx.deps} {value.city}"

    model = ScriptedModel([call("final_result", city="Beijing", celsius=1), BEIJING])
    result = await Agent(model, output=Report, output_validators=[warm, marked]).run("go", deps="in")
    assert result.output == "in Beijing"
    assert "Too cold" in problems(result)[0]


async def test_validators_of_plain_text() -> None:
    def short(value: str) -> str:
        if len(value) > 5:
            raise ModelRetry("At most five letters.")
        return value.upper()

    model = ScriptedModel(["much too long", "short"])
    result = await Agent(model, output_validators=[short]).run("go")
    assert result.output == "SHORT"
    assert "At most five letters" in model.requests[1].messages[-1].text


async def test_by_response_format() -> None:
    model = ScriptedModel(["no json", '{"city": "Beijing", "celsius": 27}'])
    result = await Agent(model, output=NativeOutput(Report)).run("go")
    assert result.output == Report(city="Beijing", celsius=27)
    wanted = model.requests[0].settings.response_format
    assert wanted is not None and wanted["type"] == "json_schema"
    assert wanted["json_schema"]["schema"]["required"] == ["city", "celsius"]
    assert tool_names(model) == []


async def test_by_response_format_one_of_several() -> None:
    class Tree(BaseModel):
        children: list["Tree"] = []

    model = ScriptedModel(['{"result": {"kind": "final_result_Apology", "data": {"reason": "rain"}}}'])
    result = await Agent(model, output=NativeOutput([Report, Apology, Tree])).run("go")
    assert result.output == Apology(reason="rain")
    schema = model.requests[0].settings.response_format["json_schema"]["schema"]  # type: ignore[index]
    import jsonschema

    jsonschema.validate({"result": {"kind": "final_result_Tree", "data": {"children": [{"children": []}]}}}, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"result": {"kind": "final_result_Tree", "data": {"children": [{"children": 1}]}}}, schema)


async def test_by_the_prompt() -> None:
    model = ScriptedModel(['{"city": "Beijing"}', '{"city": "Beijing", "celsius": 27}'])
    result = await Agent(model, output=PromptedOutput(Report)).run("go")
    assert result.output == Report(city="Beijing", celsius=27)
    assert '"celsius"' in model.requests[0].messages[0].content
    assert model.requests[0].settings.response_format is None
    assert "celsius: required" in model.requests[1].messages[-1].text


async def test_the_profile_decides_how_where_nobody_says() -> None:
    model = ScriptedModel(["27"], profile=Profile(output_modes=("native",)))
    assert (await Agent(model, output=int).run("go")).output == 27
    assert model.requests[0].settings.response_format is not None
    with pytest.raises(UserError, match=r"'tool'.*native"):
        await Agent(model, output=ToolOutput(int)).run("go")


async def test_tools_are_called_before_the_answer_in_every_mode() -> None:
    @tool
    def look() -> int:
        return 27

    for output in (Report, NativeOutput(Report), PromptedOutput(Report)):
        model = ScriptedModel([call("look"), '{"city": "Beijing", "celsius": 27}'])
        assert (await Agent(model, output=output, tools=[look]).run("go")).output.celsius == 27


@pytest.mark.parametrize(
    ("output", "text"),
    [
        ([ToolOutput(Report, name="a"), ToolOutput(Apology, name="a")], "two outputs are named 'a'"),
        ([NativeOutput(Report), Apology], "stand around all outputs"),
        (JsonSchema({"anyOf": [{"type": "array", "items": {"$ref": "#"}}]}), "must be of type object"),
        (asyncio.Lock, "Lock"),
    ],
)
def test_what_cannot_be_an_output_is_said_at_once(output: Any, text: str) -> None:
    with pytest.raises((UserError, ToolDefinitionError), match=text):
        Agent(ScriptedModel([]), output=output)


def test_bad_options_are_said_at_once() -> None:
    with pytest.raises(UserError, match="output_retries"):
        Agent(ScriptedModel([]), output=Report, output_retries=-1)
    with pytest.raises(UserError, match="JSON Schema as a dict"):
        JsonSchema("{}")  # type: ignore[arg-type]


async def test_a_tool_of_the_same_name_is_refused() -> None:
    @tool
    def final_result() -> str:
        return ""

    with pytest.raises(ToolDefinitionError, match="final_result"):
        await Agent(ScriptedModel([BEIJING]), output=Report, tools=[final_result]).run("go")


async def test_a_cut_answer_is_a_length_stop() -> None:
    model = ScriptedModel([Reply(text='{"city": "Bei', finish_reason="length")])
    result = await Agent(model, output=PromptedOutput(Report)).run("go")
    assert (result.stop_reason, result.has_output) == ("length", False)


async def test_the_stream_ends_with_the_typed_output() -> None:
    stream = Agent(ScriptedModel([BEIJING]), output=Report).stream("go")
    events = [event async for event in stream]
    assert events[-1].output == Report(city="Beijing", celsius=27)  # type: ignore[union-attr]
    assert stream.result.output.city == "Beijing"
    assert events[-1].to_dict()["output"] == {"city": "Beijing", "celsius": 27}
