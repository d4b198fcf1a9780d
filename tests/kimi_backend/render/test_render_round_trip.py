"""Every plan in every form: read back to itself, its flags known to the engine's own parser, the same text each time."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from kimi_backend.engines import engine, engine_of
from kimi_backend.engines.router import check as check_router
from kimi_backend.launch import Launch, Site
from kimi_backend.render import Options, RenderError, Target, read_back, render
from kimi_backend.render.reading import READERS
from render_plans import COMBINATIONS, NASTY, PLANS, launch, site_of


def keyed(plan: str) -> str | None:
    return None if plan.startswith("tensorrt") else "/etc/kimi keys/$key"


@pytest.mark.parametrize(("plan", "target"), COMBINATIONS)
def test_is_read_back_to_the_same_launches(plan: str, target: Target) -> None:
    site = site_of(plan, model_path=NASTY, key=keyed(plan))
    read = read_back(target, render(PLANS[plan], site, target).files)
    assert read.instances == PLANS[plan]
    assert (read.site.model_path, read.site.port, read.site.served_name) == (NASTY, 30000, "kimi-k2")
    assert (read.site.interface, read.site.infiniband) == ("bond0", ("mlx5_0", "mlx5_1"))
    assert read.site.host == "127.0.0.1"
    if target != "kubernetes":
        assert read.site.api_key_file == site.api_key_file
    assert (read.router is None) == (len(PLANS[plan]) == 1)


@pytest.mark.parametrize(("plan", "target"), COMBINATIONS)
def test_every_flag_is_known_to_the_engines_own_parser(plan: str, target: Target) -> None:
    found, router = READERS[target](render(PLANS[plan], site_of(plan), target).files)
    for one in found:
        for invocation in one.invocations:
            assert engine(engine_of(invocation.argv)).check(invocation.argv) == []
    if router:
        assert check_router(router.invocations[0].argv) == []


def test_there_are_more_than_twenty_combinations() -> None:
    assert len(COMBINATIONS) > 20
    assert {one.engine for plan, _ in COMBINATIONS for one in PLANS[plan]} == {"sglang", "vllm", "ktransformers", "tensorrt-llm"}


@pytest.mark.parametrize(("plan", "target"), COMBINATIONS)
def test_the_same_plan_gives_the_same_text(plan: str, target: Target) -> None:
    assert render(PLANS[plan], site_of(plan), target) == render(list(PLANS[plan]), replace(site_of(plan)), target)


@pytest.mark.slow
def test_texts_do_not_depend_on_the_process() -> None:
    program = (
        "import sys; from render_plans import *; from kimi_backend.render import render; "
        "sys.stdout.write(''.join(render(PLANS[p], site_of(p), t).files.__repr__() for p, t in COMBINATIONS))"
    )
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program], env={"PYTHONHASHSEED": seed, "PYTHONPATH": path}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1


@pytest.mark.parametrize("target", ["kubernetes", "compose", "systemd"])
def test_an_mpi_world_has_no_form_node_by_node(target: Target) -> None:
    with pytest.raises(RenderError, match="one MPI world"):
        render(PLANS["tensorrt-llm-world"], site_of("tensorrt-llm-world"), target)


def test_a_key_for_an_engine_that_checks_none_is_refused() -> None:
    with pytest.raises(RenderError, match="checks no API key"):
        render(PLANS["tensorrt-llm-one-node"], site_of("tensorrt-llm-one-node", key="/etc/key"), "commands")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_path": "models/K2"}, "absolute path"),
        ({"model_path": "/models/\0"}, "NUL"),
        ({"addresses": ("10.0.0.1",)}, "2 nodes and the site 1 addresses"),
        ({"addresses": ("10.0.0.1", "10.0.0.1")}, "names a node twice"),
        ({"addresses": ("10.0.0.1", "a b")}, "neither a host name nor an IP"),
        ({"addresses": ("10.0.0.1", "-oProxyCommand=x")}, "neither a host name nor an IP"),
        ({"host": "0.0.0.0; id"}, "neither a host name nor an IP"),
        ({"port": 70000}, "1 to 65535"),
        ({"port": 20000}, "must differ"),
        ({"interface": "bond0\nx"}, "network interface"),
        ({"infiniband": ("mlx5_0,",)}, "infiniband"),
        ({"image": "a b"}, "image reference"),
        ({"api_key_file": "key"}, "absolute path"),
        ({"served_name": ""}, "served_name"),
        ({"model_path": "/models/\ud800"}, "UTF-8"),
    ],
)
def test_a_site_that_no_target_carries_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(RenderError, match=message):
        render(PLANS["sglang-tp16"], replace(site_of("sglang-tp16"), **change), "commands")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "Kimi"}, "DNS-1123"),
        ({"name": "k" * 41}, "41 characters"),
        ({"namespace": "a/b"}, "DNS-1123"),
        ({"partition": "gpu --uid=0"}, "one word"),
        ({"time_limit": "1h\n#SBATCH --uid=0"}, "Slurm time"),
        ({"binaries": "bin"}, "absolute path"),
        ({"drain_seconds": 0}, "at least 1"),
        ({"rdma_resource": "hca"}, "rdma/hca"),
        ({"router_port": 65536}, "65535"),
    ],
)
def test_an_option_that_a_target_would_misread_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(RenderError, match=message):
        Options(**change)  # pyright: ignore[reportArgumentType]


def test_instances_that_make_no_service_are_refused() -> None:
    site = Site(model_path="/m", addresses=("a", "b"))
    alone: Launch = launch(nodes=1, tp=8)
    with pytest.raises(Exception, match="prefill"):
        render([replace(alone, role="prefill"), alone], site, "commands")
    with pytest.raises(RenderError, match="no instance"):
        render([], site, "commands")
    with pytest.raises(RenderError, match="both want port 8000"):
        render([alone, alone], replace(site, port=8000), "commands")
