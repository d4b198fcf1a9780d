"""`caller(ctx)`: the client that called a served tool, prompt or resource, for code that wants something of it.

@tool
async def book(ctx: RunContext, flight: str) -> str:
    seat = await caller(ctx).elicit("Which seat?", Seat)
    return f"booked {seat.row}" if seat else "not booked"
"""

import json
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias, TypeVar, cast, overload
from uuid import uuid4

import mcp_types as types
from mcp.shared.exceptions import MCPError
from pydantic import BaseModel, ValidationError

from kimi_agent.errors import UserError
from kimi_agent.mcp.server.asks import ClientRefused
from kimi_agent.mcp.server.call import ServedCall
from kimi_agent.tooling.context import RunContext

ModelT = TypeVar("ModelT", bound=BaseModel)
Feature: TypeAlias = Literal["sampling", "elicitation", "elicitation.url", "roots"]


class MissingCapability(MCPError):
    """The client lacks what a tool cannot do without; the client gets it as a protocol error (-32021)."""


def caller(context: RunContext[Any]) -> "Caller":
    """The client that made this call. Raises UserError where none did: in an agent's run, for example."""
    call: Any = context.run
    if not isinstance(call, ServedCall):
        raise UserError("caller(ctx) is for tools that an MCP client calls: this one was called by an agent's run")
    return Caller(call)


class Caller:
    """The client of one call. What it is asked is seen by its user; an answer is the user's word, and is not to be trusted more."""

    def __init__(self, call: ServedCall) -> None:
        self.call = call

    @property
    def protocol(self) -> str:
        """The version of the protocol, such as "2025-11-25"."""
        return self.call.request.protocol_version

    @property
    def name(self) -> str:
        """What the client calls itself; "" where it does not say."""
        params = self.call.request.session.client_params
        return params.client_info.name if params else ""

    @property
    def version(self) -> str:
        """The client's version; "" where it does not say."""
        params = self.call.request.session.client_params
        return params.client_info.version if params else ""

    @property
    def progress_token(self) -> str | int | None:
        """The client's name for the progress of this call; None where it wants to hear of none."""
        meta: dict[str, Any] = dict(self.call.request.meta or {})
        return meta.get("progress_token", meta.get("progressToken"))

    def supports(self, feature: Feature) -> bool:
        """Whether the client said that it can do this."""
        has = self.call.request.session.client_capabilities
        if has is None:
            return False
        if feature == "elicitation.url":
            return has.elicitation is not None and has.elicitation.url is not None
        if feature == "elicitation":  # one that names no mode has forms
            return has.elicitation is not None and (has.elicitation.form is not None or has.elicitation.url is None)
        return getattr(has, feature) is not None

    def require(self, feature: Feature) -> None:
        """Ends the call with the protocol's own error where the client cannot do this."""
        if not self.supports(feature):
            first, _, second = feature.partition(".")
            missing: dict[str, dict[str, Any]] = {first: {second: {}} if second else {}}
            text = f"This needs a client with the {feature!r} capability"
            error = MissingCapability(types.MISSING_REQUIRED_CLIENT_CAPABILITY, text, {"requiredCapabilities": missing})
            self.call.refusal = error
            raise error

    @overload
    async def elicit(self, message: str, schema: type[ModelT], *, key: str | None = None) -> ModelT | Literal[False] | None: ...
    @overload
    async def elicit(
        self, message: str, schema: Mapping[str, Any], *, key: str | None = None
    ) -> dict[str, Any] | Literal[False] | None: ...
    async def elicit(self, message: str, schema: Any, *, key: str | None = None) -> Any:
        """Has the client's user fill in a form.

        Args:
            message: what the user reads.
            schema: a flat pydantic model, or a JSON Schema of type object whose properties are text, numbers, booleans or choices.
            key: the question's name in the modern era; by default a number.

        Returns:
            What was filled in; False where the user declined, None where the form was closed.

        Raises:
            UserError: the client has no forms; ask `supports("elicitation")` first.
            ClientRefused: the client failed, or what it sent does not fit.
        """
        if not self.supports("elicitation"):
            raise UserError("the client offers no elicitation: it cannot ask its user")
        model = cast(type[BaseModel], schema) if isinstance(schema, type) else None
        form = form_of(model) if model is not None else dict(cast(Mapping[str, Any], schema))
        params = types.ElicitRequestFormParams(message=message, requested_schema=form)
        answer = await self.call.ask(types.ElicitRequest(params=params), types.ElicitResult, key)
        if answer.action != "accept":
            return False if answer.action == "decline" else None
        content = answer.content or {}
        if model is None:
            return content
        try:
            return model.model_validate_json(json.dumps(content))
        except ValidationError as e:
            raise ClientRefused(f"what the user filled in does not fit {model.__name__}: {e.errors()[0]['msg']}") from None

    async def elicit_url(self, message: str, url: str, *, key: str | None = None) -> bool | None:
        """Has the client's user open a page, for what must not go through the client. True: agreed to, not: done; False: declined;
        None: closed. Raises as `elicit`."""
        if not self.supports("elicitation.url"):
            raise UserError("the client offers no elicitation by URL")
        params = types.ElicitRequestURLParams(message=message, url=url, elicitation_id=uuid4().hex)
        answer = await self.call.ask(types.ElicitRequest(params=params), types.ElicitResult, key)
        return {"accept": True, "decline": False}.get(answer.action)

    async def roots(self, *, key: str | None = None) -> tuple[str, ...]:
        """The folders that the client works in, as `file://` URIs. Raises UserError where it tells none, and ClientRefused."""
        if not self.supports("roots"):
            raise UserError("the client offers no roots")
        answer = await self.call.ask(types.ListRootsRequest(), types.ListRootsResult, key)
        return tuple(str(root.uri) for root in answer.roots)

    async def close_stream(self) -> None:
        """Closes the stream on which the client waits; it comes back for the result (SEP-1699). Only over HTTP in the handshake
        era, with `resumable=True`; elsewhere nothing happens."""
        if (close := self.call.request.close_sse_stream) is not None:
            await close()


def form_of(model: type[BaseModel]) -> dict[str, Any]:
    """A flat model as the protocol has forms: definitions written where they are used, `X | None` as X."""
    schema = model.model_json_schema()
    definitions = schema.pop("$defs", {})
    schema["properties"] = {name: _flat(field, definitions) for name, field in schema.get("properties", {}).items()}
    return {k: v for k, v in schema.items() if k in ("type", "properties", "required")}


def _flat(field: dict[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    if "$ref" in field:
        definition = definitions[field["$ref"].removeprefix("#/$defs/")]
        field = {**definition, **{k: v for k, v in field.items() if k != "$ref"}}
    choices = [c for c in field.get("anyOf", ()) if c.get("type") != "null"]
    if len(choices) == 1:
        rest = {k: v for k, v in field.items() if k != "anyOf" and not (k == "default" and v is None)}
        field = {**_flat(choices[0], definitions), **rest}
    if "items" in field:
        field = field | {"items": _flat(field["items"], definitions)}
    return field
