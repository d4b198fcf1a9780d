"""Files of strangers: each is read or refused, soon and in words, and nothing in them goes by unread."""

from __future__ import annotations

import time

import pytest
from kimi_backend.errors import BackendError
from kimi_backend.render import Target, read_back, render
from render_plans import PLANS, site_of

pytest.importorskip("yaml")
N = 300_000


def of(target: Target) -> dict[str, str]:
    return dict(render(PLANS["sglang-tp16"], site_of("sglang-tp16", key="/etc/key"), target).files)


def refused(target: Target, files: dict[str, str]) -> str:
    started = time.monotonic()
    with pytest.raises(BackendError) as caught:
        read_back(target, files)
    assert time.monotonic() - started < 5
    return str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "[" * 1_500,
            "kind: 2001-99-99",
            "a: !!int x",
            "a: !!bool x",
            "a: !!timestamp x",
            "a: " + "9" * 5000,
            "\0",
            "? [a]\n: b",
        ),
        *("&a [*a]", "kind: LeaderWorkerSet\nmetadata: &a\n  name: *a", "<<: 5", "a: !!binary ====", "x"),
    ],
    ids=lambda text: text[:20],
)
def test_yaml_that_is_none(text: str) -> None:
    refused("kubernetes", {"k.yaml": text})
    refused("compose", {"node0.compose.yaml": text})
    files = dict(render(PLANS["tensorrt-llm-one-node"], site_of("tensorrt-llm-one-node"), "commands").files)
    assert "onfiguration file" in refused("commands", files | {"trtllm.yaml": text})


@pytest.mark.parametrize("body", ["a" * N, "%" * N, '"' + "a" * N, "$'" + "a" * N, "--x " * (N // 4), "a \\\n" * (N // 4)])
def test_long_lines_are_read_in_no_time(body: str) -> None:
    refused("commands", {"node0.sh": f"exec {body}"})
    refused("systemd", {"node0.service": f"[Service]\nExecStart={body}"})
    refused("commands", {"node0.sh": f"exec python3 -m sglang.launch_server --model-path m {body}"})
    refused("commands", {"node0.sh": f"exec vllm serve m --a{'.b' * 30_000}=c {body[:9]}"})


@pytest.mark.parametrize("text", ["head=$head srun --nodes=1 " * 12_000, "a() {\n" * 50_000, "command=(\n" * 30_000])
def test_long_scripts_are_read_in_no_time(text: str) -> None:
    refused("slurm", {"x.sbatch": text})


def test_a_number_in_a_file_does_not_decide_how_long_it_is_read() -> None:
    assert "file of node 1 is missing" in refused("commands", {"node0.sh": "", "node999999999.sh": ""})
    assert "size" in refused(
        "kubernetes", {name: text.replace("size: 2", "size: 2000000000") for name, text in of("kubernetes").items()}
    )
    (job,) = of("slurm").values()
    assert "nodes" in refused("slurm", {"x.sbatch": job.replace("--nodes=2", "--nodes=999999999")})


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("  command+=(--mem-fraction-static 0.5)\n  if ((rank > 0)); then", "no line of kimi-backend's"),
        ("  rank=0\n  if ((rank > 0)); then", "no line of kimi-backend's"),
        ("  curl example.org | sh\n  if ((rank > 0)); then", "no line of kimi-backend's"),
        ('  export PATH=$(id):"$PATH"\n  if ((rank > 0)); then', "more than kimi-backend reads back"),
        ("  export A=$(id) B=$api_key\n  if ((rank > 0)); then", "more than kimi-backend reads back"),
    ],
)
def test_no_line_of_a_job_goes_by_unread(line: str, words: str) -> None:
    (job,) = of("slurm").values()
    assert words in refused("slurm", {"x.sbatch": job.replace("  if ((rank > 0)); then", line)})


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("set -euo pipefail\n\n", "set -euo pipefail\nhead=10.0.0.9\n", "head=10.0.0.9"),
        ("#SBATCH --nodes=2", "#SBATCH --nodes=1", "asks for 1 nodes, and its srun lines use 2"),
        ('  echo "$found"\n', "  echo 10.0.0.9\n", "address_of was changed"),
        ("# A node's name", "serve() {\n}\n# A node's name", "twice"),
    ],
)
def test_what_the_job_does_outside_its_functions_counts(old: str, new: str, words: str) -> None:
    (job,) = of("slurm").values()
    assert old in job
    assert words in refused("slurm", {"x.sbatch": job.replace(old, new, 1)})


def test_modules_may_be_loaded() -> None:
    (job,) = of("slurm").values()
    edited = job.replace("set -euo pipefail\n\n", "set -euo pipefail\nmodule load cuda/12.9\n", 1)
    assert edited != job
    assert read_back("slurm", {"x.sbatch": edited}).instances == PLANS["sglang-tp16"]


@pytest.mark.parametrize(
    "line", ['export PATH=$(id):"$PATH"', "export A=$(id) B=$api_key", 'export A="$((rank))"', 'export A="$((9999999999 * rank))"']
)
def test_no_line_of_a_script_goes_by_unread(line: str) -> None:
    files = of("commands")
    refused("commands", files | {"node0.sh": files["node0.sh"].replace("set -euo pipefail", f"set -euo pipefail\n{line}")})


def test_messages_do_not_command_the_terminal() -> None:
    evil = "\x1b]0;owned\x07\x1b[2J"
    for body in (f"exec '{evil}", f"exec $({evil}", f"exec python3 -m sglang.launch_server --{evil} 1", f"exec {evil}"):
        assert "\x1b" not in refused("commands", {"node0.sh": body})
