"""Keys and settings from a `.env` file; what the environment holds already wins."""

from pathlib import Path

from dotenv import dotenv_values, load_dotenv

ENV_FILE = Path(".env")


def read_environment() -> list[str]:
    """Reads `.env` of the working directory, if there is one; the names that it sets, never the values."""
    if not ENV_FILE.is_file():
        return []
    names = [name for name, value in dotenv_values(ENV_FILE).items() if value is not None]
    load_dotenv(ENV_FILE, override=False)
    return names
