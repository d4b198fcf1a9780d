"""What is typed at `kimi-agent mcp call` and `--mcp`, as values; without a process."""

from typing import Any

import pytest

from kimi_agent import UserError
from kimi_agent.cli.mcp.arguments import read_arguments
from kimi_agent.cli.mcp.pairs import pairs_of
from kimi_agent.cli.mcp.shown import shown_command, shown_url
from kimi_agent.cli.mcp.targets import target_of
from kimi_agent.mcp.client.config import ServerConfig

SCHEMA: dict[str, Any] = {
    "type": "object",
    "$defs": {"Size": {"type": "integer"}},
    "properties": {
        "text": {"type": "string"},
        "size": {"$ref": "#/$defs/Size"},
        "ratio": {"type": "number"},
        "deep": {"type": "boolean"},
        "paths": {"type": "array", "items": {"type": "string"}},
        "numbers": {"type": "array", "items": {"type": "integer"}},
        "maybe": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        "either": {"type": ["string", "integer"]},
        "unit": {"enum": ["C", "F"]},
        "where": {"type": "object"},
        "free": {},
    },
}


@pytest.mark.parametrize(
    ("words", "arguments"),
    [
        (["text=5"], {"text": "5"}),
        (["text="], {"text": ""}),
        (["text=a=b"], {"text": "a=b"}),
        (["text=天气"], {"text": "天气"}),
        (["size=5"], {"size": 5}),
        (["size=5.0"], {"size": 5}),
        (["ratio=5"], {"ratio": 5}),
        (["deep=yes"], {"deep": True}),
        (["deep=false"], {"deep": False}),
        (["paths=a", "paths=b,c"], {"paths": ["a", "b,c"]}),
        (['paths=["a","b"]', "paths=c"], {"paths": ["a", "b", "c"]}),
        (["numbers=1"], {"numbers": [1]}),
        (["maybe=null"], {"maybe": None}),
        (["either=word"], {"either": "word"}),
        (["unit=C"], {"unit": "C"}),
        (['where={"x": 1}'], {"where": {"x": 1}}),
        (["free=1", "unknown=true", "word=x"], {"free": 1, "unknown": True, "word": "x"}),
        (["text:=5"], {"text": 5}),
        (['{"text": "x", "size": 1}'], {"text": "x", "size": 1}),
        ([], {}),
    ],
)
def test_a_value_is_read_as_the_schema_wants_it(words: list[str], arguments: dict[str, Any]) -> None:
    assert read_arguments(words, SCHEMA) == arguments


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["text"], "write key=value"),
        (["=x"], "write key=value"),
        (["size=big"], "size: 'big' is no integer"),
        (["deep=maybe"], "no boolean"),
        (["text=a", "text=b"], "given twice"),
        (["size:=x"], "is no JSON"),
        (["{"], "is no JSON"),
        (["ratio=NaN"], "no number"),
        (["paths=[1"], "is no JSON"),
    ],
)
def test_what_cannot_be_read_says_what_to_write(words: list[str], says: str) -> None:
    with pytest.raises(UserError, match=says):
        read_arguments(words, SCHEMA)


def test_a_schema_that_refers_to_itself_is_no_trap() -> None:
    schema = {"$defs": {"A": {"$ref": "#/$defs/A"}}, "properties": {"a": {"$ref": "#/$defs/A"}}}
    assert read_arguments(["a=1"], schema) == {"a": 1}


@pytest.mark.parametrize(
    ("spec", "name", "command", "url"),
    [
        ("npx -y '@scope/a server' .", None, ("npx", "-y", "@scope/a server", "."), None),
        ("files=npx -y x", "files", ("npx", "-y", "x"), None),
        ("https://example.com/mcp?a=b", None, (), "https://example.com/mcp?a=b"),
        ("web=http://127.0.0.1:1/mcp", "web", (), "http://127.0.0.1:1/mcp"),
        ("HTTP://127.0.0.1:1/mcp", None, (), "HTTP://127.0.0.1:1/mcp"),
        ("sh", None, ("sh",), None),
    ],
)
def test_servers_are_named_by_command_or_url(spec: str, name: str | None, command: tuple[str, ...], url: str | None) -> None:
    target = target_of(spec, dict)
    assert (target.name, target.command, target.options.get("url")) == (name, command, url)


@pytest.mark.parametrize(
    ("spec", "says"),
    [("", "is empty"), ("npx 'x", "cannot be split"), ("no-such-program-here", "neither a server of the configuration")],
)
def test_what_names_no_server_says_so(spec: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        target_of(spec, dict)


def test_a_configured_name_with_blanks_is_no_command() -> None:
    servers = {"rm -rf notes": ServerConfig.of({"command": "npx", "args": ["notes"]}, "the test")}
    assert target_of("rm -rf notes", lambda: servers).command == ("npx", "notes")
    assert target_of("mine=rm -rf notes", lambda: servers).name == "mine"
    assert target_of("rm -rf other", lambda: servers).command == ("rm", "-rf", "other")


def test_a_command_needs_no_configuration_that_can_be_read() -> None:
    def broken() -> dict[str, ServerConfig]:
        raise UserError("the file is no JSON")

    assert target_of("npx notes", broken).command == ("npx", "notes")


def test_what_may_be_a_secret_is_not_shown() -> None:
    words = ["x", "--api-key", "hunter2", "--token=hunter2", "-e", "GITHUB_TOKEN=hunter2", "--header", "Authorization: hunter2"]
    shown = shown_command([*words, "https://user:hunter2@host/s/hunter2hunter2hunter2/mcp?k=hunter2", "--path", "/srv/data"])
    assert "hunter2" not in shown and "--path /srv/data" in shown and "https://***@host/s/***/mcp" in shown
    assert shown_command(["x", "--token", "${TOKEN}"]) == "x --token '${TOKEN}'"
    assert shown_url("https://host:8443/v1/mcp") == "https://host:8443/v1/mcp"


def test_pairs_are_written_in_both_ways_and_a_wrong_one_is_not_repeated() -> None:
    assert pairs_of(["A=b=c", "X-Key: d"], "--header") == {"A": "b=c", "X-Key": "d"}
    with pytest.raises(UserError) as caught:
        pairs_of(["hunter2"], "--header")
    assert "hunter2" not in str(caught.value)
