"""`--tool module:function` or `--tool path/to/file.py:function` → the tool."""

import importlib
import importlib.util
import sys
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
            there = [n for n in dir(value) if not n.startswith("_") and callable(getattr(value, n))]
            raise UserError(f"--tool {spec!r}: {where} has no {part!r}; it has {', '.join(there) or 'nothing to call'}")
        value = getattr(value, part)
    return value


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
    except (ImportError, SyntaxError) as e:
        raise UserError(f"--tool: {where} cannot be imported: {e}") from e
