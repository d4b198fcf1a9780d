"""The scripts run for real, with programs on the PATH that note how they were started."""

from __future__ import annotations

import json
import shutil
import stat
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from kimi_backend.engines import engine
from kimi_backend.engines.vllm import DRAIN_SECONDS
from kimi_backend.launch import Invocation, Node
from kimi_backend.render import Options, Rendered, Target, render, write
from kimi_backend.render.bash import read_words, write_literal
from render_plans import COMBINATIONS, NASTY, PLANS, launch, site_of

KEY = "sk-Test.key~1/2+3=="
FAKE = r"""#!/usr/bin/env python3
import json, os, sys
files = [word for flag, word in zip(sys.argv, sys.argv[1:]) if flag == "--config" and os.path.isabs(word)]
seen = {
    "argv": [os.path.basename(sys.argv[0]), *sys.argv[1:]],
    "env": dict(os.environ),
    "cwd": os.getcwd(),
    "configs": [open(file).read() for file in files],
    "folders": [os.path.dirname(file) for file in files],
    "modes": [os.stat(os.path.dirname(file)).st_mode & 0o777 for file in files],
}
with open(os.environ["SEEN"], "a") as file:
    file.write(json.dumps(seen) + "\n")
"""


@dataclass(frozen=True)
class Machine:
    """A folder with fake programs, and what they noted."""

    folder: Path

    def run(self, command: Sequence[str | Path], **env: str) -> list[dict]:
        seen = self.folder / "seen"
        seen.unlink(missing_ok=True)
        path = f"{self.folder / 'bin'}:/usr/bin:/bin"
        done = subprocess.run(
            command, env={"PATH": path, "SEEN": str(seen), **env}, capture_output=True, text=True, check=False, cwd=self.folder
        )
        assert done.returncode == 0, done.stderr
        assert not (self.folder / "MARK").exists(), "a path was run as a command"
        return [json.loads(line) for line in seen.read_text().splitlines()]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    (tmp_path / "bin").mkdir()
    for name in ("python3", "vllm", "trtllm-serve", "trtllm-llmapi-launch", "mpirun"):
        program = tmp_path / "bin" / name
        program.write_text(FAKE.replace("#!/usr/bin/env python3", f"#!{sys.executable} -I"))
        program.chmod(0o755)
    return Machine(tmp_path)


def wanted(plan: str, model_path: str = NASTY) -> list[Invocation]:
    """What the engines themselves say that each node of a plan with one instance runs."""
    (one,) = PLANS[plan]
    site = site_of(plan, model_path=model_path)
    nodes = [Node(rank=str(rank), head="10.0.0.1", is_head=rank == 0) for rank in range(one.nodes)]
    return [engine(one.engine).invocation(one, site, node) for node in nodes]


def written(rendered: Rendered, folder: Path) -> Path:
    write(rendered, folder)
    return folder


ALONE = [plan for plan, launches in PLANS.items() if len(launches) == 1]


@pytest.mark.parametrize(("plan", "target"), [(plan, target) for plan, target in COMBINATIONS if target in ("commands", "slurm")])
def test_bash_accepts_the_script(plan: str, target: Target, tmp_path: Path) -> None:
    written(render(PLANS[plan], site_of(plan, model_path=NASTY), target), tmp_path)
    scripts = [path for path in tmp_path.iterdir() if path.suffix in (".sh", ".sbatch")]
    assert scripts
    done = subprocess.run(["bash", "-n", *scripts], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("plan", [plan for plan in ALONE if plan != "tensorrt-llm-world"])
def test_each_nodes_script_starts_what_the_engine_says(plan: str, machine: Machine) -> None:
    folder = written(
        render(PLANS[plan], site_of(plan, model_path=NASTY), "commands", Options(drain_seconds=DRAIN_SECONDS)),
        machine.folder / "plan",
    )
    for rank, invocation in enumerate(wanted(plan)):
        (seen,) = machine.run([folder / f"node{rank}.sh"])
        assert seen["argv"] == list(invocation.argv)
        assert invocation.env.items() <= seen["env"].items()
        assert Path(seen["cwd"]) == (folder if invocation.files else machine.folder)
        assert all((folder / name).read_text() == text for name, text in invocation.files.items())


def test_an_mpi_world_is_started_from_its_head(machine: Machine) -> None:
    rendered = render(PLANS["tensorrt-llm-world"], site_of("tensorrt-llm-world", model_path=NASTY), "commands")
    assert [name for name in rendered.files if name.endswith(".sh")] == ["node0.sh"]
    (seen,) = machine.run([written(rendered, machine.folder / "plan") / "node0.sh"])
    argv, (invocation, _) = seen["argv"], wanted("tensorrt-llm-world")
    assert argv[:5] == ["mpirun", "-np", "16", "--host", "10.0.0.1:8,10.0.0.2:8"]
    assert argv[-len(invocation.argv) :] == list(invocation.argv)
    assert {argv[at + 1] for at, word in enumerate(argv) if word == "-x"} == set(invocation.env)


@pytest.mark.parametrize("plan", ["sglang-tp16", "vllm-tp8-pp2-dcp8", "ktransformers"])
def test_the_key_reaches_the_head_and_stands_in_no_command_line(plan: str, machine: Machine) -> None:
    key = machine.folder / "the key"
    key.write_text(KEY + "\n")
    rendered = render(PLANS[plan], site_of(plan, key=str(key)), "commands")
    assert all(KEY not in text for text in rendered.files.values())
    folder = written(rendered, machine.folder / "plan")
    (seen,) = machine.run([folder / "node0.sh"])
    assert not any(KEY in word for word in seen["argv"])
    if plan.startswith("vllm"):
        assert seen["env"]["VLLM_API_KEY"] == KEY
    else:
        assert seen["configs"] == [f'api-key: "{KEY}"\n']
        assert seen["modes"] == [stat.S_IRWXU]
        shutil.rmtree(seen["folders"][0])
    if (folder / "node1.sh").exists():
        (other,) = machine.run([folder / "node1.sh"])
        assert KEY not in json.dumps(other)


def test_a_key_that_could_be_more_than_a_key_stops_the_start(machine: Machine) -> None:
    key = machine.folder / "key"
    key.write_text('x"\nadmin-api-key: "y')
    folder = written(
        render(PLANS["sglang-one-node"], site_of("sglang-one-node", key=str(key)), "commands"), machine.folder / "plan"
    )
    done = subprocess.run([folder / "node0.sh"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "must be one word" in done.stderr


def test_the_router_is_told_the_heads_and_reads_the_key_itself(machine: Machine) -> None:
    key = machine.folder / "key"
    key.write_text(KEY)
    rendered = render(PLANS["sglang-prefill-decode"], site_of("sglang-prefill-decode", key=str(key)), "commands")
    folder = written(rendered, machine.folder / "plan")
    (seen,) = machine.run([folder / "router.sh"])
    argv = seen["argv"]
    assert argv[argv.index("--prefill") :][:3] == ["--prefill", "http://10.0.0.1:30000", "8998"]
    assert argv[argv.index("--decode") :][:2] == ["--decode", "http://10.0.0.3:30000"]
    assert not any(KEY in word for word in argv)
    # The program that adds the key, run by a real Python with a module of the router's name that notes its arguments.
    package = machine.folder / "sglang_router"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "launch_router.py").write_text("import json, sys\nprint(json.dumps(sys.argv[1:]))\n")
    done = subprocess.run([sys.executable, *argv[1:]], cwd=machine.folder, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)[-2:] == ["--api-key", KEY]


def test_engines_behind_a_router_listen_where_the_router_comes_from(machine: Machine) -> None:
    folder = written(render(PLANS["sglang-replicas"], site_of("sglang-replicas"), "commands"), machine.folder / "plan")
    hosts = []
    for name in ("replica-0-node0.sh", "replica-1-node0.sh", "router.sh"):
        (seen,) = machine.run([folder / name])
        hosts.append(seen["argv"][seen["argv"].index("--host") + 1])
    assert hosts == ["10.0.0.1", "10.0.0.2", "127.0.0.1"]


CLASSICS = [
    "it's",
    "'",
    "''",
    "a'b\"c",
    "$(id)",
    "`id`",
    "$HOME",
    "",
    "!",
    "~",
    "*",
    "a b",
    "\\",
    "\\'",
    "#",
    "-n",
    "a\nb'c",
    "\t",
    "{a,b}",
    "é",
    "a=b",
    ";",
]


@settings(deadline=None, max_examples=20)
@example(CLASSICS)
@given(st.lists(st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0")), min_size=1, max_size=40))
def test_any_text_is_one_literal_word_of_bash(texts: list[str]) -> None:
    line = " ".join(write_literal(text) for text in texts)
    assert "\n" not in line
    done = subprocess.run(["bash", "-c", f"printf '%s\\0' {line}"], capture_output=True, check=True, env={"LC_ALL": "C.UTF-8"})
    assert done.stdout.decode().split("\0")[:-1] == texts
    assert read_words(line, {}) == texts


def test_hosts_of_ipv6_stand_in_brackets_in_urls(machine: Machine) -> None:
    site = replace(site_of("sglang-replicas"), addresses=("fd00::1", "fd00::2"))
    folder = written(render(PLANS["sglang-replicas"], site, "commands"), machine.folder / "plan")
    (seen,) = machine.run([folder / "router.sh"])
    assert {"http://[fd00::1]:30000", "http://[fd00::2]:30000"} <= set(seen["argv"])


def test_one_node_needs_no_address() -> None:
    site = replace(site_of("sglang-one-node"), addresses=())
    assert "bash kimi-k2/node0.sh" in render([launch(nodes=1, tp=8)], site, "commands").files["node0.sh"]
