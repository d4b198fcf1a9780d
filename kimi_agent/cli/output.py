"""`--output`: what the answer must be, and how it is printed."""

import json
import sys
from pathlib import Path
from typing import Any

from pydantic_core import to_jsonable_python

from kimi_agent.cli.files import read_text
from kimi_agent.cli.load import load_object
from kimi_agent.cli.options import is_terminal
from kimi_agent.errors import UserError
from kimi_agent.observe.plain import json_line
from kimi_agent.output.spec import JsonSchema
from kimi_agent.wire.open_json import as_list, as_object

_DEEPEST = 100  # levels


def load_output(spec: str) -> Any:
    """A JSON Schema file, or the type at `module:Type`. Raises UserError."""
    path = Path(spec)
    if path.suffix != ".json" and not path.is_file():
        if ":" not in spec:
            raise UserError(f"--output {spec!r}: write a file with a JSON Schema, or module:Type")
        return load_object(spec, "--output")
    try:
        schema = json.loads(read_text(path))
    except ValueError as e:
        raise UserError(f"--output: {path} is no JSON: {e}") from None
    except RecursionError:
        raise _too_deep(path) from None
    if _depth(schema) > _DEEPEST:
        raise _too_deep(path)
    return JsonSchema(schema)


def _too_deep(path: Path) -> UserError:
    return UserError(f"--output: {path} is nested more than {_DEEPEST} levels deep")


def _depth(value: Any) -> int:
    """Without recursion: how deep it may be is what is asked."""
    level: list[Any] = [value]
    depth = 0
    while level and depth <= _DEEPEST:
        level = [v for each in level for v in ((as_object(each) or {}).values() or as_list(each))]
        depth += 1
    return depth


def print_output(value: Any) -> None:
    """The value as JSON: indented on a terminal, on one line in a pipe."""
    print(json_line(to_jsonable_python(value), indent=2 if is_terminal(sys.stdout) else None))
