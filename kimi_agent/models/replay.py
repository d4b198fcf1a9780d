"""A real endpoint's answers, recorded once and played back: tests that are real, and need no key, no network and no money.

model = ReplayModel("tests/cassettes/weather.jsonl", record=ChatEndpoint("kimi-k2.6", base_url=…, api_key=…))
result = await Agent(model, tools=[get_weather]).run("Weather in Beijing?")
model.assert_complete()
"""

import asyncio
import os
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from kimi_agent.errors import ProviderError, UserError
from kimi_agent.models.base import Model, ModelRequest, Profile
from kimi_agent.models.recording.cassette import Exchange, read_cassette, write_cassette
from kimi_agent.models.recording.masking import ANYTHING, TextMask, extras_of, mask_parts, text_mask
from kimi_agent.models.recording.part_json import error_from_json, error_to_json
from kimi_agent.models.recording.summary import difference, fits, likeness, summary_of
from kimi_agent.models.resolve import resolve_model
from kimi_agent.wire.open_json import Json
from kimi_agent.wire.parts import WirePart

ReplayMode: TypeAlias = Literal["auto", "record", "replay"]
Recorded: TypeAlias = Model | str | Callable[[], Model]
_PATIENCE = 5.0  # seconds that a reader has who went away when it was recorded


@dataclass(slots=True)
class _Tape:
    """A cassette in use. While it is recorded, `exchanges` has None for what has not ended yet."""

    recording: bool
    exchanges: list[Exchange | None] = field(default_factory=list[Exchange | None])
    played: set[int] = field(default_factory=set[int])


class ReplayModel:
    """Records what a model answers, and plays it back.

    A request is answered by the first exchange of the file that is the same request and was not played yet. So one run gets its
    answers in the order in which they were recorded, and concurrent runs may share a file, in whatever order they come. What
    differs from run to run by nature (ids of calls and runs, keys, headers) is not compared.

    Never in the file: keys and other registered secrets, `extra_headers`, `extra_body`, credentials in URLs, values of JSON fields
    such as `api_key` or `password`. One model at a time may record a file, from any number of threads; every exchange that
    has ended is safe in it.

    Args:
        path: the cassette, a file of JSON lines. Its folder is made when it is recorded.
        record: the model to record: a `Model`, the name of one, or a function that makes one; it is used only while recording.
        mode: "replay"; "record": anew, over what is there; "auto": records if there is no file, else replays.
        redact: takes your own data out of each text before it is written or compared: names, dates, paths.
        profile: what the model's family can do; by default what it was when it was recorded.

    Attributes:
        requests: every request so far, as the loop made it.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        record: Recorded | None = None,
        mode: ReplayMode = "auto",
        redact: TextMask | None = None,
        profile: Profile | None = None,
    ) -> None:
        """Raises UserError where the mode is not one, or "record" has nothing to record."""
        if mode not in ("auto", "record", "replay"):
            raise UserError(f'mode={mode!r}: there are "auto", "record" and "replay"')
        if mode == "record" and record is None:
            raise UserError('mode="record" needs the model to record: ReplayModel(path, record=ChatEndpoint(…))')
        self.path = Path(path)
        self.requests: list[ModelRequest] = []
        self._record, self._mode, self._redact, self._profile = record, mode, redact, profile
        self._model: Model | None = None
        self._opened: _Tape | None = None
        self._lock = threading.RLock()  # never held over an await; the user's `record` is called in it

    def __repr__(self) -> str:
        return f"ReplayModel({str(self.path)!r})"

    @property
    def name(self) -> str:
        """The recorded model's name, where it is known."""
        model, exchange = self._behind()
        return model.name if model is not None else exchange.model if exchange is not None else self.path.stem

    @property
    def profile(self) -> Profile:
        """What the model's family can do: as it was when the request was recorded that is played next."""
        if self._profile is not None:
            return self._profile
        model, exchange = self._behind()
        return model.profile if model is not None else exchange.profile if exchange is not None else Profile()

    @property
    def recording(self) -> bool:
        """Whether the model is really asked. Raises UserError where there is nothing to replay and nothing to record."""
        return self._tape().recording

    async def stream(self, request: ModelRequest) -> AsyncGenerator[WirePart]:
        """Raises UserError for a request that was not recorded, with the difference; ProviderError where one was recorded."""
        self.requests.append(request)
        tape = self._tape()
        extras = extras_of(request.settings)
        mask = text_mask(self._redact, extras)
        summary = summary_of(request, text_mask(self._redact, extras, ANYTHING))
        answer = self._recorded(tape, request, summary, mask) if tape.recording else _played(self._found(tape, summary), self.path)
        async with aclosing(answer) as parts:
            async for part in parts:
                yield part

    def assert_complete(self) -> None:
        """Raises AssertionError if recorded exchanges are left that nobody asked for. While recording there is nothing to say."""
        tape = self._tape()
        if not tape.recording and (left := len(tape.exchanges) - len(tape.played)):
            raise AssertionError(f"{left} of the {len(tape.exchanges)} exchanges in {self.path} were not asked for")

    def _behind(self) -> tuple[Model | None, Exchange | None]:
        """The model that is recorded, or the exchange that is next; neither where `stream` will say what is wrong."""
        try:
            tape = self._tape()
            if tape.recording:
                return self._asked_model(), None
        except UserError:
            return None, None
        return None, tape.exchanges[min(len(self.requests), len(tape.exchanges) - 1)] if tape.exchanges else None

    def _tape(self) -> _Tape:
        with self._lock:
            if self._opened is None:
                self._opened = self._open()
            return self._opened

    def _open(self) -> _Tape:
        there = self.path.exists()
        recording = self._mode == "record" or (self._mode == "auto" and not there and self._record is not None)
        if not recording and not there:
            how = "record it with ReplayModel(path, record=…), or in pytest with --kimi-agent-record"
            raise UserError(f"there is no cassette {self.path}: {how}")
        return _Tape(recording, [] if recording else list(read_cassette(self.path)))

    async def _recorded(self, tape: _Tape, request: ModelRequest, summary: Json, mask: TextMask) -> AsyncGenerator[WirePart]:
        model = self._asked_model()
        name, profile = mask(model.name), self.profile
        with self._lock:
            place = len(tape.exchanges)
            tape.exchanges.append(None)
        parts: list[WirePart] = []

        def keep(error: ProviderError | None = None, *, left: bool = False) -> None:
            masked = _masked(error, mask) if error is not None else None
            shown = tuple(mask_parts(parts, mask))
            exchange = Exchange(
                model=name or mask(model.name), profile=profile, request=summary, parts=shown, error=masked, left=left
            )
            with self._lock:  # the writing too: an older state must not be written over a newer one
                tape.exchanges[place] = exchange
                write_cassette(self.path, [e for e in tape.exchanges if e is not None])

        try:
            async with aclosing(model.stream(request)) as stream:
                async for part in stream:
                    parts.append(part)
                    yield part
        except ProviderError as error:
            keep(error)
            raise
        except (GeneratorExit, asyncio.CancelledError):
            keep(left=True)
            raise
        keep()

    def _asked_model(self) -> Model:
        with self._lock:
            if self._model is None:
                record: Any = self._record
                if isinstance(record, str):
                    record = resolve_model(record)
                made: Model = record if isinstance(record, Model) else record()
                self._model = made
            return self._model

    def _found(self, tape: _Tape, summary: Json) -> Exchange:
        """The first exchange of this request that was not played yet. Raises UserError."""
        with self._lock:
            left = [(i, e) for i, e in enumerate(tape.exchanges) if e is not None and i not in tape.played]
            for i, exchange in left:
                if fits(exchange.request, summary):
                    tape.played.add(i)
                    return exchange
        advice = 'If this is meant, record it again: delete the file, or mode="record"; in pytest --kimi-agent-record'
        if not left:
            raise UserError(
                f"{self.path} holds {len(tape.exchanges)} exchanges, all are played, and the model was asked once more. {advice}"
            )
        i, nearest = max(left, key=lambda one: (likeness(one[1].request, summary), -one[0]))
        raise UserError(
            f"request {len(self.requests)} is not in {self.path}. It differs from exchange {i + 1}:\n"
            f"{difference(nearest.request, summary)}\n{advice}"
        )


def _masked(error: ProviderError, mask: TextMask) -> ProviderError:
    entry = error_to_json(error)
    texts = {k: mask(v) for k, v in entry.items() if isinstance(v, str)}
    return error_from_json({**entry, **texts, "type": entry["type"], **({"phase": entry["phase"]} if "phase" in entry else {})})


async def _played(exchange: Exchange, path: Path) -> AsyncGenerator[WirePart]:
    for part in exchange.parts:
        await asyncio.sleep(0)
        yield part
    if exchange.error is not None:
        raise error_from_json(error_to_json(exchange.error))  # a new one each time: a run adds its messages to it
    if exchange.left:
        await asyncio.sleep(_PATIENCE)
        raise UserError(
            f"in {path} this answer ends where its reader went away (a cancelled run), but this run reads on: record it again"
        )
