"""`kimi-agent mcp add`, `remove` and `list`, as a user runs them."""

import json
import stat
from pathlib import Path

import pytest
from cli_process import cli
from test_mcp_call import CHILD

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


async def test_what_is_added_is_listed_called_and_removed(tmp_path: Path) -> None:
    home = {"XDG_CONFIG_HOME": str(tmp_path)}
    assert (await cli("mcp", "list", **home))[1].startswith(f"no servers in {tmp_path}/kimi-agent/mcp.json")
    code, out, err = await cli("mcp", "add", "kid", "--deny", "e*", "--", *CHILD.split(), **home)
    assert (code, err) == (0, "") and out.startswith("added kid to ")
    code, out, _ = await cli("mcp", "call", "kid", **home)
    assert code == 0 and "join(" in out and "echo(" not in out
    code, out, _ = await cli("mcp", "remove", "kid", **home)
    assert code == 0
    code, _, err = await cli("mcp", "remove", "kid", **home)
    assert code == 2 and 'no server "kid"' in err


async def test_the_file_is_private_and_its_secrets_are_never_shown(tmp_path: Path) -> None:
    file = tmp_path / "servers.json"
    code, out, err = await cli(
        "mcp", "add", "web", "https://user:hunter2@example.com/mcp?token=hunter2", "--header", "X-Api-Key=hunter2hunter2",
        "--config", str(file), "--allow", "read_*",
    )  # fmt: skip
    assert code == 0, err
    assert "hunter2" not in out + err and "'${X_API_KEY}' would be read from the environment" in err
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    entry = json.loads(file.read_text())["mcpServers"]["web"]
    assert entry["headers"] == {"X-Api-Key": "hunter2hunter2"} and list(entry["allow"]) == ["read_*"]
    for options in ([], ["--json"]):
        code, out, err = await cli("mcp", "list", "--config", str(file), *options)
        assert code == 0 and "hunter2" not in out + err and "X-Api-Key" in out and "example.com/mcp" in out


async def test_the_command_that_tries_a_server_can_be_copied_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "my; servers.json"
    _, out, _ = await cli("mcp", "add", "notes", "--config", str(file), "--", "npx", "notes")
    assert f"kimi-agent mcp doctor notes --config '{file}' tries it" in out


@pytest.mark.parametrize("name", ["rm -rf x", "x; touch y", "a\nb", "\x1b]0;t\x07", "../../x", "", "--help", "a=b", "x" * 65])
async def test_a_name_is_no_command_and_no_path(tmp_path: Path, name: str) -> None:
    file = tmp_path / "mcp.json"
    code, out, err = await cli("mcp", "add", "--config", str(file), "--", name, "npx")
    assert (code, out) == (2, "") and "a server's name is of letters, digits" in err and not file.exists()


async def test_a_secret_beside_a_variable_is_a_secret(tmp_path: Path) -> None:
    add = ("mcp", "add", "--force", "--config", str(tmp_path / "mcp.json"), "web", "https://example.com/mcp", "--header")
    _, _, err = await cli(*add, "Authorization=Bearer sk-hunter2-${X}")
    assert "Authorization stands in the file as you gave it" in err and "hunter2" not in err
    for given in ("Authorization=Bearer ${X}", "Authorization=${X}", "X-Api-Key=${A}${B}"):
        assert (await cli(*add, given))[2] == ""


async def test_a_server_is_not_overwritten_by_mistake_and_the_rest_of_the_file_stays(tmp_path: Path) -> None:
    file = tmp_path / "mcp.json"
    file.write_text('{\n  // mine\n  "mcpServers": {"a": {"command": "x"}},\n  "other": 1\n}\n')
    code, _, err = await cli("mcp", "add", "a", "http://127.0.0.1:1/mcp", "--config", str(file))
    assert code == 2 and "choose another name, or say --force" in err
    assert (await cli("mcp", "add", "a", "http://127.0.0.1:1/mcp", "--force", "--config", str(file)))[0] == 0
    assert (await cli("mcp", "add", "b", "--config", str(file), "--", "npx", "-y", "server"))[0] == 0
    text = file.read_text()
    assert "// mine" in text and '"other": 1' in text
    code, out, _ = await cli("mcp", "list", "--config", str(file), "--json")
    rows = {row["name"]: row for row in json.loads(out)["servers"]}
    assert (rows["a"]["transport"], rows["a"]["where"]) == ("http", "http://127.0.0.1:1/mcp")
    assert (rows["b"]["transport"], rows["b"]["where"]) == ("stdio", "npx -y server")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["add", "x", "http://127.0.0.1:1/mcp", "more"], "behind a URL comes nothing more"),
        (["add", "x", "http://127.0.0.1:1/mcp", "--header", "hunter2"], "--header: write NAME=VALUE"),
        (["add", "x", "--transport", "sse", "--", "npx"], "sse"),
        (["add", "x", "http://127.0.0.1:1/mcp", "--transport", "pigeon"], "'stdio', 'http' or 'sse'"),
        (["list", "--config", "nowhere.json"], "is not there"),
        (["list", "--config", "broken.json"], "is no JSON"),
        (["remove", "x", "--config", "nowhere.json"], "is not there"),
    ],
)
async def test_mistakes_are_told_in_a_line(tmp_path: Path, arguments: list[str], says: str) -> None:
    (tmp_path / "broken.json").write_text("{")
    code, out, err = await cli("mcp", *arguments, cwd=tmp_path, XDG_CONFIG_HOME=str(tmp_path / "config"))
    assert (code, out) == (2, "") and err.startswith("error: ") and says in err and "hunter2" not in err, err


async def test_the_tools_of_all_servers_are_asked_for_and_one_that_fails_is_no_obstacle(tmp_path: Path) -> None:
    program, script = CHILD.split()
    file = tmp_path / "mcp.json"
    servers = {
        "good": {"command": program, "args": [script]},
        "dead": {"command": program, "args": [script, "dies"]},
        "off": {"command": "no-such-program", "disabled": True},
        "odd": {"command": program, "args": [script], "colour": "red"},
    }
    file.write_text(json.dumps({"mcpServers": servers}))
    code, out, err = await cli("mcp", "list", "--tools", "--config", str(file))
    assert code == 3
    assert "good: 8 tools" in out and "echo         Says it again." in out
    assert "off (disabled)" in out and "dead: the MCP server 'dead' ended with exit code 3" in out
    assert "colour" in err
    _, out, _ = await cli("mcp", "list", "--tools", "--json", "--config", str(file))
    rows = {row["name"]: row for row in json.loads(out)["servers"]}
    assert rows["good"]["tools"]["join"] == "Joins words." and rows["dead"]["tools"] is None and rows["dead"]["error"]
    assert rows["off"]["disabled"] and rows["off"]["tools"] is None and not rows["off"]["error"]
