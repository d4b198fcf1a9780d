"""The server under test: what the official suite wants to find, served by `MCPService` over streamable HTTP.

`python -m tests.conformance.server` prints its URL and serves until it is stopped.
"""

import asyncio
import contextlib

from kimi_agent import File, MCPService, UserMessage
from kimi_agent.mcp import Prompt, Resource

from . import questions, tools


def template_data(id: str) -> dict[str, object]:
    """Data of any id."""
    return {"id": id, "templateTest": True, "data": f"Data for ID: {id}"}


def test_simple_prompt() -> str:
    """A prompt without arguments."""
    return "This is a simple prompt for testing."


def test_prompt_with_arguments(arg1: str, arg2: str) -> str:
    """A prompt with two arguments."""
    return f"Prompt with arguments: arg1='{arg1}', arg2='{arg2}'"


def test_prompt_with_embedded_resource(resourceUri: str) -> list[UserMessage]:
    """A prompt that brings a resource."""
    resource = File(b"Embedded resource content for testing.", resourceUri, "text/plain")
    return [UserMessage([resource]), UserMessage("Please process the embedded resource above.")]


def test_prompt_with_image() -> list[UserMessage]:
    """A prompt that brings an image."""
    return [UserMessage([tools.IMAGE]), UserMessage("Please analyze the image above.")]


class Announcer:
    """Lets a tool say that lists have changed; the service is made after the tools."""

    service: MCPService

    def tools_changed(self) -> None:
        self.service.tools_changed()

    def prompts_changed(self) -> None:
        self.service.prompts_changed()


def made() -> MCPService:
    """The service with all that the suite asks for."""
    announcer = Announcer()
    announcer.service = MCPService(
        *tools.TOOLS,
        *questions.TOOLS,
        name="kimi-agent-conformance",
        deps=announcer,
        resources=[
            Resource("test://static-text", "This is the content of the static text resource.", mime_type="text/plain"),
            Resource("test://static-binary", tools.PNG, mime_type="image/png"),
            Resource("test://watched-resource", "Watched resource content", mime_type="text/plain"),
            Resource("test://template/{id}/data", template_data),
        ],
        prompts=[
            test_simple_prompt,
            Prompt(test_prompt_with_arguments, complete={"arg1": ["test", "testing"]}),
            test_prompt_with_embedded_resource,
            test_prompt_with_image,
            questions.test_input_required_result_prompt,
        ],
    )
    return announcer.service


def ready(url: str) -> None:
    print(url, flush=True)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(made().http(port=0, resumable=True, retry_ms=100, ready=ready))
