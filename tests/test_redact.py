"""Secrets are masked, everything else stays."""

import base64
import io
import logging
from urllib.parse import quote

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
        ("http://user:hunter2/hunter2@h/x", "http://***@h/x"),
        ("http://h/x?auth=abc", "http://h/x?auth=***"),
        ("http://h/x?a=1&client_secret=abc#top", "http://h/x?a=1&client_secret=***#top"),
        ("http://h/x?X-Amz-Signature=abc&X-Amz-Security-Token=def", "http://h/x?X-Amz-Signature=***&X-Amz-Security-Token=***"),
        ("http://h/x#access_token=abc", "http://h/x#access_token=***"),
        ("<a href='/x?a=1&amp;user[password]=abc'>", "<a href='/x?a=1&amp;user[password]=***'>"),
    ],
)
def test_secrets_are_masked(text: str, shown: str) -> None:
    assert redact(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "a basic idea",
        "the monkey=3",
        "ask-me@example.com",
        "task-oriented",
        "https://host/v1?page=2",
        "https://host/v1?next_page_token=2&max_tokens=3&sort_key=a&author=b",
        "bearer of news",
        "8 * 3",
        "http://host:8000/users/@me http://[::1]:8000/@me http://h:{port}/@me https://example.com/@ann",
        "100% of a%20b",
    ],
)
def test_the_rest_stays(text: str) -> None:
    assert redact(text) == text


def test_registered_secrets() -> None:
    register_secret("correct-horse")
    register_secret("EMPTY")  # what self-hosted engines are given as a key: a word
    register_secret(None)
    assert redact("a correct-horse, EMPTY") == "a ***, EMPTY"


@pytest.mark.parametrize("before", ["", "u", "us", "user:", "user+name:"])
@pytest.mark.parametrize("after", ["", ":x", "??>>~~"])
def test_registered_secrets_in_base64(before: str, after: str) -> None:
    secret = "horse?>~battery"
    register_secret(secret)
    data = (before + secret + after).encode()
    for text in (base64.b64encode(data).decode(), base64.urlsafe_b64encode(data).decode().rstrip("=")):
        assert redact(f"it is {text}, and {text}.") == "it is ***, and ***."
        assert redact(f"x={quote(text, safe='')}&y=1").endswith("&y=1")
        assert text[-8:] not in redact(f"x={quote(text, safe='')}&y=1")


@pytest.mark.parametrize("secret", ["horse-percent/100%x", "pferd und käse", "sk-not-a-letter-is-left"])
def test_registered_secrets_with_percent_escapes(secret: str) -> None:
    register_secret(secret)
    everything = "".join(f"%{byte:02x}" for byte in secret.encode())
    for text in (quote(secret), quote(secret, safe=""), quote(secret, safe="").lower(), everything):
        assert redact(f"GET /%7Eann?x={text}&y=%20\ud83d") == "GET /%7Eann?x=***&y=%20\ud83d"


def test_another_mask() -> None:
    register_secret("correct-horse")
    text = "a correct-horse *** http://u:p@h?key=abc Bearer abcdef123"
    assert redact(text, "<x>") == "a <x> *** http://<x>@h?key=<x> Bearer <x>"


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


HOSTILE = [
    base64.b64encode(b"\x00abcdefg" * 20_000).decode(),
    base64.b64encode(b"linear-time-secret" * 10_000).decode(),
    "%41" * 70_000,
    "%6c%69near-time-secret" * 10_000,
    "a://b:" * 40_000,
    "a://b:/" * 40_000,
    "?a" * 100_000,
    "&a=" * 70_000,
]


@pytest.mark.parametrize(
    "text",
    ["a-" * 200_000, "a." * 200_000, "api_key" + " " * 200_000, "a://" * 50_000, "bearer\t- " * 50_000, *HOSTILE],
    ids=range(5 + len(HOSTILE)),
)
def test_a_hostile_text_is_redacted_in_linear_time(text: str) -> None:
    register_secret("linear-time-secret")
    shown = redact(text)
    assert shown == text or set(shown) == {"*"}
