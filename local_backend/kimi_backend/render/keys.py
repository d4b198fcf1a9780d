"""How the clients' key reaches a server without standing in a command line or in a file that is rendered.

- vLLM reads the environment variable VLLM_API_KEY.
- SGLang and KTransformers have `--api-key` only, which `ps` would show to every user. They also take `--config FILE` and read it in
  their own process (sglang/srt/server_args_config_parser.py), so the key goes into a private file at start.
- sglang-router has `--api-key` only: a line of Python adds it to the arguments inside the process.
- trtllm-serve checks no key.

A key is one word of the characters that RFC 6750 allows in a bearer token.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ..engines.command import CommandEngine
from .errors import RenderError
from .words import Word

__all__ = [
    "CONFIG_FILE",
    "FIXED_LINES",
    "KeyLines",
    "is_export_line",
    "key_lines",
    "split_config",
    "unwrap",
    "with_key",
    "with_router_key",
]

CHECK = (
    '[[ $api_key =~ ^[A-Za-z0-9._~+/=-]+$ ]] || { echo "The API key must be one word of letters, digits and -._~+/=" >&2; exit 1; }'
)
FOLDER = "key_folder=$(mktemp -d -p /dev/shm)"
CONFIG = """printf 'api-key: "%s"\\n' "$api_key" > "$key_folder/key.yaml\""""
CONFIG_FILE = '"$key_folder/key.yaml"'
FIXED_LINES = frozenset({CHECK, FOLDER, CONFIG})
EXPORT = re.compile(r"export [A-Z_]+=\$api_key")
BY_VARIABLE = f'set -euo pipefail; api_key=$(< "$1"); {CHECK}; export "$2=$api_key"; exec "${{@:3}}"'
BY_FILE = f'set -euo pipefail; api_key=$(< "$1"); {CHECK}; {FOLDER}; {CONFIG}; exec "${{@:3}}" "$2" {CONFIG_FILE}'
ROUTER_PROGRAM = (
    'import runpy, sys; sys.argv += ["--api-key", open(sys.argv.pop(1)).read().strip()]; '
    'runpy.run_module("sglang_router.launch_router", run_name="__main__")'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyLines:
    """A key's way in a script: the lines before the command, and the words after it."""

    lines: tuple[str, ...]
    words: str


def _ways(engine: CommandEngine) -> tuple[str | None, str]:
    """The variable that the engine reads, or the flag of its configuration file.

    Raises:
        RenderError: the engine checks no key.
    """
    if engine.api_key_variable is None and engine.api_key_config is None:
        raise RenderError(
            f"{engine.traits.title} checks no API key; leave api_key_file out and put a proxy that checks one before the server."
        )
    return engine.api_key_variable, engine.api_key_config or ""


def key_lines(engine: CommandEngine, quoted_path: str) -> KeyLines:
    """For a bash script.

    Args:
        engine: what is started.
        quoted_path: the key's file, as a word of bash.

    Raises:
        RenderError: the engine checks no key.
    """
    variable, flag = _ways(engine)
    lines = (f"api_key=$(< {quoted_path})", CHECK)
    if variable:
        return KeyLines(lines=(*lines, f"export {variable}=$api_key"), words="")
    return KeyLines(lines=(*lines, FOLDER, CONFIG), words=f"{flag} {CONFIG_FILE}")


def is_export_line(line: str) -> bool:
    """Whether a script's line hands its key over by a variable, and does nothing else."""
    return EXPORT.fullmatch(line) is not None


def with_key(engine: CommandEngine, words: tuple[Word, ...], path: Word) -> tuple[Word, ...]:
    """The command inside a small bash program that reads the key first: for containers and units.

    Raises:
        RenderError: the engine checks no key.
    """
    variable, flag = _ways(engine)
    program, way = (BY_VARIABLE, variable) if variable else (BY_FILE, flag)
    return (("bash",), ("-c",), (program,), ("kimi-backend",), path, (way,), *words)


def with_router_key(argv: Sequence[str], path: str) -> tuple[str, ...]:
    """`python3 -m sglang_router.launch_router …` with the key of a file."""
    return (argv[0], "-c", ROUTER_PROGRAM, path, *argv[3:])


def unwrap(argv: Sequence[str]) -> tuple[list[str], str | None]:
    """A command without what `with_key` or `with_router_key` put around it, and the key's file.

    Raises:
        RenderError: bash runs a program that is not ours.
    """
    words = list(argv)
    if words[1:3] == ["-c", ROUTER_PROGRAM] and len(words) > 3:
        return [words[0], "-m", "sglang_router.launch_router", *words[4:]], words[3]
    if words[:2] != ["bash", "-c"]:
        return words, None
    if len(words) < 7 or words[2] not in {BY_VARIABLE, BY_FILE}:
        raise RenderError("The command runs a bash program that kimi-backend did not write; read_back cannot tell what it starts.")
    return words[6:], words[4]


def split_config(line: str) -> str:
    """A script's command line without the words that hand over a key."""
    return line.rsplit(maxsplit=2)[0] if line.endswith(f" {CONFIG_FILE}") else line
