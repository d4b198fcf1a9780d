"""A request that another model was asked before, as this one can take it.

The encoder of each endpoint sees to names of calls, images and the form of the history. Two things it cannot see: that tokens
were counted by another tokenizer, and that a turn was made by a model that does not think.
"""

from dataclasses import replace

from kimi_agent.messages import AssistantMessage, Message
from kimi_agent.models.base import ModelRequest, Profile
from kimi_agent.wire.identity_cache import IdentityCache


class Handover:
    """For one model. Keeps what it has changed, so that each message stays one object and is encoded once."""

    def __init__(self) -> None:
        self._changed: IdentityCache[AssistantMessage] = IdentityCache()

    def request(self, request: ModelRequest, profile: Profile, *, own_count: bool) -> ModelRequest:
        """`own_count`: whether `known_tokens` are this model's own."""
        if request.known_tokens and not own_count:
            request = replace(request, known_tokens=0, known_messages=0)
        thinks = profile.thinks_by_default if request.settings.thinking is None else request.settings.thinking
        if not (thinks and profile.echo_reasoning and any(map(_lacks_thoughts, request.messages))):
            return request
        return replace(request, messages=tuple(self._with_thoughts(m) for m in request.messages))

    def _with_thoughts(self, message: Message) -> Message:
        """Empty thoughts count as thoughts; where there are none, thinking models answer 400 "thinking is enabled but
        reasoning_content is missing in assistant tool call message at index N"."""
        if not (isinstance(message, AssistantMessage) and _lacks_thoughts(message)):
            return message
        changed = self._changed.get(message)
        if changed is None:
            changed = replace(message, reasoning="")
            self._changed.put(message, changed)
        return changed


def _lacks_thoughts(message: Message) -> bool:
    return isinstance(message, AssistantMessage) and bool(message.tool_calls) and message.reasoning is None
