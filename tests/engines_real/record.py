"""Writes what the engines' own parsers say to chosen and random command lines; the fast tests compare our reading with it.

`python tests/engines_real/record.py ENVIRONMENTS_FOLDER` makes `tests/kimi_backend/flags/recorded/*.json` again.
"""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

from differential import answers, commands
from kimi_backend.engines.flags import Snapshot, load

RECORDED = Path(__file__).parent.parent / "kimi_backend" / "flags" / "recorded"
ENVIRONMENTS = {
    ("sglang", "0.5.23"): "sglang",
    ("sglang-kt", "0.7.2"): "sglang-kt",
    ("sglang-router", "0.3.2"): "sglang-router",
    ("vllm", "0.32.0"): "vllm",
    ("vllm", "0.33.0"): "vllm-0.33",
}
SGLANG = (
    "--model-path /m --tp 16 --nnodes 2 --node-rank 0 --dist-init-addr a:20000 --tool-call-parser kimi_k2",
    "--model-path /m --tp 16 --dp 16 --enable-dp-attention --moe-a2a-backend deepep --deepep-mode auto",
    "--model-path /m --context-length 128Ki --kv-cache-dtype fp8_e4m3 --mem-fraction-static .85",
    "--model-path /m --enable-ep-moe",
    "--model-path /m --enable-deepep-moe",
    "--model-path /m --tool-call-parser kimi_k22",
    "--model-path /m --cuda-graph-max-bs 8",
    "--tp-size 16",
    "--model-path /m -- x",
    "--model-path=/m --tp-size=-1",
)
VLLM = (
    "/m -tp 16 --nnodes 2 --node-rank 1 --headless --master-addr a --tool-call-parser kimi_k2 --enable-auto-tool-choice",
    "/m --data-parallel-size 16 --data-parallel-size-local 8 --data-parallel-address a --data-parallel-rpc-port 9 -ep",
    "/m --max-model-len 65536 --kv-cache-dtype fp8 -dcp 8 --max-num-seqs 1 --served-model-name a b",
    "/m --max_model_len auto --compilation-config.mode 3 -O3",
    "/m --disable-log-requests",
    "/m --tpp 4",
    "--served-model-name k /m",
    "--served-model-name k --model /m",
    "--port 1 /m",
    "/m --max-num-batched-tokens 8k --max-num-batched-tokens 1.5K",
    "/m /n",
    "/m --task generate",
)
CHOSEN = {
    "sglang": SGLANG,
    "sglang-kt": SGLANG,
    "vllm": VLLM,
    "sglang-router": ("--worker-urls a b --policy cache_aware", "--prefill a 1"),
}


def record(snapshot: Snapshot, python: str) -> str:
    """A line for each command line: what the engine says, and the values that the command line itself names."""
    argvs = [*(shlex.split(line) for line in CHOSEN[snapshot.engine]), *commands(snapshot, 120, 2026)]
    lines: list[str] = []
    for argv, said in zip(argvs, answers(snapshot.engine, python, argvs), strict=True):
        given = {use for use in said.get("values", {}) if _named(snapshot, use, argv)}
        lines.append(
            json.dumps({"argv": argv, "accepted": said["accepted"], "values": {k: said["values"][k] for k in sorted(given)}})
        )
    return "[\n" + ",\n".join(lines) + "\n]\n"


def _named(snapshot: Snapshot, dest: str, argv: list[str]) -> bool:
    """Whether an option may be named there; what has no JSON form is left out."""
    option = snapshot.option(dest)
    if option is None or (option.type or "").startswith("json-numbers"):
        return False
    starts = [word.replace("_", "-").partition("=")[0].partition(".")[0] for word in argv if word.startswith("-")]
    return not option.flags or any(flag.startswith(start) for flag in option.flags for start in starts if start.strip("-"))


def main(environments: Path) -> None:
    """Records every engine."""
    RECORDED.mkdir(exist_ok=True)
    for (engine, version), name in ENVIRONMENTS.items():
        text = record(load(engine, version), str(environments / name / "bin" / "python"))
        (RECORDED / f"{engine}-{version}.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
