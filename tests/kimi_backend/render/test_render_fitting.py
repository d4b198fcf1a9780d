"""What a target makes of a site: addresses that can be listened on, ports that are free, keys, and time to end requests."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from kimi_backend.launch import Launch
from kimi_backend.render import Options, RenderError, Target, read_back, render
from render_plans import PLANS, launch, site_of

yaml = pytest.importorskip("yaml")


def texts(plan: str, target: Target, options: Options | None = None, **site: object) -> Mapping[str, str]:
    changed = replace(site_of(plan), **site)  # pyright: ignore[reportArgumentType]
    return render(PLANS[plan], changed, target, options).files


def hosts(files: Mapping[str, str]) -> dict[str, str]:
    return {name: re.findall(r"--host (\S+)", text)[-1] for name, text in files.items() if name.endswith(".sh")}


def wide(**more: object) -> Launch:
    return replace(launch(), attention_dp=16, ep=16, **more)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("target", ["slurm", "kubernetes"])
@pytest.mark.parametrize("host", ["10.0.0.1", "2001:db8::1", "node-a"])
def test_one_machines_address_is_refused_where_machines_are_picked_later(target: Target, host: str) -> None:
    with pytest.raises(RenderError, match=r"picks the machines.*give 0\.0\.0\.0"):
        texts("sglang-tp16", target, host=host)


@pytest.mark.parametrize("target", ["slurm", "kubernetes"])
@pytest.mark.parametrize("host", ["0.0.0.0", "::", "127.0.0.1", "localhost"])
def test_every_address_or_none_is_taken_there(target: Target, host: str) -> None:
    assert texts("sglang-tp16", target, host=host)


def test_each_of_several_heads_listens_on_its_own_address() -> None:
    """One literal address for all would leave every instance but the first unable to listen."""
    files = texts("sglang-replicas", "commands", host="10.0.0.1")
    assert hosts(files) == {"replica-0-node0.sh": "10.0.0.1", "replica-1-node0.sh": "10.0.0.2", "router.sh": "10.0.0.1"}
    assert read_back("commands", files).instances == PLANS["sglang-replicas"]


def test_an_address_that_several_instances_cannot_share_is_refused() -> None:
    with pytest.raises(RenderError, match=r"10\.9\.9\.9.*cannot all listen"):
        texts("sglang-replicas", "systemd", host="10.9.9.9")


def test_another_nodes_address_is_refused() -> None:
    with pytest.raises(RenderError, match=r"clients ask the first node: give 10\.0\.0\.1"):
        texts("sglang-tp16", "commands", host="10.0.0.2")


@pytest.mark.parametrize("host", ["10.0.0.1", "0.0.0.0"])
def test_sglangs_other_nodes_answer_nobody_but_themselves(host: str) -> None:
    """They have a server that says 200 to any probe; it cannot listen on the head's address."""
    files = texts("sglang-tp16", "commands", host=host)
    assert hosts(files) == {"node0.sh": host, "node1.sh": "127.0.0.1"}
    assert read_back("commands", files).site.host == host


def test_a_loopback_node_among_others_is_refused() -> None:
    with pytest.raises(RenderError, match="each node would meet only itself"):
        texts("sglang-tp16", "commands", addresses=("127.0.0.1", "10.0.0.2"))


@pytest.mark.parametrize(
    ("instances", "site", "options", "target", "message"),
    [
        ((wide(),), {"rendezvous_port": 29997}, {}, "commands", "data-parallel attention both want port 30000"),
        ((wide(),), {"rendezvous_port": 65533, "port": 65530}, {}, "slurm", "both want port 65530"),
        (PLANS["sglang-prefill-decode"], {"port": 8998}, {}, "kubernetes", "bootstrap of disaggregation both want port 8998"),
        (PLANS["sglang-replicas"], {"port": 8000}, {}, "slurm", "the router both want port 8000"),
        (PLANS["sglang-replicas"], {"port": 29000}, {}, "compose", "router's metrics both want port 29000"),
        (PLANS["sglang-prefill-decode"], {"rendezvous_port": 8000}, {}, "systemd", "the router both want port 8000|both want port"),
        (PLANS["sglang-replicas"], {}, {"router_port": 30000}, "commands", "both want port 30000"),
    ],
)  # fmt: skip
def test_two_programs_that_want_one_port_are_refused(
    instances: tuple[Launch, ...], site: dict[str, Any], options: dict[str, Any], target: Target, message: str
) -> None:
    given = replace(site_of("sglang-prefill-decode" if len(instances) > 1 else "sglang-tp16"), **site)
    given = replace(given, addresses=given.addresses[: sum(one.nodes for one in instances)])
    with pytest.raises(RenderError, match=message):
        render(instances, given, target, Options(**options))


def test_ports_beside_each_other_are_taken() -> None:
    assert render((wide(),), replace(site_of("sglang-tp16"), rendezvous_port=29993), "commands").files
    assert texts("sglang-replicas", "kubernetes", port=8000), "a router with a pod of its own shares no port"


def test_a_secret_alone_is_a_wish_for_a_key() -> None:
    (text,) = texts("sglang-tp16", "kubernetes", Options(api_key_secret="k2-key", namespace="llm")).values()
    assert "There is no API key" not in text
    assert "kubectl -n llm create secret generic k2-key --from-file=api-key=" in text
    assert "kubectl -n llm port-forward" in text
    (group,) = [one for one in yaml.safe_load_all(text) if one["kind"] == "LeaderWorkerSet"]
    head = group["spec"]["leaderWorkerTemplate"]["leaderTemplate"]["spec"]
    assert {"secretName": "k2-key", "defaultMode": 0o400} in [volume.get("secret") for volume in head["volumes"]]
    assert head["containers"][0]["command"][:2] == ["bash", "-c"]
    with pytest.raises(RenderError, match="compose reads a file: give api_key_file"):
        texts("sglang-tp16", "compose", Options(api_key_secret="k2-key"))


def test_other_pods_stay_as_long_as_the_heads_server_is_open() -> None:
    """vLLM closes its rendezvous port when all are there; the server's own port stays open until requests have ended."""
    (text,) = texts("vllm-dp16-ep16", "kubernetes").values()
    (group,) = [one for one in yaml.safe_load_all(text) if one["kind"] == "LeaderWorkerSet"]
    (worker,) = group["spec"]["leaderWorkerTemplate"]["workerTemplate"]["spec"]["containers"]
    assert "/dev/tcp/$LWS_LEADER_ADDRESS/30000" in worker["lifecycle"]["preStop"]["exec"]["command"][-1]


@pytest.mark.parametrize("target", ["commands", "slurm", "kubernetes", "compose", "systemd"])
def test_vllm_lets_requests_end_as_long_as_the_target_waits(target: Target) -> None:
    files = texts("vllm-dp16-ep16", target, Options(drain_seconds=777))
    found = [re.search(r"--shutdown-timeout\W+(\d+)", text.replace("\n", " ")) for text in files.values()]
    assert [match[1] if match else None for match in found] == ["777"] * len(files)
    assert read_back(target, files).instances == PLANS["vllm-dp16-ep16"]


def test_the_jobs_log_tells_where_clients_go() -> None:
    for host, said in (("0.0.0.0", "port 30000 on $head."), ("127.0.0.1", "port 30000 on $head, from that node only.")):
        files = texts("sglang-tp16", "slurm", host=host)
        assert f'echo "Clients reach {said}"' in files["kimi-k2.sbatch"]
        assert read_back("slurm", files).instances == PLANS["sglang-tp16"]
    assert "port 8000 on $head_0." in texts("sglang-replicas", "slurm", host="0.0.0.0")["kimi-k2.sbatch"]
