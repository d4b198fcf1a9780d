"""The pytest plugin: fixtures that make doubles, and a ban on requests to real models. It does nothing that is not asked for.

kimi_agent_real_requests = forbid      ini option; also --kimi-agent-real-requests=forbid. Default: allow
@pytest.mark.real_requests             lifts the ban for a test
--kimi-agent-record                    `replay_model` records anew
--kimi-agent-seed=N                    what `chaos_model` does, again
scripted_model  replay_model  chaos_model  forbid_real_requests       fixtures
"""

import random
import re
from collections.abc import Callable, Generator, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from kimi_agent.models.base import Model, Profile
    from kimi_agent.models.chaos import ChaosModel
    from kimi_agent.models.faults import Fault
    from kimi_agent.models.replay import Recorded, ReplayModel
    from kimi_agent.models.scripted import ScriptedModel, ScriptStep

_RULE = "kimi_agent_real_requests"
_MARKER = "real_requests"
_SEED = "kimi_agent_seed"
_LONGEST = 100  # bytes of a test's name in the name of a file, which has at most 255


@dataclass
class _Doubles:
    """What the fixtures made for one test."""

    complete: list[Callable[[], None]] = field(default_factory=list[Callable[[], None]])
    chaos: list["ChaosModel"] = field(default_factory=list["ChaosModel"])
    cassettes: set[Path] = field(default_factory=set[Path])


_doubles = pytest.StashKey[_Doubles]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options and the ini option."""
    words = "whether tests may ask real models: allow or forbid"
    group = parser.getgroup("kimi-agent")
    group.addoption("--kimi-agent-real-requests", choices=("allow", "forbid"), default=None, help=words)
    group.addoption(
        "--kimi-agent-record", action="store_true", help="replay_model asks the real model, and records its answers anew"
    )
    group.addoption("--kimi-agent-seed", type=int, default=None, metavar="N", help="what chaos_model's faults are drawn from")
    parser.addini(_RULE, words, default="allow")


def pytest_configure(config: pytest.Config) -> None:
    """Declares the marker, draws the seed, and sets the ban if it is wanted."""
    config.addinivalue_line("markers", f"{_MARKER}: may ask real models, where {_RULE} = forbid")
    if config.option.kimi_agent_seed is None:
        drawn = random.SystemRandom().randrange(2**32)  # leaves a seeded `random` as it is
        config.option.kimi_agent_seed = getattr(config, "workerinput", {}).get(_SEED, drawn)
    if _forbidden(config):
        from kimi_agent.models.real_requests import forbid_real_requests

        ban = ExitStack()
        ban.enter_context(forbid_real_requests())
        config.add_cleanup(ban.close)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Workers of xdist draw from the seed of the whole session."""
    node.workerinput[_SEED] = node.config.option.kimi_agent_seed


def _forbidden(config: pytest.Config) -> bool:
    rule = config.getoption("--kimi-agent-real-requests") or config.getini(_RULE)
    if rule not in ("allow", "forbid"):
        raise pytest.UsageError(f"{_RULE} = {rule}: it is allow or forbid")
    return rule == "forbid"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, Any]:
    """Lifts the ban for a marked test, its fixtures included."""
    with ExitStack() as lifted:
        if item.get_closest_marker(_MARKER) is not None and _forbidden(item.config):
            from kimi_agent.models.real_requests import allow_real_requests

            lifted.enter_context(allow_real_requests())
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """A test that passed fails where its doubles have answers left that nobody asked for."""
    result = yield
    left = [words for assert_complete in _of(item).complete if (words := _left(assert_complete))]
    if left:
        pytest.fail(left[0], pytrace=False)
    return result


def _left(assert_complete: Callable[[], None]) -> str:
    try:
        assert_complete()
    except AssertionError as error:
        return str(error)
    return ""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Says of a test that failed what chaos did to it, and how to have it again."""
    report = yield
    if report.failed:
        for model in _of(item).chaos:
            injected = "\n".join(f"  {fault}" for fault in model.injected) or "  nothing"
            again = f"again with --kimi-agent-seed={item.config.option.kimi_agent_seed}"
            report.sections.append(("kimi-agent chaos", f"seed {model.seed}, {again}; injected:\n{injected}"))
    return report


def _of(item: pytest.Item) -> _Doubles:
    return item.stash.get(_doubles, _Doubles())


@pytest.fixture
def _kimi_agent_doubles(request: pytest.FixtureRequest) -> _Doubles:  # pyright: ignore[reportUnusedFunction]  # pytest uses it
    doubles = request.node.stash[_doubles] = _Doubles()  # a test that is run again begins anew
    return doubles


@pytest.fixture
def forbid_real_requests(request: pytest.FixtureRequest) -> Generator[None]:
    """Requests to real models raise UserError in this test, unless it is marked `real_requests`."""
    from kimi_agent.models import real_requests

    with ExitStack() as ban:
        if request.node.get_closest_marker(_MARKER) is None:
            ban.enter_context(real_requests.forbid_real_requests())
        yield


@pytest.fixture
def scripted_model(_kimi_agent_doubles: _Doubles) -> "Callable[..., ScriptedModel]":
    """Makes a `ScriptedModel` of the same arguments. The test fails if it passes and steps are left."""
    from kimi_agent.models.scripted import ScriptedModel

    def make(script: "Iterable[ScriptStep]", **options: Any) -> ScriptedModel:
        model = ScriptedModel(script, **options)
        _kimi_agent_doubles.complete.append(model.assert_complete)
        return model

    return make


@pytest.fixture
def replay_model(request: pytest.FixtureRequest, _kimi_agent_doubles: _Doubles) -> "Generator[Callable[..., ReplayModel]]":
    """Makes a `ReplayModel` of `cassettes/<test file>/<test>.jsonl`, beside the test file: `replay_model(record=…, redact=…)`.

    It replays; with --kimi-agent-record it records, real requests being allowed. `name=` tells several cassettes of one test
    apart. The test fails if it passes and exchanges are left.
    """
    from kimi_agent.errors import UserError
    from kimi_agent.models.real_requests import allow_real_requests
    from kimi_agent.models.replay import ReplayModel

    recording = bool(request.config.getoption("--kimi-agent-record"))

    def make(
        record: "Recorded | None" = None,
        *,
        name: str = "",
        redact: Callable[[str], str] | None = None,
        profile: "Profile | None" = None,
    ) -> ReplayModel:
        path = cassette_path(request.node, name)
        if path in _kimi_agent_doubles.cassettes:
            raise UserError(f'{path} is in use in this test: give each replay_model a name of its own, replay_model(…, name="…")')
        _kimi_agent_doubles.cassettes.add(path)
        model = ReplayModel(path, record=record, mode="record" if recording else "replay", redact=redact, profile=profile)
        _kimi_agent_doubles.complete.append(model.assert_complete)
        return model

    with ExitStack() as lifted:
        if recording:
            lifted.enter_context(allow_real_requests())
        yield make


@pytest.fixture
def chaos_model(request: pytest.FixtureRequest, _kimi_agent_doubles: _Doubles) -> "Callable[..., ChaosModel]":
    """Makes a `ChaosModel` of the same arguments, its seed drawn from --kimi-agent-seed and the test's name. A report of a
    failure tells the seed and the faults."""
    from kimi_agent.models.chaos import ChaosModel

    def make(model: "Model", *, seed: int | None = None, faults: "Iterable[Fault] | None" = None, **options: Any) -> ChaosModel:
        if seed is None:
            drawn_from = f"{request.config.option.kimi_agent_seed}/{request.node.nodeid}/{len(_kimi_agent_doubles.chaos)}"
            seed = int.from_bytes(sha256(drawn_from.encode()).digest()[:4], "big")
        chaos = ChaosModel(model, seed=seed, faults=faults, **options)
        _kimi_agent_doubles.chaos.append(chaos)
        return chaos

    return make


def cassette_path(item: pytest.Item, name: str = "") -> Path:
    """`cassettes/<test file>/<test>.jsonl` beside the test's file. If the test is parametrised or a name is given, the file's name
    ends in a digest of both: what a file name cannot hold is replaced, and it is cut."""
    test = item.nodeid.partition("::")[2] or item.name
    plain = ".".join([*test.split("::"), *([name] if name else [])])
    safe = re.sub(r"[^\w.-]+", "-", plain.replace("]", ""))
    safe = safe.encode()[:_LONGEST].decode(errors="ignore")
    if safe != plain or name or "[" in test:
        told_apart = "\0".join([test, name]).encode("utf-8", "surrogatepass")
        safe = f"{safe}-{sha256(told_apart).hexdigest()[:8]}"
    return item.path.parent / "cassettes" / item.path.stem / f"{safe}.jsonl"
