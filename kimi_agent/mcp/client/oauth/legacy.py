"""Servers of the 2025-03-26 specification: no metadata of their own, and that of their authorization server at the root."""

import json
from typing import Any, cast

import httpx2

_PLACE = "/.well-known/oauth-authorization-server"


def at_root(response: httpx2.Response, server: httpx2.URL) -> httpx2.Response:
    """The answer to a request for metadata, its issuer cut to the server's origin where it is below that.

    That specification has the metadata at the root whatever the issuer's path is. The SDK wants the issuer to be the root too
    (RFC 8414, section 3.3), and refuses such a server. Another origin's name still is refused: it would be a mix-up.
    """
    asked = response.request.url
    if response.status_code != 200 or asked.path != _PLACE or origin(asked) != origin(server):
        return response
    try:
        told: object = json.loads(response.content)
        if not isinstance(told, dict):
            return response
        metadata = cast("dict[str, Any]", told)
        issuer = httpx2.URL(str(metadata.get("issuer")))
    except (ValueError, RecursionError, httpx2.InvalidURL):
        return response
    if origin(issuer) != origin(server) or issuer.path in ("", "/"):
        return response
    root = str(server.copy_with(path="/", query=None, fragment=None)).rstrip("/")
    return httpx2.Response(200, json=metadata | {"issuer": root}, request=response.request)


def origin(url: httpx2.URL) -> tuple[str, str, int | None]:
    """Scheme, host and port; the port is None where it is the scheme's own."""
    return url.scheme, url.host, url.port
