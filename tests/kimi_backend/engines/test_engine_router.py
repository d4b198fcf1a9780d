"""The router in front of several instances."""

from __future__ import annotations

import shlex
from dataclasses import replace

import pytest
from engine_launches import with_words
from hypothesis import given, settings
from hypothesis import strategies as st
from kimi_backend.engines import FlagError
from kimi_backend.engines.router import POLICIES, Router, check, invocation, read, router_for
from kimi_backend.launch import Launch, Site

PLAIN = Launch(engine="sglang", nodes=1, gpus_per_node=8, tp=8, context=131_072, memory_fraction=0.9)
SITE = Site(model_path="/models/K2", host="10.0.0.9")

urls = st.builds("http://{}:{}".format, st.sampled_from(("10.0.0.1", "node-1.example", "[fd00::1]")), st.integers(1, 65_535))
ports = st.integers(1, 65_535)
plain = st.builds(
    Router, host=st.just("0.0.0.0"), port=ports, workers=st.lists(urls, min_size=1).map(tuple), policy=st.sampled_from(POLICIES)
)
two_sided = st.builds(
    Router,
    host=st.just("::1"),
    port=ports,
    prefill=st.lists(st.tuples(urls, ports), min_size=1).map(tuple),
    decode=st.lists(urls, min_size=1).map(tuple),
    policy=st.sampled_from(POLICIES),
)


@settings(max_examples=25, deadline=None, database=None)
@given(router=plain | two_sided)
def test_read_inverts_invocation(router: Router) -> None:
    command = invocation(router)
    assert check(command.argv) == []
    assert read(command) == router


def test_the_command_for_two_instances() -> None:
    router = router_for([PLAIN, PLAIN], ["10.0.0.1", "10.0.0.2"], SITE, port=8000)
    assert shlex.join(invocation(router).argv) == (
        "python3 -m sglang_router.launch_router --host 10.0.0.9 --port 8000 --policy cache_aware --prometheus-host 10.0.0.9 "
        "--worker-urls http://10.0.0.1:30000 http://10.0.0.2:30000"
    )


def test_the_command_for_a_disaggregation() -> None:
    sides = [replace(PLAIN, role="prefill"), replace(PLAIN, role="decode")]
    router = router_for(sides, ["fd00::1", "10.0.0.2"], SITE, port=8000, policy="round_robin")
    assert shlex.join(invocation(router).argv) == (
        "python3 -m sglang_router.launch_router --host 10.0.0.9 --port 8000 --policy round_robin --prometheus-host 10.0.0.9 "
        "--pd-disaggregation --prefill 'http://[fd00::1]:30000' 8998 --decode http://10.0.0.2:30000"
    )


@pytest.mark.parametrize("roles", [(), ("prefill",), ("decode",), ("serve", "prefill", "decode")])
def test_instances_that_do_not_belong_together(roles: tuple[str, ...]) -> None:
    with pytest.raises(FlagError, match="never both kinds"):
        router_for([replace(PLAIN, role=role) for role in roles], ["a"] * len(roles), SITE, port=8000)


@pytest.mark.parametrize(
    "url",
    [
        "10.0.0.1:30000",
        "https://a:1",
        "http://a",
        "http://a:99999",
        "http://a:1/v1",
        "http://u:p@a:1",
        "http://a b:1",
        "--prefill",
        "",
    ],
)
def test_urls_that_are_no_instances(url: str) -> None:
    with pytest.raises(FlagError, match="http://ADDRESS:PORT"):
        invocation(Router(host="a", port=1, workers=(url,)))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--dp-aware",), "--dp-aware is True"),
        (("--api-key", "s3cret"), "--api-key must not be on the command line"),
        (("--prometheus-host", "0.0.0.0"), "--prometheus-host"),
        (("--policy", "fastest"), "fastest"),
        (("--prefill", "http://b:1", "8998", "--decode", "http://c:1"), "never both kinds"),
        (("--prefill", "http://b:1"), "bootstrap port"),
        (("--no-such-flag",), "no-such-flag"),
    ],
)
def test_commands_that_say_more_than_a_router(words: tuple[str, ...], told: str) -> None:
    command = with_words(invocation(Router(host="a", port=1, workers=("http://a:1",))), *words)
    with pytest.raises(FlagError) as caught:
        read(command)
    assert told in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_harmless_flags_may_be_added() -> None:
    router = Router(host="a", port=1, workers=("http://a:1",))
    assert read(with_words(invocation(router), "--log-level", "debug")) == router
