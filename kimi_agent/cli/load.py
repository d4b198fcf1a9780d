"""`--tool module:function` or `--tool path/to/file.py:function` → the tool; a whole module or file → all of its tools."""

import importlib
import importlib.util
import inspect
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from kimi_agent.errors import UserError
from kimi_agent.tooling.tool import Tool
from kimi_agent.tooling.toolset import Toolset


def load_tool(spec: str) -> Any:
    """The tool at `module:name`. Raises UserError."""
    return load_object(spec, "--tool")


def load_object(spec: str, option: str) -> Any:
    """What stands at `module:name`; dots in the name reach into objects. Raises UserError, which names the option."""
    where, name = _split(spec)
    if not where or not name:
        raise UserError(f"{option} {spec!r}: write module:name or path/to/file.py:name, as in module:function")
    module = _module(where, option)
    value: Any = module
    for part in name.split("."):
        if not hasattr(value, part):
            raise UserError(
                f"{option} {spec!r}: {where} has no {part!r}; it has {', '.join(_callables(module)) or 'nothing to call'}"
            )
        value = getattr(value, part)
    return value


def load_tools(spec: str) -> list[tuple[str, Any]]:
    """The tool at `module:name`; or all of a module or file, with their names: its tools and toolsets, or, where it has none, the
    public functions that it defines. Raises UserError."""
    where, name = _split(spec)
    if where and name:
        return [(spec, load_object(spec, "tools"))]
    module = _module(spec, "tools")
    public = {n: v for n, v in vars(module).items() if not n.startswith("_")}
    found: dict[str, Any] = {n: v for n, v in public.items() if isinstance(v, Tool | Toolset)}
    found = found or {n: getattr(module, n) for n in _callables(module) if inspect.isroutine(getattr(module, n))}
    if not found:
        raise UserError(f"{spec} has no tools, and no public functions that could be tools")
    return [(f"{spec}:{n}", v) for n, v in found.items()]


def _split(spec: str) -> tuple[str, str]:
    where, _, name = spec.rpartition(":")
    return (where, name) if not name.endswith(".py") else ("", name)


def _callables(value: Any) -> list[str]:
    """What is defined there and can be called; what it imported from elsewhere is left out."""
    home = getattr(value, "__name__", None)
    public = {n: getattr(value, n) for n in dir(value) if not n.startswith("_")}
    return [n for n, v in public.items() if callable(v) and getattr(v, "__module__", None) == home]


@cache
def _module(where: str, option: str) -> ModuleType:
    path = Path(where)
    try:
        if path.suffix != ".py":
            sys.path.insert(0, str(Path.cwd()))
            return importlib.import_module(where)
        if not path.is_file():
            raise UserError(f"{option}: there is no file {where}")
        spec = importlib.util.spec_from_file_location(f"_kimi_agent_tool_{path.stem}", path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module  # so that annotations written as strings can be resolved
        sys.path.insert(0, str(path.parent.resolve()))
        spec.loader.exec_module(module)
        return module
    except UserError:
        raise
    except Exception as e:  # whatever the file does when it is imported
        raise UserError(f"{option}: {where} cannot be imported: {type(e).__name__}: {e}") from e
