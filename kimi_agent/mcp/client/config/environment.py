"""The file of variables that an entry may name (`envFile`, as Cursor and VS Code have it)."""

from pathlib import Path

from kimi_agent.errors import UserError


def read_env_file(path: Path, where: str) -> dict[str, str]:
    """The variables of a `.env` file. Raises UserError where it cannot be read."""
    try:
        from dotenv import dotenv_values
    except ImportError:
        raise UserError(f"{where} needs python-dotenv: pip install 'kimi-agent[cli]'") from None
    try:
        with path.open(encoding="utf-8") as file:
            return {name: value for name, value in dotenv_values(stream=file, interpolate=False).items() if value is not None}
    except (OSError, UnicodeDecodeError) as e:
        raise UserError(f"{where}: {path} cannot be read: {getattr(e, 'strerror', None) or e}") from None
