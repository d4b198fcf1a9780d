"""The drills of one call: what the server does, what the model sees then, and within how many seconds. Data for tests and table."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from chaos_drill import do

AT_ONCE = 1.0  # seconds: long for a loopback, short beside any time-out
TIMEOUT = 1.0  # of a call, in drills that need one


@dataclass(frozen=True, kw_only=True)
class Drill:
    """A call in which the server does `fault`; the next call must be answered by a server that works.

    Attributes:
        told: the fault, for people.
        sees: a regular expression for the result that the model gets.
        is_error: whether that is an error result; None where either will do.
        promised: seconds within which it gets it.
        again: whether the connection is made again afterwards; None where either will do.
        effects: how often the call has taken effect in all.
        by: the tool that is called.
        size: how much the fault does.
        before: the fault of a call that is made first.
        text: characters of an argument, where it has to be long.
        how: the transports.
        options: of the chaos server.
        client: of MCPServer.
    """

    fault: str
    told: str
    sees: str = r"^do did a$"
    is_error: bool | None = False
    promised: float = AT_ONCE
    again: bool | None = False
    effects: int = 1
    by: str = "do"
    size: int = 0
    before: str = ""
    text: int = 0
    how: tuple[str, ...] = ("stdio",)
    options: tuple[str, ...] = ()
    client: Mapping[str, Any] = field(default_factory=lambda: {"timeout": 5.0})

    @property
    def hangs(self) -> bool:
        """Whether it has to be killed afterwards."""
        return bool(self.again) and self.client is _TIMED

    def __str__(self) -> str:
        return "-".join(
            [
                self.before or self.fault,
                *([self.by] if self.by != "do" else []),
                *([f"{self.size}"] if self.size else []),
                *self.options,
            ]
        ).replace("/", "_")


def turns(drill: Drill) -> tuple[list[Any], Any]:
    """The calls that go before, and the one that it is about."""
    more = {"text": "x" * drill.text} if drill.text else {}
    return [do("0", drill.before)] if drill.before else [], do("a", drill.fault, by=drill.by, size=drill.size, **more)


_ALL = ("stdio", "http", "sse")
_TIMED = {"timeout": TIMEOUT}
_UNKNOWN = r"outcome is unknown"


def _dies(fault: str, told: str, sees: str, **more: Any) -> Drill:
    return Drill(fault=fault, told=told, sees=rf"(?s){sees}.*{_UNKNOWN}", is_error=True, again=True, **more)


def _late(fault: str, told: str, *, again: bool | None = False, **more: Any) -> Drill:
    return Drill(
        fault=fault,
        told=told,
        sees=r"did not (finish|answer) within 1 s",
        is_error=True,
        promised=TIMEOUT + 0.5,
        again=again,
        client=_TIMED,
        **more,
    )


DEATHS = [
    _dies("exit1", "dies in a call", r"exit code 1"),
    _dies("exit0", "ends in a call without an error", r"exit code 0"),
    _dies("sigkill", "is killed in a call", r"signal 9"),
    _dies("crash", "crashes in native code", r"signal 11"),
    _dies("grandchild_exit", "dies; a process that it started keeps its pipes open", r"exit code 1"),
    _dies("close_stdout", "closes its stdout and lives on", r"closed its stdout"),
    Drill(fault="exit1", told="dies in a call of an idempotent tool: sent again", sees=r"^do_safely did a$", again=True, effects=2,
          by="do_safely", client={"trust_annotations": True}),
    _dies("exit1", "says its tool is idempotent, which is not trusted", r"exit code 1", by="do_safely"),
    _dies("endless_line", "sends a line of 80 MB without an end", r"line of more than", size=80, promised=10.0),
    _dies("long_line", "sends a line of 80 MB", r"line of more than", size=80, promised=10.0),
]  # fmt: skip

HANGS = [
    _late("mute", "never answers a call, and goes on with others", how=_ALL),
    _late("hang", "hangs: answers neither the call nor a ping", again=True),
    _late("frozen", "is frozen by the system (SIGSTOP)", again=True),
    _late("grandchild_hang", "hangs, and a process that it started with it", again=True),
    _late("wrong_id", "answers with an id that nobody gave", how=("stdio", "sse")),
    Drill(fault="wrong_id", told="answers with an id that nobody gave, in the call's own stream", sees=r"^stray$", how=("http",)),
    Drill(fault="slow", told="answers after 300 ms", size=300, how=_ALL),
    _late(
        "ok",
        "reads its stdin no more, and the call is longer than a pipe holds",
        before="stop_reading",
        text=1_000_000,
        effects=0,
        again=True,
    ),
    Drill(fault="close_stdin", told="closes its stdin and lives on", again=True),
]

GARBAGE = [
    Drill(fault="banner", told="prints a banner on stdout"),
    Drill(fault="print", told="prints for debugging on stdout"),
    Drill(fault="bad_utf8", told="prints bytes that are no UTF-8"),
    Drill(fault="bad_utf8_in_json", told="sends a message with bytes that are no UTF-8"),
    Drill(fault="half_json", told="sends half a message"),
    Drill(fault="no_rpc", told="sends JSON that is no message", how=_ALL),
    Drill(fault="deep_json", told="sends JSON 100 000 levels deep"),
    Drill(fault="nan", told="sends NaN as a number", how=_ALL),
    Drill(fault="lone_surrogate", told="sends half of a surrogate pair"),
    Drill(fault="long_line", told="prints a line of 20 MB", size=20, promised=10.0),
    Drill(fault="stderr_flood", told="writes 100 MB to stderr", size=100, promised=10.0),
    Drill(fault="grandchild", told="starts a process that keeps its pipes open"),
]

ODD_ANSWERS = [
    Drill(fault="unknown_ids", told="answers what nobody asked", how=("stdio", "sse")),
    Drill(fault="wrong_ids", told="answers with ids that are lists and objects"),
    Drill(fault="id_as_text", told="writes the id as a text", sees=r"^fine$", how=_ALL),
    Drill(fault="twice", told="answers twice", sees=r"^twice$", how=("stdio", "sse")),
    Drill(fault="result_and_error", told="sends a result and an error in one", sees=r"both|fine", is_error=True, how=_ALL),
    Drill(fault="neither", told="sends neither a result nor an error", sees=r".", is_error=True),
    Drill(fault="error", told="answers with an error", sees=r"the disk is full", is_error=True, how=_ALL),
    Drill(fault="error_not_sent", told="says in an error that nothing was sent", sees=r"no receipt", is_error=True, how=_ALL),
    Drill(fault="error_text", told="sends a text as an error", sees=r"it broke", is_error=True),
    Drill(fault="error_empty", told="sends an empty error", sees=r".", is_error=True),
    Drill(fault="error_null", told="sends null as an error", sees=r".", is_error=True),
    Drill(fault="error_code_text", told="sends a text as the error's code", sees=r"the disk is full", is_error=True),
    Drill(fault="error_no_message", told="sends an error without a message", sees=r".", is_error=True),
    Drill(fault="error_long", told="sends an error of 1 MB", sees=r"mmm", is_error=True, how=_ALL),
    Drill(fault="is_error", told="says that the tool failed", sees=r"^no such file$", is_error=True, how=_ALL),
    Drill(fault="is_error_empty", told="says that the tool failed, and no more", sees=r"\w+", is_error=True, how=_ALL),
    Drill(fault="result_empty", told="sends a result without content", sees=r"nothing", is_error=None),
    Drill(fault="result_null", told="sends null as the result", sees=r"\w+", is_error=True),
    Drill(fault="result_text", told="sends a text as the result", sees=r"\w+", is_error=True),
    Drill(fault="result_list", told="sends a list as the result", sees=r"\w+", is_error=True),
    Drill(fault="content_text", told="sends a text as the content", sees=r"fine", is_error=None),
    Drill(fault="content_unknown", told="sends content of an unknown kind beside a text", sees=r"fine"),
    Drill(fault="content_bad_image", told="sends an image with broken base64", sees=r"fine"),
    Drill(fault="structured_bad", told="sends structured content that its schema forbids", sees=r"three", by="structured"),
    Drill(fault="structured_missing", told="leaves out structured content that its schema promises", sees=r"fine", by="structured"),
    Drill(fault="structured_only", told="sends structured content and no text", sees=r'"count": 3', by="structured"),
    Drill(fault="huge", told="sends a result of 50 MB", size=50, sees=r"zzz", promised=10.0, how=("stdio", "http"),
          client={"timeout": 30.0}),
]  # fmt: skip

NOTICES = [
    Drill(fault="bad_notices", told="sends notifications of the wrong shape", how=_ALL),
    Drill(fault="no_object", told="sends notifications with lists and texts as parameters", how=("stdio", "sse")),
    Drill(
        fault="no_object",
        told="sends notifications with lists and texts as parameters",
        how=("http",),
        sees=r"^do did a$|unknown",
        is_error=None,
    ),
    Drill(fault="cancels_ours", told="cancels a call that is not its own", how=_ALL),
    Drill(fault="progress_back", told="sends progress that goes backwards, and none that is a number", how=_ALL),
    Drill(fault="late_progress", told="sends progress after the end", how=_ALL),
    Drill(fault="storm", told="says 1000 times a second that its tools have changed", size=2, promised=10.0, how=("stdio", "http")),
    Drill(fault="log_storm", told="logs 1000 lines a second", size=2, promised=10.0, how=("stdio", "http")),
    Drill(fault="asks_sampling", told="asks for sampling, which was not offered", how=_ALL),
    Drill(fault="asks_elicitation", told="asks the user, which was not offered", how=_ALL),
    Drill(fault="asks_roots", told="asks for roots, which were not offered", how=_ALL),
    Drill(fault="asks_unknown", told="asks for what there is not", how=_ALL),
    Drill(fault="asks_badly", told="asks in a shape that nobody knows", how=_ALL),
    Drill(fault="asks_after", told="asks for sampling when no call is in flight", how=_ALL),
    Drill(fault="grow", told="has a tool more while a call runs", how=_ALL),
]


def _refuses(fault: str, told: str, sees: str, *, how: tuple[str, ...] = ("http",), **more: Any) -> Drill:
    return Drill(fault=fault, told=told, sees=sees, is_error=True, how=how, **more)


HTTP = [
    _refuses("status_401", "answers 401", "401"),
    _refuses("status_403", "answers 403", "403"),
    Drill(fault="ok", told="answers 404 to a call, as a proxy does: the session goes on", how=("http",), sees="404", is_error=True,
          again=False, effects=0, options=("on.tools/call=status_404", "at=1")),
    _refuses("status_404_words", "answers 404 in HTML that speaks of a session", "404", again=False),
    _refuses("status_400_words", "answers 400, with an error of its own that speaks of a session", "checkout session", again=False),
    _refuses("status_504", "answers 504: it may have run", "504.*outcome is unknown"),
    _refuses("status_429", "answers 429", "429"),
    _refuses("status_500", "answers 500", "500", how=("http", "sse")),
    _refuses("status_502", "answers 502 in HTML", "502"),
    _refuses("status_503", "answers 503", "503"),
    _refuses("html", "answers with a page instead of JSON", "text/html"),
    _refuses("no_type", "answers with a binary file", "octet-stream"),
    _refuses("not_json", "answers with what is no JSON", "(?i)json"),
    _refuses("empty", "answers with nothing", r"\w+"),
    _refuses("accepted", "says 202 to a call, and no more", r"202"),
    _refuses("redirect", "redirects to another host", "127.0.0.2"),
    _refuses("reset", "resets the connection before it answers", _UNKNOWN, again=None),
    _refuses("reset_midway", "resets the connection in the middle of an answer", _UNKNOWN, again=None),
    _refuses("cut", "ends the stream without an answer", _UNKNOWN, again=None),
    _refuses("bad_event", "sends an event that is no JSON", r"\w+", again=None),
    _late("cut_with_id", "ends the stream, and does not take it up again", how=("http",), again=None),
    _late("slowloris", "keeps the stream open with comments", how=("http",)),
    _late("dripping", "sends an answer a byte at a time", how=("http",)),
    _refuses("big_event", "sends an event of 80 MB", _UNKNOWN, size=80, promised=10.0, again=None),
    Drill(fault="forget404", told="forgets its sessions, and says 404", how=("http",), again=None),
    Drill(fault="forget400", told="forgets its sessions, and says 400", how=("http",), again=None),
    Drill(fault="restart", told="is started again on the same port between two calls", how=("http",), again=True,
          options=("busy=0.3",)),
    Drill(fault="restart_midway", told="is started again on the same port in a call", how=("http", "sse"), again=True,
          sees=_UNKNOWN, is_error=True, options=("busy=0.3",)),
]  # fmt: skip

DRILLS = [*DEATHS, *HANGS, *GARBAGE, *ODD_ANSWERS, *NOTICES, *HTTP]
