"""Asks an engine's own parser: `ENVIRONMENT/bin/python accepts.py ENGINE < argvs.json`.

In: a JSON list of command lines, each a list of what follows the program's words. Out: a line of JSON for each,
`{"accepted": true, "values": {…}}` or `{"accepted": false, "reason": "…"}`. It runs in the engine's own environment, imports
nothing of ours but `snapshot.py`, and starts no server.

How far it goes is `--until`: `parser` is argparse alone, `checked` (the default) also what the engine checks before it loads
anything, `resolved` goes further than a parser can: vLLM builds its whole engine configuration at the wished layout, SGLang
resolves its server arguments; both read config.json and tokenizer of the folder `--model` in place of the model that the
command line names. None of this needs a GPU; sglang-kt alone cannot be asked further than `parser` without CUDA kernels.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import functools
import importlib
import io
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

FLAGS = Path(__file__).parents[2] / "local_backend" / "kimi_backend" / "engines" / "flags"


@dataclasses.dataclass
class Wish:
    """How far to go, and the folder whose config.json is read when it goes all the way."""

    until: str = "checked"
    model: str | None = None

    @property
    def checked(self) -> bool:
        return self.until != "parser"

    @property
    def resolved(self) -> bool:
        return self.until == "resolved"


@functools.cache
def sglang_parser() -> tuple[Any, argparse.ArgumentParser]:
    server_args = importlib.import_module("sglang.srt.server_args").ServerArgs
    parser = argparse.ArgumentParser(prog="sglang serve")
    server_args.add_cli_args(parser)
    return server_args, parser


def sglang(argv: list[str], wish: Wish) -> dict[str, Any]:
    """SGLang's and sglang-kt's own server arguments."""
    server_args, parser = sglang_parser()
    parsed = parser.parse_args(argv)
    if wish.checked:
        device = argparse.Namespace(**{**vars(parsed), "device": parsed.device or "cuda"})  # there is no GPU to find
        made = server_args.from_cli_args(device)
        if wish.resolved:
            made.model_path = wish.model
            made.resolve_once()
            made.check_server_args()
    return vars(parsed)


@functools.cache
def router_parser() -> tuple[Any, argparse.ArgumentParser]:
    arguments = importlib.import_module("sglang_router.router_args").RouterArgs
    parser = argparse.ArgumentParser()
    arguments.add_cli_args(parser, use_router_prefix=False)
    return arguments, parser


def router(argv: list[str], wish: Wish) -> dict[str, Any]:
    """The router's own arguments."""
    arguments, parser = router_parser()
    parsed = parser.parse_args(argv)
    if wish.checked:
        arguments.from_cli_args(parsed, use_router_prefix=False)
    return vars(parsed)


@functools.cache
def vllm_parser() -> tuple[Any, argparse.ArgumentParser]:
    module = importlib.import_module("snapshot").vllm_arguments()
    flexible = importlib.import_module("vllm.utils.argparse_utils").FlexibleArgumentParser
    parser = flexible(prog="vllm")
    module.make_arg_parser(parser.add_subparsers(dest="subparser").add_parser("serve"))
    return module, parser


def vllm(argv: list[str], wish: Wish) -> dict[str, Any]:
    """`vllm serve`, read as vLLM's own command line reads it."""
    module, parser = vllm_parser()
    parsed = parser.parse_args(["serve", *argv])
    values = dict(vars(parsed))
    if wish.checked:
        module.validate_parsed_serve_args(parsed)
    if wish.resolved:
        parsed.model = wish.model
        arguments = importlib.import_module("vllm.engine.arg_utils").AsyncEngineArgs.from_cli_args(parsed)
        arguments.create_engine_config()
    return values


ENGINES: dict[str, Callable[[list[str], Wish], dict[str, Any]]] = {
    "sglang": sglang,
    "sglang-kt": sglang,
    "sglang-router": router,
    "vllm": vllm,
}


def plain(value: Any) -> Any:
    """A value as JSON; the fields of an object, which is enough to compare."""
    if isinstance(value, bool | int | float | str | None):
        return value
    if isinstance(value, list | tuple):
        return [plain(item) for item in cast(list[Any], value)]
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in cast(dict[Any, Any], value).items()}
    return {"object": {f.name: plain(getattr(value, f.name, None)) for f in dataclasses.fields(value)}} if _made(value) else None


def _made(value: Any) -> bool:
    return dataclasses.is_dataclass(value) and not isinstance(value, type)


def ask(engine: str, argv: list[str], wish: Wish) -> dict[str, Any]:
    """What the engine says to one command line."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            values = ENGINES[engine](argv, wish)
    except SystemExit as stop:
        last = [line for line in said.getvalue().splitlines() if "error:" in line][-1:] or [f"exit {stop.code}"]
        return {"accepted": False, "reason": last[0]}
    except Exception as error:
        return {"accepted": False, "reason": f"{type(error).__name__}: {error}"[:2000]}
    return {"accepted": True, "values": {key: plain(value) for key, value in values.items()}}


def main() -> None:
    wanted = argparse.ArgumentParser(description=__doc__)
    wanted.add_argument("engine", choices=sorted(ENGINES))
    wanted.add_argument("--until", choices=["parser", "checked", "resolved"], default="checked")
    wanted.add_argument("--model", metavar="FOLDER")
    asked = wanted.parse_args()
    out = os.dup(1)
    os.dup2(2, 1)  # engines print while they are imported
    sys.path.insert(0, str(FLAGS))
    if asked.engine.startswith("sglang"):
        importlib.import_module("snapshot").stand_in_for_torchvision()
    with os.fdopen(out, "w", encoding="utf-8") as answers:
        for argv in json.load(sys.stdin):
            answers.write(json.dumps(ask(asked.engine, argv, Wish(asked.until, asked.model))) + "\n")


if __name__ == "__main__":
    main()
