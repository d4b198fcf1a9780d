"""What is known of each family, under the names that hosts give it."""

import pytest

from kimi_agent.models.base import Profile
from kimi_agent.models.profiles import is_moonshot, profile_for

CLEAR = "http://api.moonshot.ai/v1"
HOSTED = "https://api.moonshot.ai/v1"
K = 1024


@pytest.mark.parametrize(
    ("name", "window", "ids", "thinks"),
    [
        ("kimi-k2-0711-preview", 128 * K, "kimi", False),
        ("moonshotai/Kimi-K2-Instruct", 128 * K, "kimi", False),
        ("kimi-k2-0905-preview", 256 * K, "kimi", False),
        ("moonshotai/Kimi-K2-Instruct-0905", 256 * K, "kimi", False),
        ("kimi-k2-turbo-preview", 256 * K, "kimi", False),
        ("kimi-k2-thinking-turbo", 256 * K, "kimi", True),
        ("moonshotai/Kimi-K2-Thinking", 256 * K, "kimi", True),
        ("kimi-k2.5", 256 * K, "kimi", True),
        ("accounts/fireworks/models/kimi-k2p5", 256 * K, "kimi", True),
        ("kimi-k2.6", 256 * K, "kimi", True),
        ("kimi-k2.7-code-highspeed", 256 * K, "kimi", True),
        ("kimi-k3", K * K, "own", True),
        ("moonshot-v1-8k", 8 * K, "own", False),
        ("moonshot-v1-32k-vision-preview", 32 * K, "own", False),
        ("moonshot-v1-auto", 128 * K, "own", False),
        ("gpt-x", None, "own", False),
    ],
)
@pytest.mark.parametrize("url", [HOSTED, "http://10.0.0.1:8000/v1", None])
def test_families(name: str, window: int | None, ids: str, thinks: bool, url: str | None) -> None:
    profile = profile_for(name, url)
    assert (profile.context_window, profile.call_ids, profile.thinks_by_default) == (window, ids, thinks)


def test_images() -> None:
    assert profile_for("kimi-k2.5").image_input and profile_for("moonshot-v1-8k-vision-preview").image_input
    assert not profile_for("kimi-k2-0905-preview").image_input and not profile_for("moonshot-v1-8k").image_input


def test_prices_and_fixed_sampling_are_the_hosted_apis() -> None:
    hosted, own = profile_for("kimi-k2.6", HOSTED), profile_for("moonshotai/Kimi-K2.6", "https://vendor.example/v1")
    assert hosted.price is not None and hosted.price.output == 4.0 and own.price is None
    assert "temperature" in hosted.fixed_sampling and not own.fixed_sampling
    assert (hosted.thinking, own.thinking) == ("moonshot", "chat_template")


def test_what_a_turbo_costs_is_not_guessed() -> None:
    assert profile_for("kimi-k2-turbo-preview", HOSTED).price is profile_for("kimi-k2-thinking-turbo", HOSTED).price is None
    assert profile_for("kimi-k2-0905-preview", HOSTED).price is not None


def test_an_unknown_model_is_assumed_nothing_of() -> None:
    assert profile_for("llama") == Profile()


@pytest.mark.parametrize("url", [HOSTED, "https://api.moonshot.cn/v1", "https://api.kimi.com/coding/v1"])
def test_moonshots_hosts(url: str) -> None:
    assert is_moonshot(url)


@pytest.mark.parametrize(
    "url", [None, "", "http://localhost/v1", "https://moonshot.ai.example/v1", "https://notmoonshot.ai/v1", CLEAR, "http://[bad"]
)
def test_other_hosts(url: str | None) -> None:
    assert not is_moonshot(url)
