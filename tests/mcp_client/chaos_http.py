"""The chaos server over HTTP: the streamable kind at /mcp, and the old kind with server-sent events at /sse and /messages."""

import contextlib
import json
import queue
import socket
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from chaos import Chaos, Message, Wire


class Stream(Wire):
    """The answer to one POST: server-sent events, begun with the first of them."""

    def __init__(self, handler: "Handler") -> None:
        self.handler, self.began, self.over = handler, False, threading.Event()
        self._lock = threading.Lock()

    def begin(self, status: int = 200, kind: str = "text/event-stream", **headers: str) -> None:
        """The head of the answer; its body ends with the connection."""
        self.began = True
        self.handler.head(status, kind, **headers)

    def send(self, message: Any) -> None:
        self.raw(b"event: message\ndata: " + json.dumps(message).encode() + b"\n\n")

    def raw(self, data: bytes) -> None:
        with self._lock:
            if not self.began:
                self.begin()
            self.handler.wfile.write(data)
            self.handler.wfile.flush()

    def finish(self) -> None:
        self.over.set()


class Channel(Wire):
    """A stream that a GET opened: what is sent waits until somebody reads it."""

    def __init__(self) -> None:
        self.waiting: queue.Queue[bytes | None] = queue.Queue()

    def raw(self, data: bytes) -> None:
        self.waiting.put(b"event: message\ndata: " + data.rstrip(b"\n") + b"\n\n")


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: "Server"

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: stderr is for faults."""

    def head(self, status: int, kind: str, **headers: str) -> None:
        """Status and headers; the body ends with the connection."""
        self.close_connection = True
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Connection": "close", **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def whole(self, status: int, body: bytes = b"", kind: str = "application/json", **headers: str) -> None:
        """An answer in one piece."""
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        """A message from the client."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        message: Message = json.loads(body)
        if self.path.startswith("/messages"):
            self._old_message(message)
            return
        chaos, session = self.server.chaos, self.headers.get("Mcp-Session-Id")
        method = str(message.get("method"))
        if chaos.options.get("auth"):
            chaos.record.add("refused", method=method)
            self.whole(401, b'{"error": "invalid_token"}', WWW_Authenticate='Bearer error="invalid_token"')
        elif self.server.stateful and method not in ("initialize", "server/discover") and session not in self.server.sessions:
            self._no_session()
        elif method == "initialize" and not chaos.options.get("on.initialize"):
            self._initialize(message)
        else:
            self._message(message)

    def _initialize(self, message: Message) -> None:
        session = uuid.uuid4().hex
        self.server.sessions[session] = Channel()
        stream = Stream(self)
        stream.begin(Mcp_Session_Id=session) if self.server.stateful else stream.begin()
        self.server.chaos.receive(stream, message)

    def _message(self, message: Message) -> None:
        stream = Stream(self)
        try:
            self.server.chaos.receive(stream, message)
            if "id" in message and "method" in message:
                stream.over.wait()
            elif not stream.began:
                self.whole(202)
        except (BrokenPipeError, ConnectionResetError):
            self.server.chaos.record.add("hung up", method=message.get("method"))
            self.close_connection = True

    def _no_session(self) -> None:
        error = {"jsonrpc": "2.0", "id": None, "error": {"code": -32000, "message": "Bad Request: No valid session ID provided"}}
        status = self.server.lost
        self.server.chaos.record.add("no session", status=status)
        self.whole(status, json.dumps(error).encode() if status == 400 else b"Session not found")

    def _old_message(self, message: Message) -> None:
        channel = self.server.sessions.get(self.path.partition("=")[2])
        if channel is None:
            self.whole(404, b"no such session", "text/plain")
            return
        arguments = (message.get("params") or {}).get("arguments") or {}
        if str(arguments.get("what")).startswith("status_"):  # of the POST itself: what follows comes on the stream
            self.server.chaos.receive(Stream(self), message)
            return
        self.whole(202, b"Accepted", "text/plain")
        channel.handler = self
        self.server.chaos.receive(channel, message)

    def do_GET(self) -> None:
        """A stream for what belongs to no request; for the old kind, for everything."""
        old = self.path.startswith("/sse")
        how = self.server.chaos.options.get("get", "")
        if how.isdigit():
            self.whole(int(how))
            return
        if how == "hang":
            threading.Event().wait()
        name = uuid.uuid4().hex if old else str(self.headers.get("Mcp-Session-Id"))
        if old:
            self.server.sessions[name] = Channel()
        channel = self.server.sessions.get(name)
        if channel is None:
            self._no_session()
            return
        self.server.chaos.everywhere = channel
        self.head(200, "text/event-stream")
        if old and how != "mute":
            self.wfile.write(b"event: endpoint\ndata: /messages?session=" + name.encode() + b"\n\n")
        self.wfile.flush()
        self._pump(channel)

    def _pump(self, channel: Channel) -> None:
        while True:
            try:
                data = channel.waiting.get(timeout=0.2)
            except queue.Empty:
                data = b": still here\n\n"
            if data is None:
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            try:
                self.wfile.write(data)
                self.wfile.flush()
            except OSError:
                return

    def do_DELETE(self) -> None:
        """The client says goodbye."""
        self.server.chaos.record.add("delete")
        if self.server.chaos.options.get("delete") == "hang":
            threading.Event().wait()
        self.server.sessions.pop(str(self.headers.get("Mcp-Session-Id")), None)
        self.whole(200)


class Server(ThreadingHTTPServer):
    """All connections, and what they share."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, chaos: Chaos, port: int) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.chaos, self.lost = chaos, 404
        self.stateful = not {"modern", "stateless"} & set(chaos.options)
        self.sessions: dict[str, Channel] = {}
        self.connections: list[socket.socket] = []
        chaos.forget, chaos.hang_up = self._forget, self._hang_up

    def _forget(self, status: int) -> None:
        """As after a restart: every session is unknown."""
        self.lost = status
        for channel in self.sessions.values():
            channel.waiting.put(None)
        self.sessions.clear()

    def get_request(self) -> tuple[socket.socket, Any]:
        """Remembers each connection."""
        connection, address = super().get_request()
        self.connections.append(connection)
        return connection, address

    def _hang_up(self, but: socket.socket) -> None:
        """No connection is left but one, and no new one is taken."""
        self.socket.close()
        for connection in self.connections:
            if connection is not but:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing: a client may hang up."""


def serve(chaos: Chaos) -> None:
    """Until it is killed."""
    server = Server(chaos, int(chaos.options.get("http") or chaos.options.get("sse") or 0))
    chaos.options["port"] = str(server.server_address[1])
    chaos.record.add("listening", port=server.server_address[1])
    server.serve_forever()
