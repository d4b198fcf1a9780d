"""Servers of others, as their publishers ship them, in an agent. `make peers` fetches them; no double here but the model."""

import json
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from peers import Peers, needed

from kimi_agent import (
    Agent,
    Elicitation,
    Event,
    File,
    Image,
    MCPServer,
    MCPServerError,
    ScriptedModel,
    ToolEnd,
    ToolLog,
    ToolMessage,
    ToolProgress,
    call,
)

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


@pytest.fixture(scope="module")
def peers() -> Peers:
    return needed()


@asynccontextmanager
async def started(command: tuple[str, ...], **options: Any) -> AsyncIterator[MCPServer]:
    async with MCPServer(*command, **options) as server:
        yield server
        assert server.status.restarts == 0


async def events_of(server: MCPServer, *turns: Any) -> list[Event]:
    """What a run tells in which the model makes these calls, one turn each, and then says that it is done."""
    model = ScriptedModel([*turns, "Done."])
    async with Agent(model, tools=[server]).stream("Go on.") as stream:
        events = [event async for event in stream]
    assert stream.result.output == "Done."
    model.assert_complete()
    return events


async def results_of(server: MCPServer, *turns: Any) -> list[ToolMessage]:
    """What the model sees of each call."""
    return [event.result for event in await events_of(server, *turns) if isinstance(event, ToolEnd)]


# ── npm: server-everything ──


async def test_texts_numbers_and_structured_content(peers: Peers) -> None:
    async with started(peers.everything()) as server:
        echo, total, weather = await results_of(
            server,
            call("echo", message="你好"),
            call("get-sum", a=2, b=40),
            call("get-structured-content", location="Chicago"),
        )
        assert server.status.server_name == "mcp-servers/everything"
    assert echo.text == "Echo: 你好"
    assert "42" in total.text
    assert json.loads(weather.text) == {"temperature": 36, "conditions": "Light rain / drizzle", "humidity": 82}


async def test_the_program_gets_structured_content_as_a_value(peers: Peers) -> None:
    async with started(peers.everything()) as server:
        events = await events_of(server, call("get-structured-content", location="Los Angeles"))
    (end,) = [event for event in events if isinstance(event, ToolEnd)]
    assert end.value["temperature"] == 73


async def test_arguments_that_do_not_fit_never_reach_the_server(peers: Peers) -> None:
    async with started(peers.everything()) as server:
        wrong, right = await results_of(
            server, call("get-structured-content", location="Paris"), call("get-structured-content", location="Chicago")
        )
    assert wrong.is_error and "New York" in wrong.text
    assert not right.is_error


async def test_images_resources_and_links_come_through(peers: Peers) -> None:
    async with started(peers.everything()) as server:
        image, reference, links, annotated = await results_of(
            server,
            call("get-tiny-image"),
            call("get-resource-reference", resourceType="Blob", resourceId=3),
            call("get-resource-links", count=2),
            call("get-annotated-message", messageType="success", includeImage=True),
        )
    (picture,) = [part for part in image.content if isinstance(part, Image)]
    assert picture.media_type == "image/png" and picture.data is not None and picture.data.startswith(b"\x89PNG")
    assert any(isinstance(part, File) and b"3" in (part.data or b"") for part in reference.content)
    assert links.text.count("demo://resource/") == 2
    assert "Operation completed successfully" in annotated.text
    assert any(isinstance(part, Image) for part in annotated.content)


async def test_progress_becomes_events(peers: Peers) -> None:
    async with started(peers.everything()) as server:
        events = await events_of(server, call("trigger-long-running-operation", duration=0.6, steps=3))
    progress = [event for event in events if isinstance(event, ToolProgress)]
    assert [(event.progress, event.total) for event in progress] == [(1, 3), (2, 3), (3, 3)]
    end = next(event for event in events if isinstance(event, ToolEnd))
    assert {event.call_id for event in progress} == {end.call.id}
    assert "completed" in end.result.text


async def test_log_messages_become_events_from_the_wanted_level_on(peers: Peers) -> None:
    async with started(peers.everything(), log_level="debug") as server:
        # it notes something at once, and the call beside it is still under way then
        events = await events_of(
            server, [call("toggle-simulated-logging"), call("trigger-long-running-operation", duration=0.5, steps=1)]
        )
    logs = [event for event in events if isinstance(event, ToolLog)]
    assert any("level" in event.text.lower() and event.source.startswith(server.name) for event in logs)


async def test_elicitation_asks_the_user_and_fills_in_defaults(peers: Peers) -> None:
    asked: list[Elicitation] = []

    async def answer(question: Elicitation) -> dict[str, Any]:
        asked.append(question)
        return {"name": "Ada", "check": True}

    async with started(peers.everything(), elicit=answer) as server:
        (result,) = await results_of(server, call("trigger-elicitation-request"))
    assert asked[0].mode == "form" and "name" in (asked[0].schema or {})["properties"]
    assert "- Name: Ada" in result.text
    assert "- Favorite Integer: 42" in result.text  # the server's own default


@pytest.mark.parametrize(("said", "heard"), [(False, "User declined"), (None, "User cancelled")])
async def test_a_user_may_decline_or_not_answer(peers: Peers, said: bool | None, heard: str) -> None:
    async def answer(question: Elicitation) -> bool | None:
        return said

    async with started(peers.everything(), elicit=answer) as server:
        (result,) = await results_of(server, call("trigger-elicitation-request"))
    assert heard in result.text


async def test_a_page_to_visit(peers: Peers) -> None:
    asked: list[Elicitation] = []

    async def visit(question: Elicitation) -> bool:
        asked.append(question)
        return True

    async with started(peers.everything(), elicit=visit) as server:
        (result,) = await results_of(server, call("trigger-url-elicitation", url="https://example.org/pay"))
    assert [(question.mode, question.url) for question in asked] == [("url", "https://example.org/pay")]
    assert "User completed" in result.text


async def test_sampling_asks_the_runs_model_and_counts(peers: Peers) -> None:
    model = ScriptedModel([call("trigger-sampling-request", prompt="Say hi", maxTokens=20), "Hi from the model.", "Done."])
    async with started(peers.everything(), sampling=True) as server:
        result = await Agent(model, tools=[server], instructions="SECRET").run("PRIVATE question")
    assert result.output == "Done."
    model.assert_complete()
    asked = model.requests[1]
    assert "Say hi" in asked.messages[-1].text
    assert not asked.tools
    assert "SECRET" not in str(asked.messages) and "PRIVATE" not in str(asked.messages)
    answered = next(m for m in result.messages if isinstance(m, ToolMessage))
    assert "Hi from the model." in answered.text


async def test_what_was_not_switched_on_is_not_offered_to_the_server(peers: Peers) -> None:
    async with started(peers.everything()) as server:
        names = {tool.original for tool in await server.list_tools()}
    assert "echo" in names
    assert not [name for name in names if "sampling" in name or "elicitation" in name or "roots" in name]


async def test_roots_are_told(peers: Peers, tmp_path: Path) -> None:
    async with started(peers.everything(), roots=[tmp_path]) as server:
        (result,) = await results_of(server, call("get-roots-list"))
    assert tmp_path.as_uri() in result.text


async def test_resources_and_prompts(peers: Peers) -> None:
    async with started(peers.everything()) as server:
        listed = {str(resource.uri) for resource in await server.resources()}
        templates = {template.uri_template for template in await server.resource_templates()}
        (text,) = await server.read_resource("demo://resource/dynamic/text/7")
        (blob,) = await server.read_resource("demo://resource/dynamic/blob/7")
        prompts = {prompt.name for prompt in await server.prompts()}
        (question,) = await server.prompt("args-prompt", {"city": "Beijing"})
        with pytest.raises(MCPServerError, match=r"(?i)not found|unknown|nothing"):
            await server.read_resource("demo://nothing")
    assert listed and "demo://resource/dynamic/text/{resourceId}" in templates
    assert isinstance(text, File) and b"Resource 7" in text.data
    assert isinstance(blob, File) and b"Resource 7" in blob.data
    assert "args-prompt" in prompts and question.text == "What's weather in Beijing?"


async def test_the_model_can_read_resources_by_itself(peers: Peers) -> None:
    async with started(peers.everything(), name="all", resource_tools=True) as server:
        listed, read = await results_of(
            server, call("all__list_resources"), call("all__read_resource", uri="demo://resource/dynamic/text/5")
        )
    assert "demo://resource/dynamic/text/{resourceId}" in listed.text
    assert "Resource 5" in read.text


async def test_the_environment_is_the_one_that_was_given(peers: Peers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "sk-not-for-servers")
    async with started(peers.everything(), env={"GREETING": "hello"}) as server:
        (result,) = await results_of(server, call("get-env"))
    assert '"GREETING": "hello"' in result.text
    assert "sk-not-for-servers" not in result.text


# ── npm: server-filesystem, server-memory ──


async def test_filesystem_reads_writes_and_refuses(peers: Peers, tmp_path: Path) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside.txt"
    inside.mkdir()
    outside.write_text("not yours")
    file = inside / "note.txt"
    note = str(file)
    async with started(peers.filesystem(inside)) as server:
        written, read, refused, missing = await results_of(
            server,
            call("write_file", path=note, content="Grüße"),
            call("read_text_file", path=note),
            call("read_text_file", path=str(outside)),
            call("read_text_file", path=str(inside / "nothing.txt")),
        )
    assert not written.is_error and file.read_text(encoding="utf-8") == "Grüße"
    assert read.text == "Grüße"
    assert refused.is_error and "not yours" not in refused.text and "outside" in refused.text
    assert missing.is_error and "ENOENT" in missing.text


async def test_roots_replace_the_folders_of_the_filesystem_server(peers: Peers, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    (second / "seen.txt").write_text("seen")
    async with started(peers.filesystem(first), roots=[second]) as server:
        (read,) = await results_of(server, call("read_text_file", path=str(second / "seen.txt")))
    assert read.text == "seen"


async def test_memory_remembers_across_a_restart(peers: Peers, tmp_path: Path) -> None:
    file = {"MEMORY_FILE_PATH": str(tmp_path / "graph.jsonl")}
    lamp = {"name": "lamp", "entityType": "thing", "observations": ["stands in row 7"]}
    async with started(peers.memory(), env=file) as server:
        await results_of(server, call("create_entities", entities=[lamp]))
    async with started(peers.memory(), env=file) as server:
        events = await events_of(server, call("search_nodes", query="lamp"))
    (end,) = [event for event in events if isinstance(event, ToolEnd)]
    assert "stands in row 7" in end.result.text
    assert end.value["entities"][0]["name"] == "lamp"


# ── PyPI: time, git, fetch ──


async def test_time(peers: Peers) -> None:
    async with started(peers.time()) as server:
        converted, wrong = await results_of(
            server,
            call("convert_time", source_timezone="Asia/Shanghai", time="16:30", target_timezone="Asia/Tokyo"),
            call("get_current_time", timezone="Nowhere/Town"),
        )
        assert server.status.protocol == "2026-07-28"
    assert "17:30" in converted.text and "+1" in converted.text
    assert wrong.is_error and "Nowhere/Town" in wrong.text


def git(folder: Path, *words: str) -> str:
    who = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    quiet = os.environ | {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    return subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True, text=True, env=quiet).stdout


async def test_git(peers: Peers, tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "-b", "main")
    (tmp_path / "a.txt").write_text("one\n")
    git(tmp_path, "add", "a.txt")
    git(tmp_path, "commit", "-q", "-m", "The first")
    (tmp_path / "a.txt").write_text("two\n")
    place = str(tmp_path)
    async with started(peers.git(tmp_path)) as server:
        diff, added, log, elsewhere = await results_of(
            server,
            call("git_diff_unstaged", repo_path=place),
            call("git_add", repo_path=place, files=["a.txt"]),
            call("git_log", repo_path=place),
            call("git_status", repo_path=str(tmp_path.parent)),
        )
    assert "-one" in diff.text and "+two" in diff.text
    assert not added.is_error and git(tmp_path, "diff", "--cached", "--name-only").strip() == "a.txt"
    assert "The first" in log.text
    assert elsewhere.is_error


class Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b"<html><head><title>Stock</title></head><body><h1>Lamps</h1><p>There are 41 lamps.</p></body></html>"
        found = self.path == "/stock"
        self.send_response(200 if found else 404)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body) if found else 0))
        self.end_headers()
        self.wfile.write(body if found else b"")

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


@contextmanager
def site() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


async def test_fetch(peers: Peers) -> None:
    with site() as url:
        async with started((*peers.fetch(), "--ignore-robots-txt", "--allow-private-ips")) as server:
            raw, missing = await results_of(
                server, call("fetch", url=f"{url}/stock", raw=True), call("fetch", url=f"{url}/nothing")
            )
    assert "There are 41 lamps." in raw.text
    assert missing.is_error and "404" in missing.text


# ── several at once ──


async def test_one_agent_over_three_servers(peers: Peers, tmp_path: Path) -> None:
    model = ScriptedModel(
        [
            [call("get-sum", a=1, b=2), call("convert_time", source_timezone="UTC", time="10:00", target_timezone="UTC")],
            call("write_file", path=str(tmp_path / "sum.txt"), content="3"),
            "Done.",
        ]
    )
    servers = [MCPServer(*command) for command in (peers.everything(), peers.time(), peers.filesystem(tmp_path))]
    try:
        result = await Agent(model, tools=servers).run("Go on.")
    finally:
        for server in servers:
            await server.aclose()
    assert result.output == "Done." and not [m for m in result.messages if isinstance(m, ToolMessage) and m.is_error]
    assert (tmp_path / "sum.txt").read_text() == "3"


async def test_a_page_that_must_be_visited_first(peers: Peers) -> None:
    asked: list[str | None] = []

    async def visit(question: Elicitation) -> bool:
        asked.append(question.url)
        return True

    wanted = call("trigger-url-elicitation", url="https://example.org/pay", errorPath=True)
    async with started(peers.everything(), elicit=visit) as server:
        (result,) = await results_of(server, wanted)
    assert asked == ["https://modelcontextprotocol.io", "https://example.org/pay"]
    assert not result.is_error and "User completed" in result.text


async def test_without_anybody_to_ask_the_model_is_told_the_page(peers: Peers) -> None:
    wanted = call("trigger-url-elicitation", url="https://example.org/pay", errorPath=True)
    async with started(peers.everything(), elicit=_nobody) as server:
        (result,) = await results_of(server, wanted)
    assert result.is_error and "https://modelcontextprotocol.io" in result.text


async def _nobody(question: Elicitation) -> None:
    return None
