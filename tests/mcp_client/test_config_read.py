"""Reading mcp.json in the spellings of the clients that write it."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from kimi_agent import UserError
from kimi_agent.mcp.client.config import ServerConfig, default_config_path, read_config
from kimi_agent.mcp.client.oauth import OAuth


def one(entry: dict[str, Any]) -> ServerConfig:
    return read_config({"mcpServers": {"it": entry}})["it"]


CLAUDE_DESKTOP = {"mcpServers": {"files": {"command": "npx", "args": ["-y", "server-files", "."], "env": {"DEBUG": "1"}}}}


def test_claude_desktops_file(tmp_path: Path) -> None:
    path = tmp_path / "claude_desktop_config.json"
    path.write_text(json.dumps({"theme": "dark"} | CLAUDE_DESKTOP))
    servers = read_config(path)
    assert list(servers) == ["files"]
    assert servers["files"].command_line == ("npx", "-y", "server-files", ".")
    assert servers["files"].options == {"env": {"DEBUG": "1"}}
    assert read_config(CLAUDE_DESKTOP["mcpServers"])["files"].command_line == servers["files"].command_line


def test_vs_codes_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_TOKEN", "t0ken-of-vs-code")
    (tmp_path / ".vscode").mkdir()
    path = tmp_path / ".vscode" / "mcp.json"
    path.write_text("""{
      // comments, and commas behind the last
      "servers": {
        "api": {"type": "http", "url": "https://example.com/mcp//x", "headers": {"X-Api-Key": "${env:API_TOKEN}"}, "oauth": {"clientId": "me"}},
        "mine": {"type": "stdio", "command": "${workspaceFolder}/run", "args": ["/* no comment */", "a, ]"], "cwd": "sub", "envFile": ".env",},
      }, /* the
      end */
      "inputs": [],
    }""")  # noqa: E501
    (tmp_path / ".vscode" / ".env").write_text("FROM_FILE='a b'\n# no\nOTHER=1\n")
    servers = read_config(path)
    options = servers["api"].options
    assert options["headers"] == {"X-Api-Key": "t0ken-of-vs-code"} and options["url"] == "https://example.com/mcp//x"
    assert options["transport"] == "http" and options["auth"].client_id == "me"
    assert servers["mine"].command_line == (f"{tmp_path}/run", "/* no comment */", "a, ]")
    assert servers["mine"].options["cwd"] == str(tmp_path / ".vscode" / "sub")
    assert servers["mine"].options["env"] == {"FROM_FILE": "a b", "OTHER": "1"}


def test_cursors_claude_codes_and_kimis_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_APP", "apps-secret-value")
    cursor = one(
        {
            "url": "https://a.example/mcp",
            "auth": {
                "CLIENT_ID": "c",
                "CLIENT_SECRET": "${env:SECRET_OF_APP}",
                "scopes": ["a", "b"],
                "issuer": "https://auth.example",
            },
        }
    )
    auth = cursor.options["auth"]
    assert isinstance(auth, OAuth) and (auth.client_id, auth.client_secret, auth.scope) == ("c", "apps-secret-value", "a b")
    claude = one(
        {"type": "http", "url": "https://a.example/mcp", "timeout": 30_000, "oauth": {"clientId": "c", "callbackPort": 8080}}
    )
    assert claude.options["timeout"] == 30.0 and claude.options["auth"].redirect_port == 8080
    kimi = one(
        {"url": "https://a.example/mcp", "bearerTokenEnvVar": "SECRET_OF_APP", "startupTimeoutMs": 5000, "toolTimeoutMs": 9000}
    )
    assert kimi.options["headers"] == {"Authorization": "Bearer apps-secret-value"}
    assert (kimi.options["start_timeout"], kimi.options["timeout"]) == (5.0, 9.0)
    fastmcp = one({"url": "https://a.example/sse", "transport": "sse", "auth": "oauth"})
    assert fastmcp.options["transport"] == "sse" and isinstance(fastmcp.options["auth"], OAuth)
    assert one({"url": "https://a.example/", "auth": "t0k-en"}).options["headers"] == {"Authorization": "Bearer t0k-en"}


@pytest.mark.parametrize("spelled", ["http", "streamable-http", "streamableHttp", "streamable_http", "HTTP"])
def test_transports(spelled: str) -> None:
    for key in ("type", "transport", "transportType"):
        assert one({"url": "https://a.example/mcp", key: spelled}).options["transport"] == "http"


def test_our_own_keys() -> None:
    config = one({
        "command": "x", "allow": ["read_*"], "deny": ["write"], "required": True, "prefix": "p_", "needsApproval": True,
        "roots": ["/r"], "sampling": True, "logLevel": "error", "resourceTools": True,
        "trustAnnotations": True, "toolTimeoutSec": 0.5,
    })  # fmt: skip
    assert config.options == {
        "allow": ("read_*",), "deny": ("write",), "required": True, "prefix": "p_", "needs_approval": True, "roots": ("/r",),
        "sampling": True, "log_level": "error", "resource_tools": True, "trust_annotations": True, "timeout": 0.5,
    }  # fmt: skip
    assert one({"command": "x", "includeTools": ["a"], "excludeTools": ["b"]}).options == {"allow": ("a",), "deny": ("b",)}


def test_an_empty_list_of_tools_is_none_of_them() -> None:
    assert one({"command": "x", "enabledTools": []}).options["allow"] == ()


def test_disabled() -> None:
    assert one({"command": "x", "disabled": True}).disabled
    assert one({"command": "x", "enabled": False}).disabled
    assert not one({"command": "x", "enabled": True}).disabled


def test_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A", "1")
    monkeypatch.setenv("EMPTY", "")
    monkeypatch.delenv("UNSET", raising=False)
    args = ["${A}", "x${A}y${A}", "${env:A}", "${UNSET:-d:-e}", "${EMPTY:-d}", "${EMPTY}", "${A:-d}", "$A", "${UNSET:-}", "$${A}"]
    assert one({"command": "c", "args": args}).command_line[1:] == ("1", "x1y1", "1", "d:-e", "d", "", "1", "$A", "", "$1")
    unset = one({"command": "c", "env": {"TOKEN": "${UNSET}"}})
    assert unset.command_line == ("c",)  # only what is asked for is looked up
    with pytest.raises(
        UserError, match=r'server "it": the variable UNSET is not set: set it, or write \$\{UNSET:-default\} \(in env\.TOKEN\)'
    ):
        _ = unset.options
    with pytest.raises(UserError, match=r"asks a person in VS Code.*args\[1\]"):
        _ = one({"command": "c", "args": ["a", "${input:key}"]}).command_line
    with pytest.raises(UserError, match=r"not understood.*url"):
        _ = one({"url": "https://${a b}/"}).options


def test_values_of_variables_are_not_expanded_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A", "${HOME}")
    assert one({"command": "${A}"}).command_line == ("${HOME}",)


def test_unknown_keys_are_told_and_change_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        config = one(
            {"command": "x", "enviroment": {"A": "s3cret"}, "disabled_tools": ["a"], "description": "d", "alwaysAllow": []}
        )
    assert config.notes == (
        '"enviroment" is not known and changes nothing',
        '"disabled_tools" is not known and changes nothing: did you mean "disabledTools"?',
    )
    assert len(caplog.records) == 2 and "s3cret" not in caplog.text and 'server "it"' in caplog.text


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ({}, 'neither "command" nor "url"'),
        ({"command": "x", "url": "https://a.example"}, 'both "command" and "url"'),
        ({"command": " "}, '"command" is empty'),
        ({"command": "x", "args": "a b"}, "args: Input should be a valid tuple"),
        ({"command": "x", "args": ["a", {}]}, r"args\.1: Input should be a valid string"),
        ({"command": "x", "env": ["A=1"]}, "env: Input should be a valid dictionary"),
        ({"command": "x", "type": "http"}, '"type": "http" needs "url"'),
        ({"url": "https://a.example", "type": "stdio"}, '"type": "stdio" needs "command"'),
        ({"url": "https://a.example", "type": "websocket"}, "type: Input should be 'stdio', 'http' or 'sse'"),
        ({"url": "https://a.example", "serverUrl": "https://b.example"}, '"url" and "serverUrl" mean the same'),
        ({"command": "x", "timeout": 60}, 'milliseconds: write 60000, or "toolTimeoutSec": 60'),
        ({"command": "x", "timeout": float("nan")}, "timeout: "),
        ({"command": "x", "toolTimeoutSec": 0}, "toolTimeoutSec: "),
        ({"url": "https://a.example", "auth": {"client": "x"}}, "auth"),
        ("npx x", "must be an object"),
    ],
)
def test_what_is_wrong_is_named(entry: Any, problem: str) -> None:
    with pytest.raises(UserError, match=problem) as error:
        one(entry)
    assert 'server "it"' in str(error.value)


def test_values_are_in_no_error_and_no_repr() -> None:
    secret = "hunter2-hunter2"
    for entry in (
        {"command": "x", "env": {"A": [secret]}},
        {"url": "https://a.example", "auth": {"clientId": "a", secret: 1}, "type": secret},
    ):
        with pytest.raises(UserError) as error:
            one(entry)
        assert "hunter2" not in str(error.value).replace(f"auth.{secret}", "")
    config = one({"url": f"https://a.example/mcp?key={secret}", "headers": {"Authorization": secret}, "auth": secret})
    assert "hunter2" not in repr(config) + str(config) and "https://a.example/mcp" in repr(config)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"mcpServers": {"a": {"command": "x"}', "is no JSON: .* in line 1, column"),
        ('{\n "mcpServers": {"a": }\n}', "line 2"),
        ("[]", "must hold an object"),
        ('{"theme": "dark"}', 'has no "mcpServers"'),
        ('{"mcpServers": []}', "must be an object"),
        ('{"mcpServers": {}, "servers": {}}', "keep one"),
        ('{"mcpServers": {"a": {"command": "x"}, "a": {"command": "y"}}}', '"a" stands twice'),
        ("[" * 100_000, "nested too deeply|is no JSON"),
    ],
)
def test_files_that_are_none(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "mcp.json"
    path.write_text(text)
    with pytest.raises(UserError, match=problem) as error:
        read_config(path)
    assert str(path) in str(error.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"is not there: `kimi-agent mcp add`"):
        read_config(tmp_path / "mcp.json")
    with pytest.raises(UserError, match="cannot be read"):
        read_config(tmp_path)
    (tmp_path / "latin.json").write_bytes(b'{"mcpServers": {"\xe4": {}}}')
    with pytest.raises(UserError, match="cannot be read"):
        read_config(tmp_path / "latin.json")
    (tmp_path / "empty.json").write_text("  \n")
    assert read_config(tmp_path / "empty.json") == {}


def test_the_users_own_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert default_config_path() == tmp_path / "kimi-agent" / "mcp.json"
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_config_path() == tmp_path / ".config" / "kimi-agent" / "mcp.json"
