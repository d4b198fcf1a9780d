"""Files that a person changed: what still can be read is read, and the rest is said clearly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from kimi_backend.errors import BackendError
from kimi_backend.render import Target, read_back, render
from render_plans import PLANS, site_of

Edit = Callable[[str], str]


def swap(old: str, new: str) -> Edit:
    def edit(text: str) -> str:
        assert old in text, f"{old!r} does not stand in the file"
        return text.replace(old, new)

    return edit


def edited(plan: str, target: Target, edit: Edit, *, only: str = "") -> dict[str, str]:
    files = render(PLANS[plan], site_of(plan), target).files
    return {name: edit(text) if only in name else text for name, text in files.items()}


@pytest.mark.parametrize(
    ("target", "edit"),
    [
        ("commands", swap("--context-length 131072", "--context-length=65536")),
        ("commands", swap("--context-length 131072", '--context-length "65536"')),
        ("slurm", swap("--context-length 131072", "--context-length 65536")),
        ("slurm", swap("    --context-length 131072", "    # shorter\n    --context-length 65536")),
        ("kubernetes", swap('"131072"', "'65536'")),
        ("compose", swap('"131072"', "'65536'")),
        ("systemd", swap('"131072"', "65536")),
        ("systemd", swap('"131072" \\', "# shorter\n '65536' \\")),
    ],
)
def test_a_changed_value_is_read(target: Target, edit: Edit) -> None:
    read = read_back(target, edited("sglang-tp16", target, edit))
    assert read.instances == (replace(PLANS["sglang-tp16"][0], context=65536),)


@pytest.mark.parametrize(
    ("target", "edit", "message"),
    [
        ("commands", swap("--tp-size 16", "--tp-size $TP"), r"node0.sh, line 14.*more than kimi-backend reads back"),
        ("commands", swap("--tp-size 16", "--tp-size $(nproc)"), "more than kimi-backend reads back"),
        ("commands", swap("--tp-size 16", "--tp-size 16 | tee log"), "more than kimi-backend reads back"),
        ("commands", swap("--tp-size 16", "--tp-size '16"), "not closed"),
        ("commands", swap("--tp-size 16", "--tp-size 16 # all"), "comment must stand on a line of its own"),
        ("commands", swap("  --tp-size 16 \\", "  # --tp-size 16 \\"), "comment"),
        ("commands", swap("exec python3", "sleep 5\nexec python3"), "line .*no export and no exec"),
        ("commands", swap("exec python3", "nohup python3"), "no export and no exec"),
        ("commands", swap("--port 30000", "--port 30000\ndate"), "nothing may follow"),
        ("commands", swap("--tp-size 16", "--tp-size 15"), "15"),
        ("commands", swap("--tp-size 16", "--tp-size 16 --enable-ep-moe"), "enable-ep-moe"),
        ("slurm", swap("--gpus-per-node=8", "--gpus-per-node=4"), "given 4 GPUs, its command needs 8"),
        ("slurm", swap("srun --nodes=2", "srun --nodes=3"), "2 nodes"),
        ("slurm", swap('"$rank"', '"$SLURM_NODEID"'), "SLURM_NODEID"),
        ("slurm", swap("; serve", "; other"), "no srun line"),
        ("kubernetes", swap("size: 2", "size: 3"), "2 nodes"),
        ("kubernetes", swap("size: 2", "size: two"), r"kimi-k2.yaml: spec.leaderWorkerTemplate.size: .*integer"),
        ("kubernetes", swap('nvidia.com/gpu: "8"', 'nvidia.com/gpu: "4"'), "given 4 GPUs"),
        ("kubernetes", swap("kind: LeaderWorkerSet", "kind: StatefulSet"), "no LeaderWorkerSet"),
        ("kubernetes", swap("spec:", "spec: ["), "is no YAML"),
        ("compose", swap("--tp-size", "--tpp-size"), "tpp-size"),
        ("compose", swap("kimi_k2", "${PARSER}"), r"begins a variable of Compose"),
        ("compose", swap("count: 8", "count: all"), r"count: .*integer"),
        ("compose", swap("engine:", "motor:"), "services.engine"),
        ("systemd", swap("ExecStart=", "ExecStart=/bin/true\nExecStart="), "one ExecStart"),
        ("systemd", swap('"16"', "%i"), "specifier"),
        ("systemd", swap('"16"', "${TP}"), "only systemd knows"),
    ],
)
def test_what_cannot_be_read_is_said(target: Target, edit: Edit, message: str) -> None:
    with pytest.raises(BackendError, match=message):
        read_back(target, edited("sglang-tp16", target, edit))


@pytest.mark.parametrize(
    ("target", "name"), [("commands", "node1.sh"), ("compose", "node1.compose.yaml"), ("systemd", "node1.service")]
)
def test_one_node_changed_alone_is_found(target: Target, name: str) -> None:
    with pytest.raises(BackendError, match=r"mem.fraction"):
        read_back(target, edited("sglang-tp16", target, swap("0.90", "0.80"), only=name))


def test_a_node_whose_file_is_missing_is_named() -> None:
    files = dict(render(PLANS["vllm-dp32-four-nodes"], site_of("vllm-dp32-four-nodes"), "commands").files)
    del files["node2.sh"]
    with pytest.raises(BackendError, match="file of node 2 is missing"):
        read_back("commands", files)
    with pytest.raises(BackendError, match="no file of a node"):
        read_back("compose", files)


def test_instances_without_their_router_are_found() -> None:
    files = dict(render(PLANS["sglang-replicas"], site_of("sglang-replicas"), "systemd").files)
    del files["router.service"]
    with pytest.raises(BackendError, match="no router"):
        read_back("systemd", files)


def test_nothing_of_a_file_is_ever_made_or_run() -> None:
    files = {"kimi-k2.yaml": "kind: !!python/object/apply:os.system ['touch mark']\n"}
    with pytest.raises(BackendError, match="is no YAML"):
        read_back("kubernetes", files)
