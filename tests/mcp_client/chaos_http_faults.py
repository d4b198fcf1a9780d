"""What only a server over HTTP can do wrong: on stdio there is no such thing as a status."""

import os
import socket
import struct
import sys
import time
from collections.abc import Callable
from typing import Any

from chaos import Chaos, Message, Wire

Fault = Callable[[Chaos, Wire, Message], None]


def _whole(status: int, body: bytes = b"", kind: str = "text/plain", **headers: str) -> Fault:
    def fault(chaos: Chaos, wire: Wire, message: Message) -> None:
        wire.began = True  # type: ignore[attr-defined]
        wire.handler.whole(status, body, kind, **headers)
        wire.finish()

    return fault


def _reset(wire: Any) -> None:
    """Not an orderly end: the client's next read fails."""
    wire.handler.wfile.flush()
    connection = wire.handler.connection
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    wire.handler.close_connection = True
    connection.close()


def _reset_early(chaos: Chaos, wire: Wire, message: Message) -> None:
    _reset(wire)
    wire.finish()


def _reset_midway(chaos: Chaos, wire: Wire, message: Message) -> None:
    wire.raw(b'event: message\ndata: {"jsonrpc": "2.0", "id": 1, "res')
    _reset(wire)
    wire.finish()


def _cut(first: bytes) -> Fault:
    """The stream ends in good order, but without an answer."""

    def fault(chaos: Chaos, wire: Wire, message: Message) -> None:
        wire.raw(first)
        wire.finish()

    return fault


def _slowloris(chaos: Chaos, wire: Wire, message: Message) -> None:
    """A comment now and then, so that no read ever times out, and never an answer."""
    for _ in range(600):
        wire.raw(b": wait\n\n")
        time.sleep(0.1)


def _dripping(chaos: Chaos, wire: Wire, message: Message) -> None:
    """One event, a byte at a time, without an end."""
    wire.raw(b"data: ")
    for _ in range(600):
        wire.raw(b"x")
        time.sleep(0.1)


def _forget(status: int) -> Fault:
    """A good answer, and then it knows the session no more."""

    def fault(chaos: Chaos, wire: Wire, message: Message) -> None:
        from chaos_answers import done

        done(chaos, wire, message)
        chaos.forget(status)

    return fault


def _restart(answers: bool) -> Fault:
    """A new process takes the place of this one, on the same port."""

    def fault(chaos: Chaos, wire: Wire, message: Message) -> None:
        from chaos_answers import done

        chaos.hang_up(wire.handler.connection)
        if answers:
            done(chaos, wire, message)
            wire.handler.connection.shutdown(socket.SHUT_RDWR)
        kept = [f"{k}={v}" for k, v in chaos.options.items() if k not in ("http", "sse", "port", "sleep")]
        kind = "sse" if "sse" in chaos.options else "http"
        again = [f"{kind}={chaos.options['port']}", f"sleep={chaos.options.get('busy', 0)}"]
        os.execv(sys.executable, [sys.executable, sys.argv[0], sys.argv[1], *kept, *again])

    return fault


def _big_event(chaos: Chaos, wire: Wire, message: Message) -> None:
    wire.raw(b"data: ")
    for _ in range(chaos.size(message)):
        wire.raw(b"y" * 1_000_000)
    wire.raw(b"\n\n")
    wire.finish()


def _redirect(chaos: Chaos, wire: Wire, message: Message) -> None:
    elsewhere = chaos.options.get("elsewhere", "http://127.0.0.2:9/mcp")
    _whole(307, Location=elsewhere)(chaos, wire, message)


HTTP_FAULTS: dict[str, Fault] = {
    "status_401": _whole(401, b"who are you", WWW_Authenticate="Bearer"),
    "status_403": _whole(403, b"not you"),
    "status_404": _whole(404, b"no such page"),
    "status_404_words": _whole(404, b"<html>order placed; your session has been updated; page not found</html>", "text/html"),
    "status_400_words": _whole(
        400,
        b'{"jsonrpc": "2.0", "id": 1, "error": {"code": -32000, "message": "the checkout session could not be closed"}}',
        "application/json",
    ),
    "status_504": _whole(504, b"<html><h1>504 Gateway Time-out</h1></html>", "text/html"),
    "status_429": _whole(429, b"too fast", Retry_After="1"),
    "status_500": _whole(500, b"Traceback (most recent call last): ..."),
    "status_502": _whole(502, b"<html><h1>502 Bad Gateway</h1></html>", "text/html"),
    "status_503": _whole(503, b"", Retry_After="1"),
    "html": _whole(200, b"<html><body>Please log in</body></html>", "text/html"),
    "no_type": _whole(200, b"fine", "application/octet-stream"),
    "not_json": _whole(200, b"{'fine': True}", "application/json"),
    "empty": _whole(200, b"", "application/json"),
    "accepted": _whole(202),
    "redirect": _redirect,
    "redirect_loop": _whole(307, b"", Location="/mcp"),
    "reset": _reset_early,
    "reset_midway": _reset_midway,
    "cut": _cut(b": hello\n\n"),
    "cut_with_id": _cut(b"id: 7\nretry: 50\ndata: \n\n"),
    "bad_event": _cut(b"data: {no json}\n\n"),
    "slowloris": _slowloris,
    "dripping": _dripping,
    "big_event": _big_event,
    "forget404": _forget(404),
    "forget400": _forget(400),
    "restart": _restart(answers=True),
    "restart_midway": _restart(answers=False),
}
