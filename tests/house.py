"""The size limits of the house: no file over 500 lines, no function over 60 without its docstring. `make lint` runs this."""

import ast
import sys
from pathlib import Path

FILE_LIMIT, FUNCTION_LIMIT = 500, 60
ROOMS = ("kimi_agent", "tools", "local_backend", "examples", "benchmarks", "tests")


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function without its docstring."""
    first = function.body[0]
    documented = ast.get_docstring(function) is not None
    doc = (first.end_lineno or 0) - first.lineno + 1 if documented else 0
    return (function.end_lineno or 0) - function.lineno + 1 - doc


def breaches(root: Path) -> list[str]:
    """What is too long, a line each."""
    found: list[str] = []
    for path in sorted(p for room in ROOMS for p in (root / room).rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        where = path.relative_to(root)
        if (lines := text.count("\n")) > FILE_LIMIT:
            found.append(f"{where}: {lines} lines, at most {FILE_LIMIT}")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (lines := length(node)) > FUNCTION_LIMIT:
                found.append(f"{where}:{node.lineno} {node.name}: {lines} lines, at most {FUNCTION_LIMIT}")
    return found


if __name__ == "__main__":
    problems = breaches(Path(__file__).parent.parent)
    print("\n".join(problems) or "house: all files and functions within their limits")
    sys.exit(bool(problems))
