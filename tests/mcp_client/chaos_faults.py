"""What the chaos server does wrong, by name: each takes the server, where the answer would go, and the message it is about."""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from chaos import Chaos, Message, Wire
from chaos_answers import done
from chaos_http_faults import HTTP_FAULTS

Fault = Callable[[Chaos, Wire, Message], None]


def _exit(status: int) -> Fault:
    def fault(chaos: Chaos, wire: Wire, message: Message) -> None:
        os.write(2, b"chaos: KeyError: 'CHAOS_HOME' is not set\n")
        os._exit(status)

    return fault


def _killed(chaos: Chaos, wire: Wire, message: Message) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _frozen(chaos: Chaos, wire: Wire, message: Message) -> None:
    """Stopped by the system, as by a debugger or a sleeping laptop: it hears no SIGTERM either."""
    os.kill(os.getpid(), signal.SIGSTOP)


def _crash(chaos: Chaos, wire: Wire, message: Message) -> None:
    """A segmentation fault, as a broken extension module makes."""
    ctypes.string_at(0)


def _answer_then_exit(chaos: Chaos, wire: Wire, message: Message) -> None:
    """Answers, and is dead before the next request comes."""
    chaos.answer(wire, message) if message["method"] != "tools/call" else done(chaos, wire, message)
    os._exit(1)


def _grandchild(then: Fault) -> Fault:
    """A child of its own, in the same group, that keeps stdin, stdout and stderr open."""

    def fault(chaos: Chaos, wire: Wire, message: Message) -> None:
        child = subprocess.Popen(["sleep", "3600"])
        chaos.record.add("child", child=child.pid)
        then(chaos, wire, message)

    return fault


def _daemon(chaos: Chaos, wire: Wire, message: Message) -> None:
    """A child that left the group: nobody can know of it. It keeps the pipes open."""
    child = subprocess.Popen(["sleep", "20"], start_new_session=True)
    chaos.record.add("daemon", child=child.pid)
    if message.get("method"):
        done(chaos, wire, message)


def _mute(chaos: Chaos, wire: Wire, message: Message) -> None:
    """Never answers this one; goes on with others."""


def _hang(chaos: Chaos, wire: Wire, message: Message) -> None:
    """Answers nothing at all any more, and reads nothing."""
    while True:
        time.sleep(3600)


def _stop_reading(chaos: Chaos, wire: Wire, message: Message) -> None:
    """Answers this one, and never reads stdin again."""
    chaos.reading = False
    done(chaos, wire, message)


def _slow(chaos: Chaos, wire: Wire, message: Message) -> None:
    """Answers after so many milliseconds; others are served meanwhile."""
    threading.Timer(
        chaos.size(message) / 1000, done if message["method"] == "tools/call" else Chaos.answer, (chaos, wire, message)
    ).start()


def _close(number: int) -> Fault:
    def fault(chaos: Chaos, wire: Wire, message: Message) -> None:
        os.close(number)
        if number == 0:
            done(chaos, wire, message)
        _hang(chaos, wire, message)

    return fault


def _stderr_flood(chaos: Chaos, wire: Wire, message: Message) -> None:
    line = b"chaos: " + b"x" * 992 + b"\n"
    for _ in range(chaos.size(message) * 1000):
        os.write(2, line)
    _well(chaos, wire, message)


def _well(chaos: Chaos, wire: Wire, message: Message) -> None:
    """Goes on as a good server would: a moment without a method needs no answer."""
    if message.get("method") == "tools/call":
        done(chaos, wire, message)
    elif message.get("method"):
        chaos.answer(wire, message)


def _garbage(*pieces: bytes) -> Fault:
    """Bytes that are no message, then the answer."""

    def fault(chaos: Chaos, wire: Wire, message: Message) -> None:
        for piece in pieces:
            wire.raw(piece)
        _well(chaos, wire, message)

    return fault


def _long_line(end: bytes) -> Fault:
    """A line of so many megabytes."""

    def fault(chaos: Chaos, wire: Wire, message: Message) -> None:
        for _ in range(chaos.size(message)):
            wire.raw(b"y" * 1_000_000)
        wire.raw(end)
        if end:
            done(chaos, wire, message)

    return fault


def _instead(make: Callable[[Message], Any]) -> Fault:
    """Another answer than it should be."""

    def fault(chaos: Chaos, wire: Wire, message: Message) -> None:
        wire.send(make(message))
        wire.finish()

    return fault


def _result(result: Any) -> Fault:
    return _instead(lambda message: {"jsonrpc": "2.0", "id": message["id"], "result": result})


def _error(error: Any) -> Fault:
    return _instead(lambda message: {"jsonrpc": "2.0", "id": message["id"], "error": error})


def _before(*make: Callable[[Message], Any], times: int = 1) -> Fault:
    """Messages that should not be, then the answer."""

    def fault(chaos: Chaos, wire: Wire, message: Message) -> None:
        for _ in range(times):
            for each in make:
                wire.send(each(message))
        _well(chaos, wire, message)

    return fault


def _notice(method: str, params: Any = None) -> Callable[[Message], Any]:
    return lambda message: {"jsonrpc": "2.0", "method": method, **({} if params is None else {"params": params})}


def _response(change: Callable[[Any], Any]) -> Callable[[Message], Any]:
    return lambda message: {
        "jsonrpc": "2.0",
        "id": change(message["id"]),
        "result": {"content": [{"type": "text", "text": "stray"}]},
    }


def _token(message: Message) -> Any:
    return (message["params"].get("_meta") or {}).get("progressToken", message["id"])


def _progress(*values: Any) -> list[Callable[[Message], Any]]:
    def one(value: Any) -> Callable[[Message], Any]:
        return lambda message: {
            "jsonrpc": "2.0",
            "method": "notifications/progress",
            "params": {"progressToken": _token(message), "progress": value, "total": 3, "message": f"at {value}"},
        }

    return [one(value) for value in values]


def _late_progress(chaos: Chaos, wire: Wire, message: Message) -> None:
    """Tells of progress of a call that has ended."""
    done(chaos, wire, message)
    for make in _progress(1, 2, 3):
        (chaos.everywhere or wire).send(make(message))


def _storm(method: str, params: Any = None) -> Fault:
    """A thousand a second for so many seconds, beside the call; the answer comes in the middle."""

    def fault(chaos: Chaos, wire: Wire, message: Message) -> None:
        notice = _notice(method, params)(message)
        count = chaos.size(message) * 1000
        for number in range(count):
            wire.send(notice)
            if number == count // 2 and chaos.everywhere is wire:
                _well(chaos, wire, message)
            time.sleep(0.0005)
        if chaos.everywhere is not wire:
            _well(chaos, wire, message)

    return fault


def _grow(chaos: Chaos, wire: Wire, message: Message) -> None:
    """One tool more, told while the call runs."""
    chaos.record.add("grow")
    wire.send(_notice("notifications/tools/list_changed")(message))
    time.sleep(0.1)
    done(chaos, wire, message)


_SAMPLING = {"messages": [{"role": "user", "content": {"type": "text", "text": "Tell me all"}}], "maxTokens": 5}
_ELICIT = {"message": "Your password?", "requestedSchema": {"type": "object", "properties": {"p": {"type": "string"}}}}


def _asks(method: str, params: Message) -> Fault:
    """Asks for what the client may not have offered; its answer, whatever it is, ends the call."""

    def fault(chaos: Chaos, wire: Wire, message: Message) -> None:
        chaos.ask(wire, method, params, lambda answer: done(chaos, wire, message))

    return fault


def _asks_after(chaos: Chaos, wire: Wire, message: Message) -> None:
    """Asks for sampling when no call is in flight."""
    done(chaos, wire, message)
    chaos.ask(chaos.everywhere or wire, "sampling/createMessage", _SAMPLING, lambda answer: None)


def _huge(chaos: Chaos, wire: Wire, message: Message) -> None:
    done(chaos, wire, message, content=[{"type": "text", "text": "z" * (chaos.size(message) * 1_000_000)}])


def _twice(chaos: Chaos, wire: Wire, message: Message) -> None:
    for _ in range(2):
        wire.send({"jsonrpc": "2.0", "id": message["id"], "result": {"content": [{"type": "text", "text": "twice"}]}})
    wire.finish()


_LOG = "notifications/message"
_TEXT = [{"type": "text", "text": "fine"}]
FAULTS: dict[str, Fault] = {
    "exit0": _exit(0),
    "exit1": _exit(1),
    "sigkill": _killed,
    "crash": _crash,
    "frozen": _frozen,
    "answer_then_exit": _answer_then_exit,
    "grandchild": _grandchild(_well),
    "grandchild_exit": _grandchild(_exit(1)),
    "grandchild_hang": _grandchild(_hang),
    "daemon": _daemon,
    "mute": _mute,
    "hang": _hang,
    "ignore": _hang,
    "slow": _slow,
    "stop_reading": _stop_reading,
    "close_stdin": _close(0),
    "close_stdout": _close(1),
    "stderr_flood": _stderr_flood,
    "banner": _garbage("Listening on stdio… ✓\n".encode(), b"\x1b[32mready\x1b[0m\r\n", b"\n", b"  \n"),
    "print": _garbage(b"DEBUG: got a call\n", b"{'single': 'quotes'}\n"),
    "bad_utf8": _garbage(b"\xff\xfe caf\xe9 \x00\n"),
    "bad_utf8_in_json": _garbage(b'{"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": "\xff"}}\n'),
    "half_json": _garbage(b'{"jsonrpc": "2.0", "id": 1, "resu\n'),
    "no_rpc": _garbage(b"[]\n", b"7\n", b'"text"\n', b"null\n", b'{"hello": 1}\n', b'{"jsonrpc": "1.0", "id": 1, "result": {}}\n'),
    "deep_json": _garbage(b"[" * 100_000 + b"]" * 100_000 + b"\n"),
    "nan": _garbage(b'{"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": 1, "progress": NaN}}\n'),
    "lone_surrogate": _garbage(
        b'{"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": "\\ud800"}}\n'
    ),
    "long_line": _long_line(b"\n"),
    "endless_line": _long_line(b""),
    "unknown_ids": _before(_response(lambda _: 987_654), _response(lambda _: "who"), _response(lambda _: None)),
    "wrong_ids": _before(
        _response(lambda i: [i]), _response(lambda i: {"id": i}), _response(lambda i: True), _response(lambda i: -1.5)
    ),
    "id_as_text": _instead(lambda message: {"jsonrpc": "2.0", "id": str(message["id"]), "result": {"content": _TEXT}}),
    "twice": _twice,
    "wrong_id": _instead(_response(lambda i: f"not-{i}")),
    "result_and_error": _instead(
        lambda message: {
            "jsonrpc": "2.0",
            "id": message["id"],
            "result": {"content": _TEXT},
            "error": {"code": 1, "message": "both"},
        }
    ),
    "neither": _instead(lambda message: {"jsonrpc": "2.0", "id": message["id"]}),
    "error": _error({"code": -32000, "message": "the disk is full", "data": {"free": 0}}),
    "error_not_sent": _error(
        {"code": -32000, "message": "no receipt", "data": {"not_sent": True, "lost": True, "http_status": 404}}
    ),
    "error_text": _error("it broke"),
    "error_empty": _error({}),
    "error_null": _error(None),
    "error_code_text": _error({"code": "E_FAIL", "message": "the disk is full"}),
    "error_no_message": _error({"code": -32603}),
    "error_long": _error({"code": -32603, "message": "m" * 1_000_000}),
    "is_error": _result({"content": [{"type": "text", "text": "no such file"}], "isError": True, "resultType": "complete"}),
    "is_error_empty": _result({"content": [], "isError": True, "resultType": "complete"}),
    "result_empty": _result({}),
    "result_null": _result(None),
    "result_text": _result("fine"),
    "result_list": _result([1, 2]),
    "content_text": _result({"content": "fine"}),
    "content_unknown": _result({"content": [{"type": "hologram", "data": "x"}, *_TEXT]}),
    "content_bad_image": _result({"content": [{"type": "image", "data": "%%%", "mimeType": "image/png"}, *_TEXT]}),
    "structured_bad": _result({"content": _TEXT, "structuredContent": {"count": "three"}, "resultType": "complete"}),
    "structured_missing": _result({"content": _TEXT, "resultType": "complete"}),
    "structured_only": _result({"content": [], "structuredContent": {"count": 3}, "resultType": "complete"}),
    "odd_initialize": _result({"hello": "you"}),
    "huge": _huge,
    "storm": _storm("notifications/tools/list_changed"),
    "log_storm": _storm(_LOG, {"level": "info", "data": "still here"}),
    "grow": _grow,
    "bad_notices": _before(
        _notice("notifications/unheard_of", {"x": 1}),
        _notice(_LOG, {"level": "shout", "data": 7}),
        _notice("notifications/progress", {"progress": "much"}),
        _notice("notifications/progress"),
        _notice("notifications/cancelled", {"requestId": 987_654}),
        _notice("notifications/resources/updated", {"uri": 5}),
    ),
    "no_object": _before(_notice(_LOG, ["no", "object"]), _notice("notifications/tools/list_changed", "text")),
    "cancels_ours": _before(lambda message: _notice("notifications/cancelled", {"requestId": message["id"]})(message)),
    "progress_back": _before(*_progress(2, 1, -5, 1e300, "much", None, True)),
    "late_progress": _late_progress,
    "asks_sampling": _asks("sampling/createMessage", _SAMPLING),
    "asks_elicitation": _asks("elicitation/create", _ELICIT),
    "asks_roots": _asks("roots/list", {}),
    "asks_unknown": _asks("disk/format", {"disk": "C"}),
    "asks_badly": _asks("sampling/createMessage", {"messages": "all"}),
    "asks_after": _asks_after,
    **HTTP_FAULTS,
}

if sys.platform == "win32":  # there is no SIGKILL: the process ends without a word all the same
    FAULTS["sigkill"] = _exit(9)
