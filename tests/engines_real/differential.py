"""Random command lines, good and spoiled, read by our checker and by the engine's own parser: do both say the same?

`python tests/engines_real/differential.py ENGINE VERSION ENVIRONMENT_PYTHON [COUNT] [SEED]` prints each difference.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from kimi_backend.engines.flags import Option, Snapshot, load

ACCEPTS = Path(__file__).with_name("accepts.py")
GOOD = {
    "str": ["x", "a b", "/p/q.json", "", "1", "é$(x)"],
    "int": ["0", "7", "-3", " 5", "1_000"],
    "float": ["0.5", "1", "-0.25", "1e3", "nan"],
    "json": ["{}", "[1, 2]", "null", '{"a": {"b": 1}}', "3"],
    "json-object": ["{}"],
    "json-or-str": ['{"a": 1}', "x", " {} "],
    "int-si": ["131072", "128Ki", "1.5k", "2M"],
    "int-suffix": ["8192", "8k", "8K", "1.5m"],
    "int-suffix-auto": ["auto", "-1", "128K", "AUTO"],
    "lower-underscore": ["x"],
    "ids": ["0,1", "GPU-a, 2"],
    "str-none": ["None", "x"],
}
BAD = {
    "int": ["x", "1.5", "", "0x10"],
    "float": ["x", ""],
    "json": ["{", "x", ""],
    "json-object": ["[", "[]"],
    "json-numbers": ["{", "[]", '{"no_such_key_at_all": 1}'],
    "json-or-str": ["{x}"],
    "int-si": ["8K", "1.5Ki", "x"],
    "int-suffix": ["1.5K", "x", "8Ki"],
    "int-suffix-auto": ["x"],
}


def values(option: Option, pick: random.Random, good: bool) -> list[str]:
    """Words for an option; [] where it takes none or no such words are known."""
    if not option.takes_words:
        return []
    kind = (option.type or "str").removesuffix("?")
    if option.choices is not None and good:
        pool = [str(c) for c in option.choices if c is not None]
    elif option.choices is not None:
        pool = ["no-such-choice"]
    else:
        pool = (GOOD if good else BAD).get(kind, [])
    many = option.nargs if isinstance(option.nargs, int) else pick.choice([1, 1, 3]) if option.nargs in ("+", "*") else 1
    return [pick.choice(pool) for _ in range(many)] if pool else []


def spelled(snapshot: Snapshot, option: Option, words: list[str], pick: random.Random) -> list[str]:
    """An option as a person may write it: any spelling, shortened, with `=`, with underscores, as keys of its JSON."""
    flag = pick.choice(option.flags)
    if pick.random() < 0.2 and flag.startswith("--"):
        flag = flag[: pick.randint(4, len(flag))]
    if snapshot.table.parser == "flexible" and pick.random() < 0.3 and flag.startswith("--"):
        flag = "--" + flag[2:].replace("-", "_")
    dotted = snapshot.table.parser == "flexible" and option.type in ("json", "json?") and len(words) == 1
    if dotted and pick.random() < 0.7:
        return [f"{flag}.a.b", pick.choice(["1", "x", "2k", '"q"']), f"{flag}.a.c+={pick.choice(['u,v', 'w'])}"]
    if len(words) == 1 and pick.random() < 0.4:
        return [f"{flag}={words[0]}"]
    return [flag, *words]


def command(snapshot: Snapshot, pick: random.Random) -> list[str]:
    """One command line, spoiled in a third of the cases."""
    unread = ("help", "config", "lora_modules", "lora_paths")  # vLLM opens the file of --config
    usable = [o for o in snapshot.options if o.flags and o.dest not in unread]
    parts = [["--model-path", "/m"]] if snapshot.option("--model-path") else []
    for option in pick.sample(usable, pick.randint(1, 6)):
        words = values(option, pick, good=True)
        if words or not option.takes_words:
            parts.append(spelled(snapshot, option, words, pick))
    if pick.random() < 0.35:
        parts.append(spoiled(snapshot, pick.choice(usable), pick))
    pick.shuffle(parts)
    model = ["/m"] if snapshot.engine == "vllm" and pick.random() < 0.9 else []
    return [*model, *(word for part in parts for word in part)]


def spoiled(snapshot: Snapshot, option: Option, pick: random.Random) -> list[str]:
    """Something wrong, or at least unusual."""
    flag = pick.choice(option.flags)
    ways: list[Callable[[], list[str]]] = [
        lambda: [flag, *values(option, pick, good=False)],
        lambda: [flag + pick.choice(["x", "-", "_y"]), *values(option, pick, good=True)],
        lambda: [flag],
        lambda: [flag, "two", "words"],
        lambda: [f"{flag}=x"],
        lambda: [flag[: pick.randint(3, 8)]],
        lambda: [pick.choice(["stray", "-", "-5", "-x", "--", "--model", "--model=/n", "-O3", "-O", "--served_model_name=k"])],
    ]
    return pick.choice(ways)()


def commands(snapshot: Snapshot, count: int, seed: int) -> list[list[str]]:
    """Seeded command lines."""
    pick = random.Random(seed)
    return [command(snapshot, pick) for _ in range(count)]


def answers(engine: str, python: str, argvs: Sequence[Sequence[str]], until: str = "parser", *more: str) -> list[dict[str, Any]]:
    """What the engine's own parser says."""
    run = [python, str(ACCEPTS), engine, "--until", until, *more]
    said = subprocess.run(run, input=json.dumps(argvs), capture_output=True, text=True)
    if said.returncode:
        raise SystemExit(said.stderr[-3000:])
    return [json.loads(line) for line in said.stdout.splitlines()]


def differences(snapshot: Snapshot, argv: list[str], real: dict[str, Any]) -> Iterator[str]:
    """Where our reading and the engine's part."""
    if "--config" in argv and snapshot.engine == "vllm":  # it opens that file at once
        return
    problems = [p for p in snapshot.check(argv) if p.severity == "error"]
    if help_asked := [p for p in problems if p.kind == "help"]:
        problems = [p for p in problems if p not in help_asked]
    needed = [p for p in problems if p.text.endswith("beside it.")]  # checked later than in the parser
    unregistered = [p for p in problems if " has no " in p.text and p.kind == "mistyped" and snapshot.engine in p.text]
    ours = [p for p in problems if p not in needed and p not in unregistered]
    if bool(ours) == real["accepted"] and not help_asked:
        yield f"{argv}\n  engine: {real.get('reason', 'accepts')}\n  ours: {[p.text for p in ours] or 'accepts'}"
    elif real["accepted"] and not problems:
        parsed = snapshot.parse(argv)
        for dest, value in real["values"].items():
            option = snapshot.option(dest)
            if option is None or dest not in parsed.given or (option.type or "").startswith("json-numbers"):
                continue
            if json.dumps(parsed[dest]) != json.dumps(value):
                yield f"{argv}\n  {dest}: engine {value!r}, ours {parsed[dest]!r}"


def main(engine: str, version: str, python: str, count: str = "1000", seed: str = "6") -> int:
    """The number of differences."""
    snapshot = load(engine, version)
    argvs = commands(snapshot, int(count), int(seed))
    said = answers(engine, python, argvs)
    found = [text for argv, real in zip(argvs, said, strict=True) for text in differences(snapshot, argv, real)]
    print("\n".join(found))
    accepted = sum(answer["accepted"] for answer in said)
    print(f"{engine} {version}: {len(argvs)} command lines, {accepted} accepted by the engine, {len(found)} differences")
    return len(found)


if __name__ == "__main__":
    sys.exit(bool(main(*sys.argv[1:])))
