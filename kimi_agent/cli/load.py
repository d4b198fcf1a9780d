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
        try:
            value = getattr(value, part)
        except AttributeError:
            has = ", ".join(_callables(module)) or "nothing to call"
            raise UserError(f"{option} {spec!r}: {where} has no {part!r}; it has {has}") from None
        except Exception as e:  # a property is code of the user's
            raise UserError(f"{option} {spec!r}: {part!r} raised {type(e).__name__}: {e}") from e
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
    try:
        return _of_file(Path(where), option) if where.endswith(".py") else _of_name(where)
    except UserError:
        raise
    except SystemExit as e:  # it is no module but a program
        raise UserError(f"{option}: {where} cannot be imported: it ends the process (sys.exit({e.code!r}))") from None
    except Exception as e:  # whatever the file does when it is imported
        raise UserError(f"{option}: {where} cannot be imported: {type(e).__name__}: {e}") from e


def _of_name(name: str) -> ModuleType:
    """An installed module wins over one of the working directory, which may be somebody else's."""
    here = str(Path.cwd())
    if here in sys.path:
        return importlib.import_module(name)
    sys.path.append(here)
    stays = False
    try:
        module = importlib.import_module(name)
        stays = _is_below(module, here)  # it may import its neighbours later, when it is called
        return module
    finally:
        if not stays:
            sys.path.remove(here)


def _is_below(module: ModuleType, directory: str) -> bool:
    places = [getattr(module, "__file__", None), *getattr(module, "__path__", ())]
    return any(p is not None and Path(p).is_relative_to(directory) for p in places)


def _of_file(path: Path, option: str) -> ModuleType:
    """Its neighbours win while it is imported, as those of a program do, and later only where nothing of that name is installed."""
    if not path.is_file():
        raise UserError(f"{option}: there is no file {path}")
    spec = importlib.util.spec_from_file_location(f"_kimi_agent_tool_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # so that annotations written as strings can be resolved
    beside = str(path.parent.resolve())
    sys.path.insert(0, beside)
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(beside)
        if beside not in sys.path:
            sys.path.append(beside)
    return module
