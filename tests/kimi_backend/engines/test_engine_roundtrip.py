"""Whatever can be launched is written so that its engine's parser takes it, and read back to the same launch."""

from __future__ import annotations

import pytest
from engine_launches import commands, launches, respelled, sites
from hypothesis import given, settings
from hypothesis import strategies as st
from kimi_backend.engines import ENGINES, engine_of
from kimi_backend.launch import EngineName, Site

names = pytest.mark.parametrize("name", list(ENGINES))


@names
@settings(max_examples=15, deadline=None, database=None)
@given(data=st.data(), site=sites)
def test_read_inverts_invocation(name: EngineName, data: st.DataObject, site: Site) -> None:
    launch = data.draw(launches(name))
    written = commands(launch, site)
    engine = ENGINES[name]
    for command in written:
        assert engine.check(command.argv) == []
        assert engine_of(command.argv) == name
        assert site.model_path in command.argv
    assert engine.read(written) == launch


@names
@settings(max_examples=15, deadline=None, database=None)
@given(data=st.data(), site=sites, seed=st.integers(0, 2**32))
def test_order_and_spelling_mean_nothing(name: EngineName, data: st.DataObject, site: Site, seed: int) -> None:
    launch = data.draw(launches(name))
    assert ENGINES[name].read([respelled(command, seed + rank) for rank, command in enumerate(commands(launch, site))]) == launch


@names
@settings(max_examples=5, deadline=None, database=None)
@given(data=st.data(), site=sites)
def test_the_site_is_read_too(name: EngineName, data: st.DataObject, site: Site) -> None:
    found = ENGINES[name].read_start(commands(data.draw(launches(name)), site)).site
    told = (found.model_path, found.host, found.port, found.interface, found.infiniband)
    assert told == (site.model_path, site.host, site.port, site.interface, site.infiniband)
    if name != "tensorrt-llm":  # it has no served name
        assert found.served_name == site.served_name
    if found.addresses:
        assert (found.addresses, found.rendezvous_port) == (("10.0.0.1",), site.rendezvous_port)


@names
@settings(max_examples=8, deadline=None, database=None)
@given(data=st.data(), site=sites)
def test_other_launches_are_other_commands(name: EngineName, data: st.DataObject, site: Site) -> None:
    one, other = data.draw(launches(name)), data.draw(launches(name))
    same = [(c.argv, c.files) for c in commands(one, site)] == [(c.argv, c.files) for c in commands(other, site)]
    assert same == (one == other)
