"""Adding and removing servers in files that belong to somebody."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kimi_agent import UserError
from kimi_agent.mcp.client.config import ServerConfig, add_server, read_config, remove_server
from kimi_agent.mcp.client.private_file import replace_file

NEW = ServerConfig(command="uvx", args=("mcp-server-time",))
THEIRS = """\
{
    // what I use
    "theme": "dark",   "odd" : [1,2 , 3],
    "mcpServers": {
        "files": { "command": "npx", "args": ["-y", "x"], "unknown": {"kept": true} }, // mine
        "web": {
            "url": "https://a.example/mcp"
        }
    },
    "after": null
}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "mcp.json").write_text(THEIRS)
    return tmp_path / "mcp.json"


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_a_new_file(tmp_path: Path) -> None:
    path = tmp_path / "new" / "mcp.json"
    add_server(path, "time", NEW)
    entry = {"command": "uvx", "args": ["mcp-server-time"]}
    assert path.read_text() == json.dumps({"mcpServers": {"time": entry}}, indent=2) + "\n"
    assert mode(path) == 0o600 and [file.name for file in path.parent.iterdir()] == ["mcp.json"]
    assert read_config(path)["time"].command_line == ("uvx", "mcp-server-time")


def test_all_else_stays_byte_for_byte(path: Path) -> None:
    path.chmod(0o644)
    add_server(path, "time", NEW)
    text = path.read_text()
    inside = '"command": "uvx",\n          "args": [\n            "mcp-server-time"\n          ]'
    entry = f',\n        "time": {{\n          {inside}\n        }}'
    assert text == THEIRS.replace('mcp"\n        }', f'mcp"\n        }}{entry}')
    assert list(read_config(path)) == ["files", "web", "time"]
    remove_server(path, "time")
    assert path.read_text() == THEIRS


def test_overwriting(path: Path) -> None:
    with pytest.raises(UserError, match="already"):
        add_server(path, "web", NEW)
    assert path.read_text() == THEIRS
    add_server(path, "web", NEW, overwrite=True)
    assert read_config(path)["web"].command_line == ("uvx", "mcp-server-time")
    assert path.read_text().startswith(THEIRS[: THEIRS.index('"web"')])


def test_removing_all(path: Path) -> None:
    remove_server(path, "files")
    assert "// what I use" in path.read_text() and list(read_config(path)) == ["web"]
    remove_server(path, "web")
    assert read_config(path) == {} and '"after": null' in path.read_text()
    with pytest.raises(UserError, match='has no server "web": it has none'):
        remove_server(path, "web")
    add_server(path, "time", NEW)
    assert list(read_config(path)) == ["time"]


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "",
        '{"mcpServers": {}}',
        '{"servers": {"a": {"command": "x"}}}',
        '{"mcpServers":{"a":{"command":"x"},}, }',
        '{"theme": "a}b//c"}',
        '{"mcpServers": {\n\t"a": {"command": "x"}, // behind, with a comma\n\t}}',
        '{"mcpServers": {"a": {"command": "x"} /* } , */ }}',
        '{"x": {"mcpServers": {"b": 1}}, "mcpServers": {"a": {"command": "x"}}}',
        '\ufeff{"mcpServers": {}}',
        '{\r\n  "mcpServers": {\r\n    "a": {"command": "x"}\r\n  }\r\n}\r\n',
    ],
)
def test_layouts(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mcp.json"
    path.write_bytes(text.encode())
    add_server(path, "new", NEW)
    servers = read_config(path)
    assert servers["new"].command_line == ("uvx", "mcp-server-time") and ("a" in servers) == ('"a":' in text)
    written = path.read_bytes().decode()
    assert written.startswith("\ufeff") == text.startswith("\ufeff")
    assert ("\r\n" in text) == ("\r\n" in written) and written.replace("\r\n", "").count("\n") == (
        0 if "\r\n" in text else written.count("\n")
    )
    remove_server(path, "new")
    assert "new" not in read_config(path)


names = st.text(min_size=1, max_size=12).filter(lambda name: name.strip() and not any(0xD800 <= ord(c) < 0xE000 for c in name))


@settings(max_examples=25, deadline=None)
@given(st.lists(names, unique=True, max_size=4), st.integers(0, 4), st.sampled_from([None, 1, "\t"]))
def test_any_names_in_any_order(
    tmp_path_factory: pytest.TempPathFactory, servers: list[str], which: int, indent: int | str | None
) -> None:
    path = tmp_path_factory.mktemp("any") / "mcp.json"
    before = {"first": 1, "mcpServers": {name: {"command": name} for name in servers}, "last": {"mcpServers": {}}}
    path.write_text(json.dumps(before, indent=indent), encoding="utf-8")
    text = path.read_bytes()
    new = "new-" + "x" * 20
    add_server(path, new, NEW)
    assert list(read_config(path)) == [*servers, new]
    remove_server(path, new)
    if servers:
        assert path.read_bytes() == text
        gone = servers[which % len(servers)]
        remove_server(path, gone)
        assert list(read_config(path)) == [name for name in servers if name != gone]


@pytest.mark.parametrize(
    "config",
    [
        ServerConfig(url="https://a.example", headers={"Authorization": "Bearer s3cret-${X}"}),
        ServerConfig(url="https://a.example/mcp?api_key=s3cret"),
        ServerConfig(url="https://u:s3cret@a.example/mcp"),
        ServerConfig(command="npx", args=("server", "s3cret")),
    ],
)
def test_what_is_added_is_for_its_owner_alone(path: Path, config: ServerConfig) -> None:
    path.chmod(0o644)
    remove_server(path, "web")
    assert mode(path) == 0o644  # nothing new stands in it
    add_server(path, "a", config)
    assert mode(path) == 0o600


@pytest.mark.parametrize("name", ["", " ", "a b", "a;b", "a\nb", "a\n", "-a", ".a", "a/b", "x" * 65])
def test_names_that_could_be_something_else_are_not_added(path: Path, name: str) -> None:
    with pytest.raises(UserError, match="a server's name is of letters"):
        add_server(path, name, NEW)
    assert path.read_text() == THEIRS


def test_a_file_that_is_not_understood_is_left_alone(path: Path) -> None:
    broken = THEIRS.replace('"after": null', '"after": nul')
    path.write_text(broken)
    for change in (lambda: add_server(path, "a", NEW), lambda: remove_server(path, "web")):
        with pytest.raises(UserError, match="is no JSON"):
            change()
    assert path.read_text() == broken
    path.write_text('{"files": {"command": "x"}}')
    with pytest.raises(UserError, match="put its servers there first"):
        remove_server(path, "files")


def test_a_link_stays_a_link(path: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.json"
    link.symlink_to(path)
    add_server(link, "天气.v2_x-1", NEW)
    assert link.is_symlink() and "天气.v2_x-1" in read_config(path)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    entry = {
        "url": "https://a.example/mcp", "headers": {"X": "${X}"}, "type": "http", "timeout": 5000.0, "allow": ["a"], "deny": ["b"],
        "auth": {"clientId": "c", "callbackPort": 8080}, "startTimeoutSec": 3.0,
    }  # fmt: skip
    add_server(tmp_path / "mcp.json", "a", ServerConfig.of(entry))
    assert json.loads((tmp_path / "mcp.json").read_text()) == {"mcpServers": {"a": entry}}


def test_a_write_that_fails_leaves_the_old_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(IsADirectoryError):
        replace_file(path.parent, b"x")
    assert path.read_text() == THEIRS and [file.name for file in path.parent.iterdir()] == ["mcp.json"]
