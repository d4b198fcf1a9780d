"""An MCP server that does what it is told not to: a process of its own, the standard library only, no SDK in between.

    python chaos.py RECORD [NAME=VALUE …]

It writes what happens to it to the file RECORD, a JSON object a line, in one append each: `start`, `got` (a request came), `effect`
(a call did what it is for), `answer` (the client answered a request of ours), `end`. Starts of earlier processes with the same
RECORD count, so that a fault can stop after some of them.

Options:
    http=PORT, sse=PORT   serves there instead of on stdin and stdout; 0 is any free port, told in the record
    on.METHOD=FAULT       does FAULT when METHOD comes (`on.initialize=mute`); `on.start` and `on.end` are moments without a method
    heals_after=N         after N starts there are no such faults any more
    at=N                  only the Nth time that the method comes in one process (0: each time)
    list=KIND             which tools it has, see chaos_lists
    modern=1              speaks 2026-07-28 (`server/discover`); without it the handshake of 2025-11-25
    size=N                how much, where a fault floods or waits
    sleep=SECONDS         before it reads anything
    busy=SECONDS          after it closed its connection, before a restarted server listens again

The tool `do(what, label, size, again)` writes an effect and then does the fault `what`; with a label that was there before it does
no fault, unless `again` is true. `do_safely` is the same with `idempotentHint`.
"""

import json
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

Message = dict[str, Any]


class Record:
    """The file that the tests read."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        self._path = path

    def add(self, event: str, **more: Any) -> None:
        """One line, written at once: several processes may write here."""
        line = {"event": event, "pid": os.getpid(), "at": time.monotonic(), **more}
        os.write(self._file, json.dumps(line).encode() + b"\n")

    def events(self, event: str) -> list[Message]:
        """What was written so far, by any process."""
        with open(self._path, "rb") as file:
            return [each for each in map(json.loads, file) if each["event"] == event]


class Wire:
    """Where answers to one request go."""

    handler: Any = None  # the HTTP request's, where it is one

    def send(self, message: Any) -> None:
        """A message as JSON."""
        self.raw(json.dumps(message, ensure_ascii=False).encode() + b"\n")

    def raw(self, data: bytes) -> None:
        """Bytes as they are."""
        raise NotImplementedError

    def finish(self) -> None:
        """Nothing more comes for this request."""


class Pipe(Wire):
    """stdout, shared by all requests."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def raw(self, data: bytes) -> None:
        with self._lock:
            view = memoryview(data)
            while view:
                view = view[os.write(1, view) :]


class Chaos:
    """What it does, on any transport."""

    def __init__(self, record: str, options: dict[str, str]) -> None:
        self.record, self.options = Record(record), options
        self.born = len(self.record.events("start"))
        self.came: Counter[str] = Counter()
        self.waiting: dict[str, Callable[[Message], None]] = {}
        self.reading = True
        self.forget: Callable[[int], None] = lambda status: None
        self.hang_up: Callable[[Any], None] = lambda but: None
        self.everywhere: Wire | None = None  # for what belongs to no request

    @property
    def well(self) -> bool:
        """Whether it was started often enough to behave."""
        return self.born >= int(self.options.get("heals_after", 1 << 30))

    def fault_on(self, moment: str) -> str | None:
        """The fault that is due now."""
        self.came[moment] += 1
        name = self.options.get(f"on.{moment}")
        due = int(self.options.get("at", 0)) in (0, self.came[moment])
        return name if name and due and not self.well else None

    def size(self, message: Message | None = None) -> int:
        """How much a fault does."""
        arguments = ((message or {}).get("params") or {}).get("arguments") or {}
        return int(arguments.get("size") or self.options.get("size", 0))

    def receive(self, wire: Wire, message: Message) -> None:
        """Does what a message asks for, or what it should not."""
        method = message.get("method")
        if method is None:
            self._answered(message)
            return
        self.record.add("got", method=method, id=message.get("id"), params=message.get("params"))
        fault = self.fault_on(method)
        if fault:
            self.do(fault, wire, message)
        elif "id" in message:
            self.answer(wire, message)

    def do(self, fault: str, wire: Wire, message: Message) -> None:
        """Does a fault by its name."""
        from chaos_faults import FAULTS

        FAULTS[fault](self, wire, message)

    def answer(self, wire: Wire, message: Message) -> None:
        """As a good server would."""
        from chaos_answers import answer

        answer(self, wire, message)

    def result(self, wire: Wire, message: Message, result: Any) -> None:
        """The answer to a request."""
        wire.send({"jsonrpc": "2.0", "id": message["id"], "result": result})
        wire.finish()

    def error(self, wire: Wire, message: Message, code: int, text: str) -> None:
        """An error for an answer."""
        wire.send({"jsonrpc": "2.0", "id": message["id"], "error": {"code": code, "message": text}})
        wire.finish()

    def ask(self, wire: Wire, method: str, params: Message, then: Callable[[Message], None]) -> None:
        """Asks the client something."""
        own = f"chaos-{len(self.waiting)}-{os.getpid()}"
        self.waiting[own] = then
        wire.send({"jsonrpc": "2.0", "id": own, "method": method, "params": params})

    def _answered(self, message: Message) -> None:
        self.record.add("answer", message=message)
        then = self.waiting.pop(str(message.get("id")), None)
        if then is not None:
            then(message)

    def serve_pipes(self) -> None:
        """Until stdin ends."""
        pipe = Pipe()
        self.everywhere = pipe
        start = self.fault_on("start")
        if start:
            self.do(start, pipe, {"id": 0})
        for line in iter(sys.stdin.buffer.readline, b""):
            self.receive(pipe, json.loads(line))
            while not self.reading:
                time.sleep(3600)
        self.record.add("end")
        end = self.fault_on("end")
        if end:
            self.do(end, pipe, {"id": 0})


def main(record: str, *options: str) -> None:
    """Serves until it is stopped, or dies."""
    chaos = Chaos(record, dict(each.split("=", 1) for each in options))
    chaos.record.add("start")
    if chaos.options.get("on.end") == "ignore":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(float(chaos.options.get("sleep", 0)))
    if {"http", "sse"} & set(chaos.options):
        from chaos_http import serve

        serve(chaos)
    else:
        chaos.serve_pipes()


if __name__ == "__main__":
    main(*sys.argv[1:])
