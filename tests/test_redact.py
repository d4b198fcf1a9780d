"""Secrets are masked, everything else stays."""

import io
import logging

import pytest

from kimi_agent.redact import get_logger, redact, register_secret


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
