"""`--tool module:function` or `--tool path/to/file.py:function` → the tool."""

import importlib
import importlib.util
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from kimi_agent.errors import UserError


def load_tool(spec: str) -> Any:
    """What stands at `module:name`; dots in the name reach into objects. Raises UserError."""
    where, colon, name = spec.rpartition(":")
    if not colon or not where or not name:
        raise UserError(f"--tool {spec!r}: write module:function or path/to/file.py:function")
    value: Any = _module(where)
    for part in name.split("."):
        if not hasattr(value, part):
            raise UserError(f"--tool {spec!r}: {where} has no {part!r}; it has {', '.join(_callables(value)) or 'nothing to call'}")
        value = getattr(value, part)
    return value


def _callables(value: Any) -> list[str]:
    """What is defined there and can be called; what it imported from elsewhere is left out."""
    home = getattr(value, "__name__", None)
    public = {n: getattr(value, n) for n in dir(value) if not n.startswith("_")}
    return [n for n, v in public.items() if callable(v) and getattr(v, "__module__", None) == home]


@cache
def _module(where: str) -> ModuleType:
    path = Path(where)
    try:
        if path.suffix != ".py":
            sys.path.insert(0, str(Path.cwd()))
            return importlib.import_module(where)
        if not path.is_file():
            raise UserError(f"--tool: there is no file {where}")
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
        raise UserError(f"--tool: {where} cannot be imported: {type(e).__name__}: {e}") from e
