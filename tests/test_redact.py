"""Secrets are masked, everything else stays."""

import io
import logging

import pytest

from kimi_agent.redact import excerpt, get_logger, is_secret_name, redact, register_header, register_secret


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Authorization: Bearer abc.def-123456", "Authorization: Bearer ***"),
        ("key sk-abcdef123456 is wrong", "key sk-*** is wrong"),
        ("GET /v1?api_key=abc&x=1", "GET /v1?api_key=***&x=1"),
        ("https://ann:pw@host/v1", "https://***@host/v1"),
        ("http://token@host:1/v1", "http://***@host:1/v1"),
        ('{"api_key": "abcdef"}', '{"api_key": "***"}'),
        ("{'Authorization': 'Token abcdef'}", "{'Authorization': '***'}"),
        ("Proxy-Authorization: Basic bWU6cGFzcw==", "Proxy-Authorization: Basic ***"),
        ("x-api-key: abcdef1234", "x-api-key: ***"),
        ("MOONSHOT_API_KEY=abcdef1234 make", "MOONSHOT_API_KEY=*** make"),
        ("Authorization: Token abcdef1234", "Authorization: Token ***"),
        ("remote: ghp_abcdef1234567890", "remote: ghp_***"),
    ],
)
def test_secrets_are_masked(text: str, shown: str) -> None:
    assert redact(text) == shown


@pytest.mark.parametrize(
    "text",
    ["a basic idea", "the monkey=3", "ask-me@example.com", "task-oriented", "https://host/v1?page=2", "bearer of news", "8 * 3"],
)
def test_the_rest_stays(text: str) -> None:
    assert redact(text) == text


def test_registered_secrets() -> None:
    register_secret("correct-horse")
    register_secret("EMPTY")  # what self-hosted engines are given as a key: a word
    register_secret(None)
    assert redact("a correct-horse, EMPTY") == "a ***, EMPTY"


def test_records_with_tracebacks() -> None:
    register_secret("battery-staple")
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    logger = get_logger("kimi_agent.tests.redact")
    logger.addHandler(handler)
    try:
        raise ValueError("battery-staple")
    except ValueError:
        logger.exception("failed with %r", "battery-staple")
    finally:
        logger.removeHandler(handler)
    assert "failed with '***'" in written.getvalue() and "ValueError: ***" in written.getvalue()
    assert "battery" not in written.getvalue()


def test_one_filter_however_often_a_logger_is_asked_for() -> None:
    assert len(get_logger("kimi_agent.tests.once").filters) == len(get_logger("kimi_agent.tests.once").filters) == 1


SECRET_NAMES = (
    "api_key apiKey APIKey X-Api-Key openai_api_key apikey password passwd db_password newPassword password2 password_hash secret "
    "client_secret clientSecret token access_token accessToken refresh_token auth_token id_token session_token X-Auth-Token "
    "access_tokens secret_key private_key AWS_SECRET_ACCESS_KEY Authorization Proxy-Authorization cookie Set-Cookie credentials jwt"
)
OPEN_NAMES = (
    "tokens max_tokens token_count tokenCount total_tokens prompt_tokens password_required next_page_token nextPageToken eos_token "
    "cost_per_token token_type public_key primary_key key keys secretary tokenizer author broken session keyboard paid_tokens"
)


@pytest.mark.parametrize("name", SECRET_NAMES.split())
def test_names_of_secrets(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize("name", OPEN_NAMES.split())
def test_names_of_what_is_no_secret(name: str) -> None:
    assert not is_secret_name(name)


@pytest.mark.parametrize("before", range(480, 501))
def test_an_excerpt_has_no_half_of_a_secret(before: int) -> None:
    register_secret("Zx9registered0123456789")
    shown = excerpt("x" * before + "Zx9registered0123456789" + "y" * 100, 500)
    assert shown.rstrip("y…") in ("x" * before + "*" * min(3, 500 - before),)
    assert len(shown) <= 501 and shown.endswith("…")


def test_an_excerpt_of_what_is_short_is_all_of_it() -> None:
    assert excerpt("  plain words\n", 500) == "plain words"


@pytest.mark.parametrize("before", range(0, 2000, 97))
def test_an_excerpt_of_a_huge_text_has_no_half_of_a_secret_from_far_behind(before: int) -> None:
    secret = "Qw7" + "z" * 2000
    register_secret(secret)
    assert "Qw7" not in excerpt(("v" * before + " " + secret) * 100, 50_000)


def test_headers_with_names_of_secrets() -> None:
    register_header("X-Auth-Token", "hunter-three")
    register_header("Authorization", "Token hunter-four")
    register_header("Cookie", "sid=0123456789abcdefgh; lang=zh-Hans-CN")
    register_header("X-Name", "Annabella")
    assert redact("hunter-three, hunter-four") == "***, ***"
    assert redact("0123456789abcdefgh and lang=zh-Hans-CN, zh-Hans-CN, Annabella") == "*** and ***, zh-Hans-CN, Annabella"


@pytest.mark.parametrize(
    "text", ["a-" * 200_000, "a." * 200_000, "api_key" + " " * 200_000, "a://" * 50_000, "bearer\t- " * 50_000]
)
def test_a_hostile_text_is_redacted_in_linear_time(text: str) -> None:
    assert redact(text) == text
