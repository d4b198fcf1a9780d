"""Certificates that are checked, proxies that are gone through, and what they must not tell."""

import asyncio
import base64
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from loopback import KEY, delta, drain, events, send, serving

from kimi_agent.errors import ConnectionFailed, StatusError, UserError
from kimi_agent.models.endpoint import ChatEndpoint
from kimi_agent.wire.parts import TextPart

pytestmark = pytest.mark.anyio


async def hello(request: web.Request, number: int) -> web.StreamResponse:
    return await send(request, events(delta("stop", content="Hello.")))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1, its own authority, with its key."""
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-keyout", path.with_suffix(".key"), "-out", path, "-subj", "/CN=loopback", "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    return path


@pytest.fixture
def server_tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_suffix(".key"))
    return context


async def test_an_unknown_certificate_is_refused(server_tls: ssl.SSLContext) -> None:
    async with serving(hello, ssl_context=server_tls) as server:
        with pytest.raises(ConnectionFailed, match=r"(?i)certificate"):
            await drain(ChatEndpoint("m", base_url=server.url, max_retries=0))
    assert server.bodies == []


async def test_certificates_by_file_by_context_or_not_checked(certificate: Path, server_tls: ssl.SSLContext) -> None:
    async with serving(hello, ssl_context=server_tls) as server:
        for verify in (str(certificate), ssl.create_default_context(cafile=str(certificate)), False):
            endpoint = ChatEndpoint("m", base_url=server.url, verify=verify)
            assert TextPart("Hello.") in await drain(endpoint)


async def test_a_certificate_file_that_is_not_there() -> None:
    with pytest.raises(UserError, match=r"no\.pem"):
        await drain(ChatEndpoint("m", base_url="https://127.0.0.1:1/v1", verify="/nowhere/no.pem"))


class Proxy:
    """What a forward proxy saw: request lines and credentials."""

    def __init__(self) -> None:
        self.port = 0
        self.lines: list[str] = []
        self.credentials: list[str] = []


@asynccontextmanager
async def forward_proxy(*, refuse: bool = False) -> AsyncIterator[Proxy]:
    """The smallest proxy that forwards plain requests and tunnels CONNECT; with `refuse` it wants other credentials."""
    seen, tasks, writers = Proxy(), set[asyncio.Task[None]](), set[asyncio.StreamWriter]()

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.add(writer)
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        method, target, _ = head.split("\r\n", 1)[0].split(" ")
        seen.lines.append(f"{method} {target}")
        for line in head.split("\r\n"):
            if line.lower().startswith("proxy-authorization: basic "):
                seen.credentials.append(base64.b64decode(line.split(" ")[-1]).decode())
        if refuse:
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n")
            return writer.close()
        host = target if method == "CONNECT" else target.split("/")[2]
        try:
            upstream_reader, upstream = await asyncio.open_connection(*host.split(":"))
        except OSError:
            writer.write(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n")
            return writer.close()
        writers.add(upstream)
        if method == "CONNECT":
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            path = "/" + target.split("/", 3)[3]
            upstream.write(head.replace(target, path, 1).encode())
        for args in ((reader, upstream), (upstream_reader, writer)):
            tasks.add(asyncio.create_task(pipe(*args)))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    seen.port = server.sockets[0].getsockname()[1]
    try:
        yield seen
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        for writer in writers:
            writer.transport.abort()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_through_a_proxy_with_credentials() -> None:
    async with serving(hello) as server, forward_proxy() as proxy:
        endpoint = ChatEndpoint("m", base_url=server.url, api_key=KEY, proxy=f"http://me:pass-word@127.0.0.1:{proxy.port}")
        assert TextPart("Hello.") in await drain(endpoint)
    assert proxy.lines[0] == f"GET {server.url}/models"  # what follows comes on the same connection
    assert set(proxy.credentials) == {"me:pass-word"}


async def test_tls_is_tunnelled(certificate: Path, server_tls: ssl.SSLContext) -> None:
    async with serving(hello, ssl_context=server_tls) as server, forward_proxy() as proxy:
        proxy_url = f"http://127.0.0.1:{proxy.port}"
        endpoint = ChatEndpoint("m", base_url=server.url, api_key=KEY, proxy=proxy_url, verify=str(certificate))
        assert TextPart("Hello.") in await drain(endpoint)
    assert {line.split()[0] for line in proxy.lines} == {"CONNECT"}


async def test_a_proxy_that_refuses_does_not_get_its_password_told(server_tls: ssl.SSLContext) -> None:
    async with serving(hello, ssl_context=server_tls) as server, forward_proxy(refuse=True) as proxy:
        proxy_url = f"http://me:pass-word@127.0.0.1:{proxy.port}"
        endpoint = ChatEndpoint("m", base_url=server.url, proxy=proxy_url, max_retries=0)
        with pytest.raises(ConnectionFailed, match="407") as caught:
            await drain(endpoint)
    assert "pass-word" not in f"{caught.value!r} {endpoint!r}"


async def test_the_environments_proxy_holds_but_not_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(hello) as server, forward_proxy() as proxy:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("no_proxy", "")
        assert TextPart("Hello.") in await drain(ChatEndpoint("m", base_url=server.url))
        assert proxy.lines == []
        with pytest.raises(StatusError, match="502"):  # the proxy cannot reach it either; that it was asked is what counts
            await drain(ChatEndpoint("kimi-k2", base_url="http://endpoint.invalid:1/v1", max_retries=0))
        assert any("endpoint.invalid" in line for line in proxy.lines)
