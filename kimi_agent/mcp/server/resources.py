"""Resources that a server offers.

Resource("config://app", load_config)                                   # read when it is asked for
Resource("docs://{name}", read_doc, complete={"name": ["intro", "api"]})   # a template: its variables are the function's arguments
Resource("note://greeting", "Hello")                                    # fixed text, or bytes
"""

import mimetypes
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import mcp_types as types
from mcp.shared.exceptions import MCPError
from mcp.shared.path_security import contains_path_traversal, is_absolute_path
from mcp.shared.uri_template import InvalidUriTemplate, UriTemplate

from kimi_agent.errors import ToolDefinitionError
from kimi_agent.mcp.server.content import contents_of
from kimi_agent.mcp.server.eras import Request, owner_of
from kimi_agent.mcp.server.functions import Choices, as_function, called, check_choices, completed
from kimi_agent.messages import File, Image, parts_of, text_of
from kimi_agent.tooling.result import to_content
from kimi_agent.tooling.tool import Tool

if TYPE_CHECKING:
    from kimi_agent.mcp.server.call import ServedCall
    from kimi_agent.mcp.server.runs import KeptRuns

_PAGE = 100


@dataclass(frozen=True, slots=True)
class Resource:
    """Something that a client can read.

    Attributes:
        uri: a URI, or an RFC 6570 template such as `docs://{name}`; a variable takes no path that leads upwards or is absolute.
        source: the text or bytes themselves, or a function, sync or async, of the template's variables, and of a `RunContext` if it
            wants one. It returns text, bytes, a `File`, an `Image`, or what JSON can carry; it raises `LookupError` where there is
            nothing to read.
        name: for lists; by default the function's name, or the URI.
        title: for people.
        description: by default the function's docstring.
        mime_type: by default told by what is returned, or by the URI's ending.
        complete: values of a template's variables: a list of them, or a function of what was typed so far (and of the values of the
            other variables).
    """

    uri: str
    source: "Callable[..., Any] | str | bytes"
    name: str | None = field(default=None, kw_only=True)
    title: str | None = field(default=None, kw_only=True)
    description: str | None = field(default=None, kw_only=True)
    mime_type: str | None = field(default=None, kw_only=True)
    complete: Mapping[str, Choices] = field(default_factory=dict[str, Choices], kw_only=True)
    _template: UriTemplate | None = field(default=None, init=False, repr=False)
    _function: "Tool[..., Any] | None" = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        """Raises ToolDefinitionError for a URI that is none, or a function that does not take the template's variables."""
        if "://" not in self.uri and not self.uri.partition(":")[2]:
            raise ToolDefinitionError(f"{self.uri!r} is no URI: it begins with a scheme, such as docs://")
        if UriTemplate.is_template(self.uri):
            try:
                object.__setattr__(self, "_template", UriTemplate.parse(self.uri))
            except InvalidUriTemplate as e:
                raise ToolDefinitionError(f"{self.uri}: {e}") from e
        if callable(self.source):
            name = self.name if self.name and self.name.isidentifier() else None
            object.__setattr__(self, "_function", as_function(self.source, name or _name_of(self.source), self.description))
        self._check_arguments()
        check_choices(self.complete, self.variables, self.uri)

    @property
    def is_template(self) -> bool:
        """Whether there are variables in the URI."""
        return self._template is not None

    @property
    def variables(self) -> list[str]:
        """Of the template."""
        return [] if self._template is None else list(self._template.variable_names)

    def _check_arguments(self) -> None:
        if self._function is None:
            if self.is_template:
                raise ToolDefinitionError(f"{self.uri}: a template needs a function that takes {', '.join(self.variables)}")
            return
        schema = self._function.parameters
        taken, needed = set(schema["properties"]), set(schema.get("required", ()))
        given = set(self.variables)
        if (needed - given) or (given - taken and not schema.get("additionalProperties")):
            wanted, takes = ", ".join(self.variables) or "nothing", ", ".join(sorted(taken)) or "nothing"
            raise ToolDefinitionError(f"{self.uri}: its function must take {wanted}, and takes {takes}")

    @property
    def _about(self) -> dict[str, Any]:
        own = self._function.name if self._function else None
        description = self.description or (self._function.description if self._function else None)
        return {"name": self.name or own or self.uri, "title": self.title, "description": description or None}

    def listed(self) -> types.Resource:
        """As it stands in the list of resources."""
        fixed = self.source.encode() if isinstance(self.source, str) else self.source
        size = len(fixed) if isinstance(fixed, bytes) else None
        return types.Resource(uri=self.uri, mime_type=self.mime_type or _guess(self.uri), size=size, **self._about)

    def listed_template(self) -> types.ResourceTemplate:
        """As it stands in the list of templates."""
        return types.ResourceTemplate(uri_template=self.uri, mime_type=self.mime_type, **self._about)

    def match(self, uri: str) -> dict[str, Any] | None:
        """The variables of a URI that this resource answers for. A path that leads out of where it starts is no match."""
        if self._template is None:
            return {} if uri == self.uri else None
        found = self._template.match(uri)
        texts = [t for v in (found or {}).values() for t in ([v] if isinstance(v, str) else v)]
        return None if any("\0" in t or contains_path_traversal(t) or is_absolute_path(t) for t in texts) else found

    async def read(self, call: "ServedCall", uri: str, variables: Mapping[str, Any]) -> Any:
        """The contents. Raises MCPError."""
        try:
            value = self.source if self._function is None else await called(self._function, call, variables)
        except MCPError as e:
            if isinstance(e.__cause__, LookupError | FileNotFoundError):
                raise unknown(uri) from e
            raise
        return contents_of(_file(value, uri, self.mime_type), uri)


class Resources:
    """All that the server offers to read: its author's, and finished runs of agents."""

    def __init__(self, given: Iterable[Resource], runs: "KeptRuns") -> None:
        self.given = tuple(given)
        self._runs = runs

    def listed(self, request: Request, cursor: str | None) -> types.ListResourcesResult:
        """A page. Raises MCPError for a cursor that is none."""
        start = _place(cursor)
        fixed = [r.listed() for r in self.given if not r.is_template]
        every = fixed + [kept.resource for kept in self._runs.listed(owner_of(request))]
        rest = str(start + _PAGE) if start + _PAGE < len(every) else None
        return types.ListResourcesResult(resources=every[start : start + _PAGE], next_cursor=rest)

    def templates(self) -> types.ListResourceTemplatesResult:
        """All of them."""
        return types.ListResourceTemplatesResult(resource_templates=[r.listed_template() for r in self.given if r.is_template])

    async def read(self, call: "ServedCall", uri: str) -> types.ReadResourceResult:
        """Raises MCPError where there is no such resource, and where its function fails."""
        if (kept := self._runs.find(uri, owner_of(call.request))) is not None and uri == kept.uri:
            text = types.TextResourceContents(uri=uri, mime_type="application/json", text=kept.document)
            return types.ReadResourceResult(contents=[text])
        for resource in self.given:
            if (variables := resource.match(uri)) is not None:
                return types.ReadResourceResult(contents=[await resource.read(call, uri, variables)])
        raise unknown(uri)

    def has(self, request: Request, uri: str) -> bool:
        """Whether there is something to read."""
        return self._runs.find(uri, owner_of(request)) is not None or any(r.match(uri) is not None for r in self.given)

    async def complete(self, params: types.CompleteRequestParams, uri: str) -> types.Completion:
        """Values of a template's variable. Raises MCPError for a template that there is not."""
        for resource in self.given:
            if resource.uri == uri:
                context = params.context.arguments if params.context else None
                return await completed(resource.complete.get(params.argument.name), params.argument.value, context or {})
        raise unknown(uri)


def unknown(uri: str) -> MCPError:
    """There is no such resource, or not for this client."""
    return MCPError(types.INVALID_PARAMS, f"Resource not found: {uri}", {"uri": uri})


def _place(cursor: str | None) -> int:
    if cursor is None:
        return 0
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 10):
        raise MCPError(types.INVALID_PARAMS, "Invalid cursor")
    return int(cursor)


def _file(value: Any, uri: str, mime_type: str | None) -> File:
    if isinstance(value, File):
        return File(value.data, value.name, mime_type or value.media_type)
    if isinstance(value, Image) and value.data is not None:
        return File(value.data, "image", mime_type or value.media_type)
    if isinstance(value, bytes | bytearray):
        return File(bytes(value), "data", mime_type or _guess(uri) or "application/octet-stream")
    if isinstance(value, str):
        return File(value.encode("utf-8", "replace"), "text", mime_type or _textual(_guess(uri)) or "text/plain")
    return File(text_of(parts_of(to_content(value))).encode("utf-8", "replace"), "json", mime_type or "application/json")


def _textual(kind: str | None) -> str | None:
    return kind if kind and (kind.startswith("text/") or kind.endswith(("json", "xml"))) else None


def _guess(uri: str) -> str | None:
    return mimetypes.guess_type(uri.partition("?")[0])[0]


def _name_of(function: Any) -> str | None:
    name: str = getattr(function, "__name__", "")
    return "resource" if name in ("", "<lambda>") else None
