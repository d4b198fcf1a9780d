"""`--output`: what the answer must be, and how it is printed."""

import json
import sys
from pathlib import Path
from typing import Any

from pydantic_core import to_jsonable_python

from kimi_agent.cli.files import read_text
from kimi_agent.cli.load import load_object
from kimi_agent.errors import UserError
from kimi_agent.output.spec import JsonSchema


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
    return JsonSchema(schema)


def print_output(value: Any) -> None:
    """The value as JSON: indented on a terminal, on one line in a pipe."""
    indent = 2 if sys.stdout.isatty() else None
    separators = None if indent else (",", ":")
    print(json.dumps(to_jsonable_python(value), ensure_ascii=False, indent=indent, separators=separators))
