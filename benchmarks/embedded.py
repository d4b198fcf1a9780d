"""Measures the embedded model: `python benchmarks/embedded.py [tasks bfcl latency memory start] [--model small] …`.

Prints one line per case as it goes (`-v`), a table, and the same as JSON on the last line. For timings, leave the
machine alone: the load average at start and end is part of the output.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, cast

sys.path.insert(0, str(Path(__file__).parent))

import embedded_bfcl
from embedded_harness import JsonObject, Play, drain
from embedded_tasks import TASKS
from embedded_tools import TOOLS, WORDS
from kimi_backend.embedded import Engine, cache_root, open_engine

MEASURES = ("start", "tasks", "latency", "memory", "bfcl")


def measure_tasks(engine: Engine, options: argparse.Namespace) -> JsonObject:
    """Whole turns over held-out tools: right calls and answers that carry the data."""
    rows: list[tuple[str, bool, bool, bool]] = []
    for seed in range(options.seed, options.seed + options.repeat):
        for task in TASKS:
            play = Play(task, TOOLS, WORDS, seed)
            verdict = play.run(engine)
            chinese = any("一" <= c <= "鿿" for turn in task["turns"] for c in turn["say"])
            rows.append((task["id"], chinese, verdict.calls, verdict.right))
            if options.verbose or not verdict.right:
                say("right" if verdict.right else "WRONG", f"{seed}/{task['id']}", verdict.why)
                say(*play.transcript, sep="\n    ")
    return {
        "cases": len(rows),
        "right": share([r[3] for r in rows]),
        "calls_right": share([r[2] for r in rows]),
        "right_english": share([r[3] for r in rows if not r[1]]),
        "right_chinese": share([r[3] for r in rows if r[1]]),
    }


def measure_bfcl(engine: Engine, options: argparse.Namespace) -> JsonObject:
    """BFCL, first decision only: one request per case, the answer in words cut short."""
    out: JsonObject = {}
    for kind in options.kinds.split(","):
        rows: list[tuple[bool, bool, bool]] = []
        seconds: list[float] = []
        for case in embedded_bfcl.cases(kind, options.cases, options.offset, cache_root()):
            start = time.perf_counter()
            answer = drain(engine.chat({"messages": case["messages"], "tools": case["tools"], "max_tokens": 1}))
            seconds.append(time.perf_counter() - start)
            for call in answer.calls:
                json.loads(call["function"]["arguments"])  # every arguments object parses, or the run ends here
            rows.append(embedded_bfcl.judge(case, answer.calls))
            if options.verbose:
                made = [c["function"] for c in answer.calls]
                say(kind, case["id"], rows[-1], f"{seconds[-1]:.1f}s", made, "" if rows[-1][1] else case["answer"])
        out[kind] = {"cases": len(rows), "seconds_median": round(statistics.median(seconds), 2)}
        names = ("abstains",) if kind == "irrelevance" else ("name", "required", "strict")
        out[kind] |= {name: share([row[i] for row in rows]) for i, name in enumerate(names)}
    return out


def measure_latency(engine: Engine, options: argparse.Namespace) -> JsonObject:
    """Whole turns (call, result, answer) with tools that the engine has seen, and the first token with fresh tools."""
    warm: list[float] = []
    fresh: list[float] = []
    single = [t for t in TASKS if len(t["turns"]) == 1 and len(t["turns"][0]["calls"]) == 1]
    for task in single[:: max(1, len(single) // options.turns)]:
        body = {"messages": [{"role": "user", "content": "?"}], "tools": [TOOLS[n]["schema"] for n in task["tools"]]}
        start = time.perf_counter()
        stream = engine.chat({**body, "max_tokens": 4})
        next(iter(stream))
        fresh.append(time.perf_counter() - start)
        drain(stream)
        Play(task, TOOLS, WORDS, options.seed + 100).run(engine)
        start = time.perf_counter()
        Play(task, TOOLS, WORDS, options.seed + 200).run(engine)
        warm.append(time.perf_counter() - start)
        if options.verbose:
            say(task["id"], f"fresh {fresh[-1]:.2f}s", f"warm {warm[-1]:.2f}s")
    return {
        "turns": len(warm),
        "warm_turn_median": round(statistics.median(warm), 2),
        "warm_turn_p95": round(sorted(warm)[int(0.95 * (len(warm) - 1) + 0.5)], 2),
        "new_tools_first_token_median": round(statistics.median(fresh), 2),
    }


def measure_memory(engine: Engine, options: argparse.Namespace) -> JsonObject:
    """Peak resident memory of this process, the engine included, after the measures before this one."""
    drain(engine.chat({"messages": [{"role": "user", "content": "hello " * 3000}], "max_tokens": 4}))
    return {"peak_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2)}


def measure_start(options: argparse.Namespace) -> JsonObject:
    """Seconds from a new process to a ready engine: the first time ever (prefix computed), and later."""
    code = f"from kimi_backend.embedded import open_engine; open_engine({options.model!r}).close()"
    seconds: list[float] = []
    for state in cache_root().glob("state/*.state"):
        state.unlink()
    for _ in range(3):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
        seconds.append(time.perf_counter() - start)
    return {"first": round(seconds[0], 1), "later": round(min(seconds[1:]), 1)}


def share(values: list[bool]) -> str:
    """`18/20 (90%)`."""
    return f"{sum(values)}/{len(values)} ({100 * sum(values) / max(1, len(values)):.0f}%)"


def say(*texts: object, sep: str = " ") -> None:
    print(*texts, sep=sep, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("measures", nargs="*", choices=[[], *MEASURES], help="default: all")
    parser.add_argument("--model", default="default")
    parser.add_argument("--seed", type=int, default=int(time.time()) % 100_000, help="default: a new one per run")
    parser.add_argument("--repeat", type=int, default=1, help="seeds per task")
    parser.add_argument("--cases", type=int, default=100, help="BFCL cases per kind")
    parser.add_argument("--offset", type=int, default=1, help="first BFCL row")
    parser.add_argument("--kinds", default=",".join(embedded_bfcl.KINDS), help="of BFCL")
    parser.add_argument("--turns", type=int, default=24, help="turns to time")
    parser.add_argument("--threads", type=int, default=None, help="default: all cores; 1 on a busy machine")
    parser.add_argument("-v", "--verbose", action="store_true")
    options = parser.parse_args()
    wanted = options.measures or list(MEASURES)
    figures: JsonObject = {"model": options.model, "seed": options.seed, "load_before": os.getloadavg()[0]}
    if "start" in wanted:
        figures["start"] = measure_start(options)
    runs: dict[str, Any] = {"tasks": measure_tasks, "latency": measure_latency, "memory": measure_memory, "bfcl": measure_bfcl}
    if any(name in wanted for name in runs):
        with open_engine(options.model, threads=options.threads) as engine:
            for name in runs:
                if name in wanted:
                    figures[name] = runs[name](engine, options)
    figures["load_after"] = os.getloadavg()[0]
    for name, value in figures.items():
        if isinstance(value, dict):
            say(f"{name}:")
            say(*(f"    {k:32} {v}" for k, v in cast(JsonObject, value).items()), sep="\n")
        else:
            say(f"{name:36} {value}")
    say(json.dumps(figures))


if __name__ == "__main__":
    main()
