"""Reads the options of `trtllm-serve` from its source, which is not run: importing TensorRT-LLM needs CUDA and MPI.

`snapshot.py` imports this by its path, so it imports the standard library only.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["snapshot"]

SOURCES = {"tool_parser": "serve/tool_parser/tool_parser_factory.py", "reasoning_parser": "llmapi/reasoning_parser.py"}


def snapshot(package: Path, source: str = "") -> dict[str, Any]:
    """The facts of `tensorrt_llm/commands/serve.py` in the folder of that package; `source` says where it is from."""
    tree = ast.parse((package / "commands" / "serve.py").read_text(encoding="utf-8"))
    serve = next(n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.name == "serve")
    options = [_fact(call) for call in _calls(serve)]
    for fact in options:
        if fact["dest"] in SOURCES and (names := _parsers(package / SOURCES[fact["dest"]])):
            fact["choices"] = names
    taken = f"read from the source of tensorrt_llm/commands/serve.py, not run{'; ' if source else ''}{source}"
    return {"parser": "click", "taken": taken, "options": options}


def _calls(function: ast.FunctionDef) -> Iterator[ast.Call]:
    """The decorators that declare an option or an argument."""
    for decorator in function.decorator_list:
        if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) in ("click.option", "click.argument"):
            yield decorator


def _fact(call: ast.Call) -> dict[str, Any]:
    names = [str(ast.literal_eval(argument)) for argument in call.args]
    keywords = {k.arg: k.value for k in call.keywords if k.arg}
    flags = [name for name in names if name.startswith("-")]
    own = [name for name in names if not name.startswith("-")]  # click: a name without dashes is the destination
    fact: dict[str, Any] = {"flags": flags, "dest": own[0] if own else max(flags, key=lambda f: f.startswith("--"))[2:]}
    if _literal(keywords.get("is_flag")):
        fact["action"] = "true"
    else:
        if _literal(keywords.get("multiple")):
            fact["action"] = "append"
        fact |= _type(keywords.get("type"))
    if (default := _literal(keywords.get("default"))) is not None:
        fact["default"] = default
    return fact


def _type(node: ast.expr | None) -> dict[str, Any]:
    """The type of an option. Choices that are computed elsewhere stay unknown."""
    if isinstance(node, ast.Name):
        return {"type": node.id}
    if not isinstance(node, ast.Call) or not ast.unparse(node.func).startswith(("click.Choice", "ChoiceWithAlias")):
        return {"type": "str"}
    choices = _literal(node.args[0])
    aliases = _literal(node.args[1]) if len(node.args) > 1 else None
    return {"type": "str", **({"choices": [*choices, *(aliases or {})]} if choices else {})}


def _parsers(path: Path) -> list[str]:
    """The keys of `parsers`, the table of a factory; [] where there is none."""
    if not path.exists():
        return []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "parsers" and isinstance(node.value, ast.Dict):
            return [str(ast.literal_eval(key)) for key in node.value.keys if key is not None]
    return []


def _literal(node: ast.expr | None) -> Any:
    """A value that stands in the source as it is; None for one that is computed."""
    try:
        return ast.literal_eval(node) if node is not None else None
    except ValueError:
        return None
