"""Writes down the argument parser of an installed engine: `ENVIRONMENT/bin/python snapshot.py ENGINE > ENGINE-VERSION.json`.

It runs in the engine's own environment (`tests/engine_environments.py` makes one) and so imports the standard library and
that engine only. Facts are taken, help texts are not: they are the engine's authors' prose.

TensorRT-LLM cannot be imported without CUDA and MPI. Its options are read from its source without running it, by
`snapshot.py tensorrt-llm VERSION FOLDER [WHERE FROM]`, FOLDER being the package `tensorrt_llm` of that version.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import importlib
import importlib.metadata
import importlib.util
import json
import re
import sys
import types
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, cast

SUCCESSOR = re.compile(r"\b[Uu]se '?(--[\w{},=-]*[\w}](?: <[\w-]+>)?)")
DEPRECATED = re.compile(r"^\W*deprecated\b|\b(?:is|are|been) deprecated\b", re.IGNORECASE)
PLAIN: dict[Any, str] = {str: "str", int: "int", float: "float", json.loads: "json", None: "str"}
# How each function that an engine converts a value with is called in a snapshot; values.py does the same by that name.
NAMED = {
    "human_readable_int_or_auto": "int-suffix-auto",
    "json_list_type": "json",
    "nullable_str": "str?",
    "parse_cuda_graph_backend_arg": "str",
    "parse_cuda_graph_config_arg": "json-object",
    "parse_dataclass": "json-numbers",
    "parse_reasoning_parser": "str-none",
    "union_dict_and_str": "json-or-str",
}
ACTIONS = {
    "_StoreAction": "store",
    "_StoreTrueAction": "true",
    "_StoreFalseAction": "false",
    "_AppendAction": "append",
    "_HelpAction": "help",
    "BooleanOptionalAction": "bool",
    "EnableDisableAction": "bool",
    "LoRAPathAction": "lora-json",
    "LoRAParserAction": "lora-pairs",
    "DeprecatedAction": "nothing",
    "DeprecatedStoreTrueAction": "true",
    "DeprecatedStoreConstAction": "const",
    "DeprecatedLogConfigFileAction": "store",
    "DeprecatedAliasStoreAction": "store",
}


def type_name(function: Any) -> str:
    """The name in a snapshot of what an option's text is converted with; a trailing `?` means that "" and "None" are None."""
    if function in PLAIN:
        return PLAIN[function]
    name, module = function.__name__, function.__module__
    if name in ("_optional_type", "_parse_type"):
        inner = type_name(dict(zip(function.__code__.co_freevars, function.__closure__, strict=True))["return_type"].cell_contents)
        return inner + "?" if name == "_optional_type" else inner
    if name == "human_readable_int":
        return "int-si" if module.startswith("sglang") else "int-suffix"
    if name == "<lambda>":
        return _lambda_name(function)
    return NAMED[name]


def _lambda_name(function: Callable[[str], Any]) -> str:
    """A nameless function is known by what it does."""
    known = {"('a_b', 'c_1')": "lower-underscore", "(['A-b'], ['c', 1])": "ids"}
    return known[repr((function("A-b"), function("c,1" if isinstance(function("A-b"), list) else "C-1")))]


def plain(value: Any) -> Any:
    """A default as JSON; what has no JSON form is computed by the engine, and None here."""
    if isinstance(value, bool | int | float | str | None):
        return value
    if isinstance(value, list | tuple):
        return [plain(item) for item in cast(list[Any], value)]
    return {str(k): plain(v) for k, v in cast(dict[Any, Any], value).items()} if isinstance(value, dict) else None


def option(action: Any, flags: list[str], known_deprecated: bool) -> dict[str, Any]:
    """One option of a parser; what has its usual value is left out."""
    kind = ACTIONS[type(action).__name__]
    fact: dict[str, Any] = {"flags": flags, "dest": action.dest}
    if kind != "store":
        fact["action"] = kind
    if kind in ("store", "append", "lora-json", "lora-pairs") or (kind == "const" and action.nargs != 0):
        fact["type"] = type_name(action.type)
        if action.nargs is not None:
            fact["nargs"] = action.nargs
    if kind == "bool":
        fact["off"] = off_flags(action, flags)
    const = getattr(action, "const_value", None) if kind == "const" else action.const
    if kind in ("store", "const") and const is not None:
        fact["const"] = const
    if action.choices is not None:
        # sorted, since some engines list what is in a set, in another order at each start
        fact["choices"] = sorted((plain(choice) for choice in action.choices), key=order)
    if keys := json_keys(action.type):
        fact["keys"] = keys
    if action.required and flags:
        fact["required"] = True
    if plain(action.default) is not None and action.default is not argparse.SUPPRESS:
        fact["default"] = plain(action.default)
    return fact | deprecation(action, known_deprecated)


def order(choice: Any) -> tuple[bool, str, Any]:
    """Numbers before words, None last."""
    return choice is None, type(choice).__name__, choice or 0


def off_flags(action: Any, flags: list[str]) -> list[str]:
    """Spellings of a yes-or-no option that say no: vLLM 0.33 pairs --enable-x with --disable-x."""
    negative = getattr(action, "negative_option_strings", None)
    return [f for f in flags if (f in negative if negative is not None else f.startswith("--no-"))]


def json_keys(function: Any) -> list[str]:
    """Keys that a JSON value may have where the engine forbids others."""
    if getattr(function, "__name__", "") == "_optional_type":
        return json_keys(dict(zip(function.__code__.co_freevars, function.__closure__, strict=True))["return_type"].cell_contents)
    if getattr(function, "__name__", "") != "parse_dataclass":
        return []
    cls = function.__defaults__[0]
    extra = getattr(cls, "__pydantic_config__", {}).get("extra")
    return sorted(f.name for f in dataclasses.fields(cls) if f.init) if extra == "forbid" else []


def deprecation(action: Any, known: bool) -> dict[str, Any]:
    """Whether the engine says that an option will go, and which one it names instead."""
    told = action.help or ""
    new = getattr(action, "new_flag", None)
    by_class = type(action).__name__.startswith("Deprecated")
    if not (known or by_class or DEPRECATED.search(told)):
        return {}
    found = SUCCESSOR.search(told)
    named = new or (found.group(1) if found else None)
    refused = {"refused": True} if getattr(action, "error_message", None) else {}
    return {"deprecated": True, **refused, **({"successor": named} if named else {})}


def from_argparse(parser: Any) -> list[dict[str, Any]]:
    """All options of an argparse parser, hidden spellings too, then its positional arguments."""
    flags: dict[int, list[str]] = {}
    for flag, action in parser._option_string_actions.items():
        flags.setdefault(id(action), []).append(flag)
    deprecated = {id(a) for a in getattr(parser, "_deprecated", ())}
    known = [(a, id(a) in deprecated or bool(getattr(a, "deprecated", False))) for a in parser._actions]
    return [option(action, flags.get(id(action), []), gone) for action, gone in known]


def registered(options: list[dict[str, Any]], names: dict[str, Iterable[str]]) -> None:
    """Adds the names that an engine has registered for options whose parser takes any text."""
    for fact in options:
        if fact["dest"] in names:
            fact["registered"] = sorted(names[fact["dest"]])


def sglang() -> dict[str, Any]:
    """SGLang's own server arguments."""
    stand_in_for_torchvision()
    module = importlib.import_module("sglang.srt.server_args")
    parser = argparse.ArgumentParser()
    module.ServerArgs.add_cli_args(parser)
    return {"parser": "argparse", "taken": "sglang.srt.server_args.ServerArgs.add_cli_args", "options": from_argparse(parser)}


def sglang_router() -> dict[str, Any]:
    """The router's arguments without the prefix that they have inside SGLang."""
    parser = argparse.ArgumentParser()
    importlib.import_module("sglang_router.router_args").RouterArgs.add_cli_args(parser, use_router_prefix=False)
    return {"parser": "argparse", "taken": "sglang_router.router_args.RouterArgs.add_cli_args", "options": from_argparse(parser)}


def vllm() -> dict[str, Any]:
    """What `vllm serve` takes, and the names of the parsers that it has registered."""
    module = vllm_arguments()
    flexible = importlib.import_module("vllm.utils.argparse_utils").FlexibleArgumentParser
    options = from_argparse(module.make_arg_parser(flexible(prog="vllm serve")))
    tools = importlib.import_module("vllm.tool_parsers").ToolParserManager.list_registered()
    thoughts = importlib.import_module("vllm.reasoning").ReasoningParserManager.list_registered()
    registered(options, {"tool_call_parser": tools, "reasoning_parser": thoughts})
    return {"parser": "flexible", "taken": f"{module.__name__}.make_arg_parser", "options": options}


def vllm_arguments() -> types.ModuleType:
    """The module of `make_arg_parser`: vLLM moved it in 0.32 and in 0.33."""
    for place in ("common", "launchers", "openai"):
        name = f"vllm.entrypoints.{place}.cli_args"
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if not name.startswith(error.name or "?"):  # it is there, and something that it needs is not
                raise
    raise ModuleNotFoundError("vLLM's make_arg_parser is in none of the places that are known here: look where it is now.")


def stand_in_for_torchvision() -> None:
    """sglang-kt imports torchvision for models with pictures; its CPU build is not on PyPI, and the parser needs none of it."""
    if importlib.util.find_spec("torchvision"):
        return
    from transformers import AutoProcessor as AutoProcessor  # it must have seen that there is no torchvision

    class StandIn(types.ModuleType):
        def __getattr__(self, name: str) -> type:
            if name.startswith("__"):
                raise AttributeError(name)
            return type(name, (), {})

    for name in ("", ".io", ".transforms", ".transforms.functional", ".transforms.v2", ".transforms.v2.functional"):
        sys.modules["torchvision" + name] = stand_in = StandIn("torchvision" + name)
        stand_in.__path__ = []  # a package, so that its parts can be imported


def canonical(engine: str, version: str, facts: dict[str, Any]) -> str:
    """The snapshot as text: one option a line, so that two versions can be compared with `diff`."""
    head = {"engine": engine, "version": version, **{k: v for k, v in facts.items() if k != "options"}}
    lines = [f" {json.dumps(key)}: {json.dumps(value)}," for key, value in head.items()]
    options = sorted(facts["options"], key=lambda fact: (bool(fact["flags"]), fact["dest"], fact["flags"]))
    return "\n".join(["{", *lines, ' "options": [', ",\n".join("  " + json.dumps(o) for o in options), " ]", "}"]) + "\n"


TAKEN: dict[str, tuple[str, Callable[[], dict[str, Any]]]] = {
    "sglang": ("sglang", sglang),
    "sglang-kt": ("sglang-kt", sglang),
    "sglang-router": ("sglang-router", sglang_router),
    "vllm": ("vllm", vllm),
}


def main(arguments: list[str]) -> str:
    """The snapshot of the engine that is installed here."""
    if arguments[0] == "tensorrt-llm":
        sys.path.insert(0, str(Path(__file__).parent))
        facts = importlib.import_module("click_source").snapshot(Path(arguments[2]), " ".join(arguments[3:]))
        return canonical("tensorrt-llm", arguments[1], facts)
    package, take = TAKEN[arguments[0]]
    with contextlib.redirect_stdout(sys.stderr):  # engines print while they are imported
        facts = take()
    return canonical(arguments[0], importlib.metadata.version(package).partition("+")[0], facts)


if __name__ == "__main__":
    sys.stdout.write(main(sys.argv[1:]))
