"""The fields of a chat completions request, out of the settings and what the model's family can do."""

from typing import Any

from kimi_agent.errors import UserError
from kimi_agent.models.base import ModelRequest, Profile
from kimi_agent.redact import get_logger
from kimi_agent.settings import ModelSettings
from kimi_agent.wire.openai_encode import Encoder, to_json

_log = get_logger(__name__)
_SAMPLING = ("temperature", "top_p", "presence_penalty", "frequency_penalty")


def request_body(
    request: ModelRequest, *, model: str, profile: Profile, encoder: Encoder, max_tokens: int | None, moonshot: bool
) -> bytes:
    """The whole body. `moonshot`: the endpoint is Moonshot's own, which knows `prompt_cache_key`.

    Raises UserError for settings that the endpoint would refuse.
    """
    settings, extra = request.settings, dict(request.settings.extra_body)
    fields: dict[str, Any] = {"model": model, **_streaming(settings), **_sampling(settings, profile, model)}
    # Moonshot calls `max_tokens` deprecated; vLLM and SGLang know both names.
    if max_tokens is not None and not extra.keys() & {"max_tokens", "max_completion_tokens"}:
        fields["max_completion_tokens"] = max_tokens
    fields |= _thinking(settings, profile, model)
    if request.tools:
        fields |= _tool_choice(settings, profile, model, {t.name for t in request.tools})
    if moonshot and request.conversation_id is not None:
        fields["prompt_cache_key"] = request.conversation_id
    if "chat_template_kwargs" in fields and isinstance(extra.get("chat_template_kwargs"), dict):
        extra["chat_template_kwargs"] = {**fields["chat_template_kwargs"], **extra["chat_template_kwargs"]}
    fields |= extra
    arrays: list[bytes] = []
    if "messages" not in fields:
        arrays.append(b',"messages":' + encoder.messages(request.messages))
    if request.tools and "tools" not in fields:
        arrays.append(b',"tools":' + encoder.tools(request.tools))
    return to_json(fields)[:-1] + b"".join(arrays) + b"}"


def _streaming(settings: ModelSettings) -> dict[str, Any]:
    if settings.stream is False:
        return {"stream": False}
    return {"stream": True, "stream_options": {"include_usage": True}}


def _sampling(settings: ModelSettings, profile: Profile, model: str) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name in _SAMPLING:
        if (value := getattr(settings, name)) is None:
            continue
        if name in profile.fixed_sampling:
            _log.debug("%s is fixed by %s and not sent", name, model)
        else:
            fields[name] = value
    if settings.stop is not None:
        fields["stop"] = settings.stop if isinstance(settings.stop, str) else list(settings.stop)
    for name in ("seed", "reasoning_effort", "response_format"):
        if (value := getattr(settings, name)) is not None:
            fields[name] = value
    return fields


def _thinking(settings: ModelSettings, profile: Profile, model: str) -> dict[str, Any]:
    wanted = settings.thinking
    if wanted is None:
        return {}
    if profile.thinking == "moonshot":
        return {"thinking": {"type": "enabled" if wanted else "disabled"}}
    if profile.thinking == "chat_template":
        return {"chat_template_kwargs": {"thinking": wanted}}
    if wanted == profile.thinks_by_default:
        return {}
    always = "always thinks" if profile.thinks_by_default else "has no switch for thinking that is known here"
    raise UserError(
        f"thinking={wanted} cannot be had: {model} {always}; leave the setting out, or send the endpoint's own switch in extra_body"
    )


def _tool_choice(settings: ModelSettings, profile: Profile, model: str, names: set[str]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if settings.parallel_tool_calls is not None:
        fields["parallel_tool_calls"] = settings.parallel_tool_calls
    choice = settings.tool_choice
    if choice is None:
        return fields
    if choice in ("auto", "none"):
        return {**fields, "tool_choice": choice}
    if choice != "required" and choice not in names:
        raise UserError(f"tool_choice={choice!r} names no tool of this request; there are: {', '.join(sorted(names))}")
    if not profile.may_force_calls(settings):
        way = "set thinking=False with it, or " if profile.thinking else ""
        raise UserError(
            f"tool_choice={choice!r} cannot be sent to {model} while it thinks: {way}use tool_choice='auto' and say in "
            "the instructions which tool to call"
        )
    if choice == "required":
        return {**fields, "tool_choice": "required"}
    return {**fields, "tool_choice": {"type": "function", "function": {"name": choice}}}
