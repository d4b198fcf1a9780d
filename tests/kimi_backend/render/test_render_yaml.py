"""Kubernetes manifests and Compose files: valid, and what a person expects of a server that loads a terabyte."""

from __future__ import annotations

import http.server
import json
import subprocess
import sys
import threading
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from kimi_backend.render import Options, RenderError, render
from kimi_backend.render.yaml_text import documents
from needs import needs
from render_plans import NASTY, PLANS, site_of
from strict_schemas import SCHEMAS

yaml = needs("yaml")
PODS = [plan for plan in PLANS if plan != "tensorrt-llm-world"]


def objects(plan: str, *, key: str | None = None, options: Options | None = None, **change: Any) -> list[dict[str, Any]]:
    site = replace(site_of(plan, key=key), **change)
    (text,) = render(PLANS[plan], site, "kubernetes", options).files.values()
    return list(yaml.safe_load_all(text))


def of_kind(kind: str, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [one for one in found if one["kind"] == kind]


def templates(found: list[dict[str, Any]]) -> list[tuple[dict[str, Any], dict[str, Any] | None]]:
    """The head's pod of each group, and the other nodes' if there are any."""
    groups = [one["spec"]["leaderWorkerTemplate"] for one in of_kind("LeaderWorkerSet", found)]
    return [
        (
            group.get("leaderTemplate", group["workerTemplate"])["spec"],
            group["workerTemplate"]["spec"] if group["size"] > 1 else None,
        )
        for group in groups
    ]


@pytest.mark.parametrize("rdma", [None, "rdma/hca"])
@pytest.mark.parametrize("plan", PODS)
def test_every_object_is_valid(plan: str, rdma: str | None) -> None:
    options = Options(rdma_resource=rdma, namespace="models", model_claim="weights" if rdma else None)
    found = objects(plan, key=None if plan.startswith("tensorrt") else "/key", options=options, model_path=NASTY)
    for one in found:
        errors = [f"{error.json_path}: {error.message}" for error in Draft202012Validator(SCHEMAS[one["kind"]]).iter_errors(one)]
        assert errors == []
        assert one["metadata"]["namespace"] == "models"
    names = [(one["kind"], one["metadata"]["name"]) for one in found]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("plan", PODS)
def test_volumes_and_mounts_belong_together(plan: str) -> None:
    pods = [pod for pair in templates(objects(plan)) for pod in pair if pod]
    for pod in pods:
        (container,) = pod["containers"]
        assert [volume["name"] for volume in pod["volumes"]] == [mount["name"] for mount in container["volumeMounts"]]
        assert container["resources"]["limits"]["nvidia.com/gpu"] == str(PLANS[plan][0].gpus_per_node)


def test_a_service_leads_to_the_head_alone_and_is_no_name_of_a_group() -> None:
    found = objects("sglang-tp16")
    (service,) = of_kind("Service", found)
    assert service["spec"]["selector"]["leaderworkerset.sigs.k8s.io/worker-index"] == "0"
    # The LeaderWorkerSet controller makes a headless Service of the group's own name.
    assert service["metadata"]["name"] not in {one["metadata"]["name"] for one in of_kind("LeaderWorkerSet", found)}


def test_probes_generate_and_leave_time_to_load() -> None:
    ((head, worker),) = templates(objects("sglang-tp16"))
    probes = {name: head["containers"][0][name] for name in ("startupProbe", "readinessProbe", "livenessProbe")}
    assert {probe["httpGet"]["path"] for probe in probes.values()} == {"/health_generate"}
    start = probes["startupProbe"]
    assert start["periodSeconds"] * start["failureThreshold"] >= 3600
    assert worker is not None
    assert not {"startupProbe", "readinessProbe", "livenessProbe"} & worker["containers"][0].keys(), "only the head answers HTTP"


class Engine(http.server.BaseHTTPRequestHandler):
    """Answers like vLLM with a key: only a completion asked for with the key."""

    seen: list[tuple[str, str | None, dict[str, Any]]]

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        type(self).seen.append((self.path, self.headers["Authorization"], body))
        self.send_response(200 if self.headers["Authorization"] == "Bearer sk-1" else 401)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None: ...


def test_the_probe_of_a_passive_engine_asks_for_a_token_with_the_key(tmp_path: Any) -> None:
    (tmp_path / "key").write_text("sk-1\n")
    ((head, _),) = templates(objects("vllm-tp8-pp2-dcp8", key="/key", served_name='k2 "$(x)'))
    command = head["containers"][0]["readinessProbe"]["exec"]["command"]
    Engine.seen = []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Engine) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        words = [
            word.replace(":30000", f":{server.server_port}").replace("/run/secrets/kimi-backend/api-key", str(tmp_path / "key"))
            for word in command
        ]
        codes = []
        for key in ("sk-1", "wrong"):
            (tmp_path / "key").write_text(key)
            env = {"POD_IP": "127.0.0.1", "http_proxy": "http://127.0.0.1:1"}
            codes.append(subprocess.run([sys.executable, *words[1:]], env=env, capture_output=True, check=False).returncode)
        server.shutdown()
    assert codes == [0, 1]
    assert Engine.seen[0] == ("/v1/completions", "Bearer sk-1", {"model": 'k2 "$(x)', "prompt": "1", "max_tokens": 1})


def test_loopback_becomes_the_pods_own_address_and_what_is_said_stays() -> None:
    ((head, _),) = templates(objects("sglang-one-node"))
    command = head["containers"][0]["command"]
    assert command[command.index("--host") + 1] == "$(POD_IP)"
    ((head, _),) = templates(objects("sglang-one-node", host="0.0.0.0"))
    command = head["containers"][0]["command"]
    assert command[command.index("--host") + 1] == "0.0.0.0"


def test_infiniband_takes_the_nodes_network_only_where_no_plugin_is_named() -> None:
    ((head, _),) = templates(objects("sglang-tp16"))
    assert head["hostNetwork"] is True
    assert head["containers"][0]["securityContext"] == {"privileged": True}
    ((head, _),) = templates(objects("sglang-tp16", options=Options(rdma_resource="rdma/hca")))
    assert "hostNetwork" not in head
    assert head["containers"][0]["resources"]["limits"] == {"nvidia.com/gpu": "8", "rdma/hca": "2"}
    assert head["containers"][0]["securityContext"]["allowPrivilegeEscalation"] is False


def test_the_router_has_no_rights_and_knows_the_services() -> None:
    found = objects("sglang-prefill-decode")
    (router,) = of_kind("Deployment", found)
    command = router["spec"]["template"]["spec"]["containers"][0]["command"]
    services = {one["metadata"]["name"]: one["spec"] for one in of_kind("Service", found)}
    assert command[command.index("--prefill") + 1 :][:2] == ["http://kimi-k2-prefill-0-leader:30000", "8998"]
    assert [port["port"] for port in services["kimi-k2-prefill-0-leader"]["ports"]] == [30000, 8998]
    assert not {"Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"} & {one["kind"] for one in found}
    assert services["kimi-k2-router"]["selector"] == router["spec"]["template"]["metadata"]["labels"]


def test_the_secret_is_named_and_only_heads_have_it() -> None:
    ((head, worker),) = templates(objects("vllm-tp8-pp2-dcp8", key="/etc/key", options=Options(api_key_secret="clients")))
    secrets = [[volume["secret"]["secretName"] for volume in pod["volumes"] if "secret" in volume] for pod in (head, worker) if pod]
    assert secrets == [["clients"], []]


def test_a_path_that_no_volume_can_have_is_refused() -> None:
    for path in ("/models/a:b", "/models/../etc"):
        with pytest.raises(RenderError, match=r"colon or '..'"):
            objects("sglang-tp16", model_path=path)


def test_an_engine_without_an_image_asks_for_one() -> None:
    for target in ("kubernetes", "compose"):
        with pytest.raises(RenderError, match="no official image"):
            render(PLANS["ktransformers"], replace(site_of("ktransformers"), image=None), target)


@pytest.mark.parametrize("plan", PODS)
def test_a_compose_file_gives_the_engine_its_node(plan: str) -> None:
    key = None if plan.startswith("tensorrt") else "/etc/keys/$key"
    for name, text in render(PLANS[plan], site_of(plan, key=key), "compose").files.items():
        if not name.endswith(".compose.yaml"):
            continue
        project = yaml.safe_load(text)
        engine = project["services"]["engine"]
        assert engine["network_mode"] == engine["ipc"] == "host"
        assert engine["deploy"]["resources"]["reservations"]["devices"][0]["count"] == PLANS[plan][0].gpus_per_node
        assert engine["ulimits"]["memlock"] == -1
        assert engine["stop_grace_period"] == "360s"
        head = name.endswith("node0.compose.yaml")
        assert ("healthcheck" in engine) == head
        assert project.get("secrets") == ({"api-key": {"file": "/etc/keys/$$key"}} if key and head else None)


texts = st.text(st.characters(blacklist_categories=["Cs"]), max_size=30) | st.sampled_from(
    [
        "yes",
        "null",
        "1e3",
        "0x1F",
        "- a",
        "a: b",
        "#",
        "&a",
        "*a",
        "!!str",
        "%",
        "|\n",
        "2026-11-22",
        "a\n",
        "a\n\n",
        "\na",
        "~",
        "=",
        "<<",
        "\x85",
        "\u2028",
    ]
)


@settings(deadline=None, max_examples=60)
@given(
    st.dictionaries(
        texts,
        texts | st.integers() | st.booleans() | st.lists(texts | st.dictionaries(texts, texts, min_size=1), max_size=3),
        min_size=1,
    )
)
def test_any_text_arrives_through_yaml_as_it_is(tree: dict[str, Any]) -> None:
    assert list(yaml.safe_load_all(documents([tree, tree], "a comment\nof two lines"))) == [tree, tree]
