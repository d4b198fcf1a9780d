"""Keys and settings from a `.env` file; what the environment holds already wins.

A `.env` may come with somebody else's repository. So only this project's own names are taken from it, as they are written there;
none that names a file to be run; and a file that says where requests go must also hold the key that goes there: it cannot send
the user's own key to an address of its choice.
"""

import os
from pathlib import Path

import typer
from dotenv import dotenv_values

from kimi_agent.errors import UserError
from kimi_agent.models.profiles import is_moonshot
from kimi_agent.observe.plain import plain
from kimi_agent.redact import redact

ENV_FILE = Path(".env")
_OURS = ("KIMI_", "MOONSHOT_")
_KEY_OF = {"KIMI_BASE_URL": "KIMI_API_KEY", "KIMI_LOCAL_BASE_URL": "KIMI_ENDPOINT_API_KEY"}
_OF_THE_MACHINE = ("KIMI_EMBEDDED_MODEL", "KIMI_AGENT_CACHE")  # files that are loaded into this process


def read_environment() -> list[str]:
    """Reads `.env` of the working directory, if there is one; the names that it sets, never the values. Says on standard error
    where the file has chosen an address.

    Raises UserError where the file names an address without the key for it, or a file to be loaded, and where it cannot be read.
    """
    values = {k: v for k, v in _values().items() if k not in os.environ}
    for name in _OF_THE_MACHINE:
        if name in values:
            raise UserError(f"{ENV_FILE} here sets {name}: files that are loaded are named in the environment only")
    for address, key in _KEY_OF.items():
        if address in values:
            _check_key(address, key, values)
    os.environ.update(values)
    for address in _KEY_OF:
        if address in values:
            typer.echo(f"{ENV_FILE} here sets {address}: {plain(redact(values[address]))}", err=True)
    return list(values)


def _values() -> dict[str, str]:
    """Of our own names. Raises UserError."""
    if not ENV_FILE.is_file():
        return {}
    try:
        # Without interpolation: ${AWS_SECRET_ACCESS_KEY} is no way to have a secret of the environment sent somewhere.
        read = dotenv_values(ENV_FILE, interpolate=False)
    except (OSError, ValueError) as e:
        raise UserError(f"{ENV_FILE} here cannot be read: {e}") from None
    values = {k: v for k, v in read.items() if k.startswith(_OURS) and v}
    for name, value in values.items():
        if "\0" in name + value:
            raise UserError(f"{ENV_FILE} here has a null character in {plain(name)}")
    return values


def _check_key(address: str, key: str, values: dict[str, str]) -> None:
    if key in os.environ:
        raise UserError(
            f"{ENV_FILE} here sets {address}, but {key} is yours, from the environment, and would be sent there: "
            f"set {address} in the environment too if that is meant, or put {key} into {ENV_FILE}"
        )
    if address == "KIMI_BASE_URL" and key not in values and not is_moonshot(values[address]):
        raise UserError(
            f"{ENV_FILE} here sets {address}, and must set {key} too (any word, where no key is needed there): "
            f"or set {address} in the environment, if you trust it"
        )
