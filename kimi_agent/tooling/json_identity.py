"""When two JSON values are the same one, as JSON Schema means it, in time linear in their size.

Text stands for a value, not its hash: a stranger can choose numbers that all have one hash in Python, but no such texts.
"""

import json
from typing import Any


def canonical(value: Any) -> str:
    """One text for all spellings of a value: 1 is 1.0 but not true, and names have no order. Raises RecursionError."""
    if isinstance(value, dict):
        return "{" + ",".join(sorted(f"{json.dumps(k)}:{canonical(v)}" for k, v in value.items())) + "}"  # pyright: ignore
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(canonical, value)) + "]"  # pyright: ignore[reportUnknownArgumentType]
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return json.dumps(value, default=repr)
