"""The Slurm script run for real, with an srun that starts each task as Slurm would, and engines that note how they were started."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from kimi_backend.engines import engine
from kimi_backend.engines.vllm import DRAIN_SECONDS
from kimi_backend.launch import Node
from kimi_backend.render import Options, RenderError, render, write
from render_plans import NASTY, PLANS, launch, site_of

SRUN = r"""#!python3 -I
import os, subprocess, sys
words = [word for word in sys.argv[1:] if word.startswith("--")]
options = dict(word[2:].partition("=")[::2] for word in words)
command = sys.argv[1 + len(words):]
every = os.environ["SLURM_JOB_NODELIST"].split(",")
nodes = options["nodelist"].split(",") if "nodelist" in options else every[: int(options["nodes"])]
assert len(nodes) == int(options["nodes"]), (nodes, options)
per = int(options["ntasks-per-node"])
assert int(options["ntasks"]) == per * len(nodes)
def task(at):
    own = {"SLURM_PROCID": str(at), "SLURM_NODEID": str(at // per), "SLURMD_NODENAME": nodes[at // per]}
    return subprocess.Popen(command, env={**os.environ, **own})
tasks = [task(at) for at in range(per * len(nodes))]
codes = [task.wait() for task in tasks]
with open(os.environ["SEEN"] + ".srun", "a") as file:
    file.write(repr(options) + "\n")
sys.exit(max(codes))
"""
SCONTROL = """#!/bin/bash
case "$1 $2" in
  "show hostnames") tr , '\\n' <<< "$3" ;;
  "show node") echo "NodeName=$3 Arch=x86_64 NodeAddr=10.1.0.${3#n} NodeHostName=$3 Version=24" ;;
esac
"""
GETENT = '#!/bin/bash\n[[ $2 == n1 ]] && echo "127.0.1.1 STREAM n1"; [[ $2 == n3 ]] && echo "10.9.9.3 STREAM n3"; exit 2\n'
ENGINE = r"""#!python3 -I
import json, os, sys, time
seen = {"argv": [os.path.basename(sys.argv[0]), *sys.argv[1:]], "env": dict(os.environ)}
with open(os.environ["SEEN"], "a") as file:
    file.write(json.dumps(seen) + "\n")
# The job ends with the first that ends, so all must have started by then.
deadline = time.monotonic() + 20
while len(open(os.environ["SEEN"]).readlines()) < int(os.environ["TASKS"]) and time.monotonic() < deadline:
    time.sleep(0.02)
"""


@pytest.fixture
def cluster(tmp_path: Path) -> Path:
    (tmp_path / "bin").mkdir()
    programs = {
        "srun": SRUN,
        "scontrol": SCONTROL,
        "getent": GETENT,
        "python3": ENGINE,
        "vllm": ENGINE,
        "trtllm-llmapi-launch": ENGINE,
    }
    for name, text in programs.items():
        (tmp_path / "bin" / name).write_text(text.replace("#!python3", f"#!{sys.executable}", 1))
        (tmp_path / "bin" / name).chmod(0o755)
    return tmp_path


def submit(cluster: Path, plan: str, key: str | None = None) -> list[dict]:
    """What the tasks saw, by node and task."""
    options = Options(drain_seconds=DRAIN_SECONDS)
    write(render(PLANS[plan], site_of(plan, model_path=NASTY, key=key), "slurm", options), cluster / "job")
    nodes = ",".join(f"n{at + 1}" for at in range(sum(one.nodes for one in PLANS[plan])))
    env = {"PATH": f"{cluster / 'bin'}:/usr/bin:/bin", "SEEN": str(cluster / "seen"), "SLURM_JOB_NODELIST": nodes}
    # As Slurm's batch step: it is task 0 on the first node, which is what an unescaped variable would name on every node.
    env |= {"SLURM_PROCID": "0", "SLURM_NODEID": "0"}
    tasks = sum(one.nodes * (one.gpus_per_node if plan == "tensorrt-llm-world" else 1) for one in PLANS[plan])
    env["TASKS"] = str(tasks + (len(PLANS[plan]) > 1))
    done = subprocess.run(
        ["bash", "job/kimi-k2.sbatch"], cwd=cluster, env=env, capture_output=True, text=True, check=False, timeout=50
    )
    assert done.returncode == 0, done.stderr
    assert not (cluster / "MARK").exists()
    return [json.loads(line) for line in (cluster / "seen").read_text().splitlines()]


SLOW = [pytest.param(plan, marks=pytest.mark.slow) for plan in ("vllm-tp8-pp2-dcp8", "vllm-dp32-four-nodes", "ktransformers")]


@pytest.mark.parametrize("plan", ["sglang-tp16", *SLOW])
def test_each_task_starts_its_own_rank(plan: str, cluster: Path) -> None:
    (one,) = PLANS[plan]
    site = site_of(plan, model_path=NASTY)
    # n1 resolves to loopback on itself, as on Debian; Slurm's own address of it is taken instead.
    nodes = [Node(rank=str(rank), head="10.1.0.1", is_head=rank == 0) for rank in range(one.nodes)]
    expected = [engine(one.engine).invocation(one, site, node) for node in nodes]
    seen = {task["env"]["SLURMD_NODENAME"]: task for task in submit(cluster, plan)}
    assert [seen[f"n{rank + 1}"]["argv"] for rank in range(one.nodes)] == [list(invocation.argv) for invocation in expected]
    for rank, invocation in enumerate(expected):
        assert invocation.env.items() <= seen[f"n{rank + 1}"]["env"].items()


def test_both_sides_of_a_disaggregation_get_nodes_of_their_own(cluster: Path) -> None:
    seen = submit(cluster, "sglang-prefill-decode")
    engines = {task["env"]["SLURMD_NODENAME"]: task["argv"] for task in seen if "sglang.launch_server" in task["argv"]}
    assert {name: argv[argv.index("--disaggregation-mode") + 1] for name, argv in engines.items()} == {
        "n1": "prefill", "n2": "prefill", "n3": "decode", "n4": "decode",
    }  # fmt: skip
    assert [engines[name][engines[name].index("--node-rank") + 1] for name in ("n1", "n2", "n3", "n4")] == ["0", "1", "0", "1"]
    assert engines["n2"][engines["n2"].index("--dist-init-addr") + 1] == "10.1.0.1:20000"
    assert engines["n4"][engines["n4"].index("--dist-init-addr") + 1] == "10.9.9.3:20000"
    assert engines["n3"][engines["n3"].index("--host") + 1] == "10.9.9.3"
    (router,) = [task["argv"] for task in seen if "sglang_router.launch_router" in task["argv"]]
    assert router[router.index("--prefill") + 1] == "http://10.1.0.1:30000"
    assert router[router.index("--decode") + 1] == "http://10.9.9.3:30000"


@pytest.mark.slow
def test_the_key_is_read_on_the_head_only(cluster: Path) -> None:
    (cluster / "key").write_text("sk-1")
    seen = {task["env"]["SLURMD_NODENAME"]: task for task in submit(cluster, "vllm-tp8-pp2-dcp8", str(cluster / "key"))}
    assert seen["n1"]["env"]["VLLM_API_KEY"] == "sk-1"
    assert "sk-1" not in json.dumps(seen["n2"])


@pytest.mark.slow
def test_an_mpi_world_has_a_task_per_gpu(cluster: Path) -> None:
    seen = submit(cluster, "tensorrt-llm-world")
    assert len(seen) == 16
    assert len({tuple(task["argv"]) for task in seen}) == 1
    options = (cluster / "seen.srun").read_text()
    assert "'mpi': 'pmix'" in options
    assert "'kill-on-bad-exit': '1'" in options


def test_only_the_head_heeds_the_signal_to_drain(tmp_path: Path) -> None:
    """The other nodes must compute on until the head has ended its requests: Slurm signals the tasks, not what they started."""
    text = render(PLANS["sglang-tp16"], site_of("sglang-tp16"), "slurm").files["kimi-k2.sbatch"]
    body = text[text.index("serve() {") : text.index("\n}\n") + 3]
    (tmp_path / "python3").write_text(
        '#!/bin/bash\ntrap "echo drained; exit 0" TERM\necho up\nfor _ in {1..20}; do sleep 0.02; done\necho full\n'
    )
    (tmp_path / "python3").chmod(0o755)
    said = {}
    for rank in ("0", "1"):
        env = {"PATH": f"{tmp_path}:/usr/bin:/bin", "SLURM_PROCID": rank, "head": "10.0.0.1"}
        task = subprocess.Popen(["bash", "-c", f"{body}serve"], env=env, stdout=subprocess.PIPE, text=True)
        assert task.stdout
        assert task.stdout.readline() == "up\n"
        os.kill(task.pid, 15)
        said[rank] = (task.communicate(timeout=20)[0], task.returncode)
    assert said == {"0": ("drained\n", 0), "1": ("full\n", 0)}


def test_directives_say_what_the_plan_needs() -> None:
    lines = render(PLANS["sglang-tp16"], site_of("sglang-tp16"), "slurm").files["kimi-k2.sbatch"].splitlines()
    directives = {line.removeprefix("#SBATCH ") for line in lines if line.startswith("#SBATCH")}
    assert {"--nodes=2", "--ntasks-per-node=1", "--gpus-per-node=8", "--exclusive", "--signal=TERM@360"} <= directives
    first = next(at for at, line in enumerate(lines) if not line.startswith("#"))
    assert all(not line.startswith("#SBATCH") for line in lines[first:]), "sbatch reads no directive after the first command"


def test_unlike_instances_need_jobs_of_their_own() -> None:
    plan = [launch(nodes=1, tp=8), launch(nodes=1, tp=4, gpus=4)]
    with pytest.raises(RenderError, match="different numbers of GPUs"):
        render(plan, site_of("sglang-replicas"), "slurm")
