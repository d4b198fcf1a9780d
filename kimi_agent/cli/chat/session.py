"""The state of a chat, without a terminal: what was said, what it cost, what is attached, how it is shown."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kimi_agent.agent import Agent
from kimi_agent.cli.chat.images import Found, images_in, read_image
from kimi_agent.cli.files import read_text, write_private
from kimi_agent.errors import KimiAgentError, UserError
from kimi_agent.limits import Usage
from kimi_agent.message_json import dump_messages, load_messages
from kimi_agent.messages import AssistantMessage, Message, ToolCall, ToolMessage, UserMessage
from kimi_agent.models.base import Model
from kimi_agent.result import RunResult

if TYPE_CHECKING:
    from kimi_agent.mcp.client.server import MCPServer


@dataclass(slots=True)
class View:
    """How answers are shown.

    Attributes:
        folded: a call is one line; else its arguments and its result are shown whole.
        thoughts: thoughts are shown as they come; else only how long they took.
    """

    folded: bool = True
    thoughts: bool = False


@dataclass(slots=True, kw_only=True)
class ChatSession:
    """One conversation.

    Attributes:
        agent: answers; its model may be switched.
        resolve: a model's name → the model; raises UserError.
        tools: as they were given, for the list.
        servers: MCP servers, whose tools are asked for when the list is wanted.
        messages: said so far; always a history that can be sent.
        usage: over the whole session, whatever was taken back.
        attached: images that go with the next message.
        unsent: a message that could not be sent, and that the conversation does not hold.
        file: where it was saved to, or loaded from.
        finds_images: whether paths in messages are attached.
        ended: whether the user wants to leave.
        again: whether the last message is to be answered again.
    """

    agent: Agent[Any]
    resolve: Callable[[str], Model]
    tools: Sequence[Any] = ()
    servers: "Sequence[MCPServer]" = ()
    view: View = field(default_factory=View)
    messages: tuple[Message, ...] = ()
    usage: Usage = field(default_factory=Usage)
    attached: list[Found] = field(default_factory=list[Found])
    unsent: UserMessage | None = None
    file: Path | None = None
    finds_images: bool = True
    ended: bool = False
    again: bool = False

    @property
    def model(self) -> Model:
        """Which answers."""
        assert isinstance(self.agent.model, Model)
        return self.agent.model

    @property
    def model_name(self) -> str:
        """What to call it; an endpoint that was not asked yet has not told."""
        return self.model.name or "the served model"

    def compose(self, text: str, *, find_images: bool = True) -> tuple[UserMessage, list[str]]:
        """The message that a text makes, with its images, and what the user should know of it. `find_images`: those that the text
        names are attached.

        Raises UserError where the model takes no images; what is attached stays so.
        """
        found, problems = images_in(text) if self.finds_images and find_images else ([], [])
        new = [f for f in found if f.path not in {a.path for a in self.attached}]
        images = [*self.attached, *new]
        if images and not self.model.profile.image_input:
            names = ", ".join(f.path.name for f in images)
            raise UserError(
                f"{self.model_name} takes no images, and the message has {names}: switch with /model NAME, take it back with "
                "/image --none, or start with --no-images, which leaves paths in messages alone"
            )
        self.attached = []
        notes = [f"attached {f.path} ({f.image.media_type}, {_size(f)})" for f in new]
        return UserMessage([text, *(f.image for f in images)]), [*notes, *(f"not attached: {p}" for p in problems)]

    def attach(self, name: str) -> Found:
        """Puts an image to the next message. Raises UserError for what is none, or where the model takes none."""
        if not self.model.profile.image_input:
            raise UserError(f"{self.model_name} takes no images; /model NAME switches to one that does, such as kimi-k2.6")
        found = read_image(name)
        self.attached.append(found)
        return found

    def begin(self) -> UserMessage | None:
        """For a message that is to be answered again: itself, if the conversation does not hold it. Raises UserError."""
        unsent, self.unsent, self.again = self.unsent, None, False
        if unsent is None and not (self.messages and isinstance(self.messages[-1], UserMessage | ToolMessage)):
            raise UserError('there is nothing to try again: the last message was answered; say "go on", or take it back with /undo')
        return unsent

    def took(self, result: RunResult[Any]) -> None:
        """A run has ended."""
        self.messages, self.unsent = result.messages, None

    def failed(self, error: BaseException, asked: UserMessage | None, known: tuple[Message, ...]) -> None:
        """A run raised an error: what it reached is kept; where that is nothing, or the message itself is at fault, the message
        is kept apart. `known` is what the run's stream says of the conversation."""
        reached = (error.messages if isinstance(error, KimiAgentError) else ()) or known
        answered = any(not isinstance(m, UserMessage) for m in reached[len(self.messages) :])
        if reached and (answered or not isinstance(error, UserError)):
            self.messages, self.unsent = reached, None
        else:
            self.unsent = asked

    def undo(self) -> UserMessage:
        """Takes back the last message of the user with all that followed. Raises UserError where there is none."""
        if (unsent := self.unsent) is not None:
            self.unsent = None
            return unsent
        last = next((i for i in reversed(range(len(self.messages))) if isinstance(self.messages[i], UserMessage)), None)
        if last is None:
            raise UserError("there is nothing to take back")
        taken = self.messages[last]
        assert isinstance(taken, UserMessage)
        self.messages = self.messages[:last]
        return taken

    def clear(self) -> None:
        """Begins a new conversation; usage counts on."""
        self.messages, self.attached, self.unsent, self.file = (), [], None, None

    def switch(self, name: str) -> None:
        """Another model answers from now on. Raises UserError."""
        self.agent = replace(self.agent, model=self.resolve(name))

    def save(self, path: Path, *, overwrite: bool = False) -> None:
        """Writes the conversation, lossless. Raises UserError."""
        write_private(path, dump_messages(self.messages), overwrite=overwrite)
        self.file = path

    def load(self, path: Path) -> None:
        """Goes on with a conversation that was saved. Raises UserError, and leaves this one as it is."""
        self.messages = load_messages(read_text(path))
        self.attached, self.unsent, self.file = [], None, path

    def calls(self) -> list[tuple[ToolCall, ToolMessage | None]]:
        """All calls of the conversation with their results, in order; the user knows each by its index plus one."""
        results = {m.call_id: m for m in self.messages if isinstance(m, ToolMessage)}
        made = (c for m in self.messages if isinstance(m, AssistantMessage) for c in m.tool_calls)
        return [(call, results.get(call.id)) for call in made]


def _size(found: Found) -> str:
    size = len(found.image.data or b"")
    return f"{size / 1e6:.1f} MB" if size >= 100_000 else f"{size / 1e3:.1f} kB"
