"""Tests of `packing.py` as docs/testing.md says: the doubles, `override`, and the pytest plugin's fixtures."""

from typing import Any, assert_type

import packing
import pytest
from packing import PackingList, Wardrobe

from kimi_agent import KimiAgentError, ModelRequest, RunResult, ToolMessage
from kimi_agent.testing import FunctionModel, call

pytestmark = pytest.mark.usefixtures("forbid_real_requests")
BEIJING = call("final_result", cities=["Beijing"], items=["T-shirt", "shoes"], umbrella=False)


@pytest.fixture
def wardrobe() -> Wardrobe:
    return Wardrobe(owned={"T-shirt", "shoes"}, ordered=[])


def test_it_looks_at_the_weather_and_gives_a_list(scripted_model: Any, wardrobe: Wardrobe) -> None:
    model = scripted_model([call("get_weather", city="Beijing"), BEIJING])
    with packing.agent.override(model=model):
        result = packing.agent.run_sync("A day in Beijing", deps=wardrobe)
    assert_type(result, RunResult[PackingList])
    assert_type(result.output, PackingList)
    assert result.output.items == ["T-shirt", "shoes"]
    assert "Look at the weather first" in model.requests[0].messages[0].content
    assert "27" in model.requests[1].messages[-1].text


def test_what_is_not_in_the_house_is_asked_about_and_ordered(
    scripted_model: Any, wardrobe: Wardrobe, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(question: str) -> str:
        return "y" if "umbrella" in question else "n"

    monkeypatch.setattr("builtins.input", answer)
    rainy = call("final_result", cities=["Shanghai"], items=["shoes", "umbrella"], umbrella=True)
    model = scripted_model([rainy, [call("order", item="umbrella"), call("order", item="yacht")], rainy])
    with packing.agent.override(model=model):
        result = packing.ask(packing.agent.run_sync("A day in Shanghai", deps=wardrobe), wardrobe)
    assert (result.output.umbrella, wardrobe.ordered) == (True, ["umbrella"])
    told = [m.text for m in result.messages if isinstance(m, ToolMessage)]
    assert told[0].startswith("Error: Not in the house: umbrella")


@pytest.mark.parametrize("seed", range(20))
def test_whatever_the_endpoint_does_each_order_has_its_answer(seed: int, chaos_model: Any, wardrobe: Wardrobe) -> None:
    def answers(request: ModelRequest) -> Any:
        return BEIJING if any(isinstance(m, ToolMessage) for m in request.messages) else call("order", item="hat")

    with packing.agent.override(model=chaos_model(FunctionModel(answers), seed=seed, rate=0.3)):
        try:
            result = packing.agent.run_sync("A day in Beijing", deps=wardrobe)
            while result.pending:
                result = packing.agent.resume_sync(result, decisions={c.id: True for c in result.pending}, deps=wardrobe)
            messages = result.messages
        except KimiAgentError as error:
            messages = error.messages
    confirmed = [m for m in messages if isinstance(m, ToolMessage) and "will be here" in m.text]
    assert len(confirmed) == len(wardrobe.ordered)
