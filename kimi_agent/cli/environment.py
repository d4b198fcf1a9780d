"""Keys and settings from a `.env` file; what the environment holds already wins.

A `.env` may come with somebody else's repository. So only this project's own names are taken from it, and a file that says where
requests go must also hold the key that goes there: it cannot send the user's own key to an address of its choice.
"""

import os
from pathlib import Path

from dotenv import dotenv_values

from kimi_agent.errors import UserError

ENV_FILE = Path(".env")
_OURS = ("KIMI_", "MOONSHOT_")
_KEY_OF = {"KIMI_BASE_URL": "KIMI_API_KEY", "KIMI_LOCAL_BASE_URL": "KIMI_ENDPOINT_API_KEY"}


def read_environment() -> list[str]:
    """Reads `.env` of the working directory, if there is one; the names that it sets, never the values.

    Raises UserError where the file names an address and the key for it is the environment's.
    """
    if not ENV_FILE.is_file():
        return []
    values = {k: v for k, v in dotenv_values(ENV_FILE).items() if k.startswith(_OURS) and v and k not in os.environ}
    for address, key in _KEY_OF.items():
        if address in values and key in os.environ:
            raise UserError(
                f"{ENV_FILE} here sets {address}, but {key} is yours, from the environment, and would be sent there: "
                f"set {address} in the environment too if that is meant, or put {key} into {ENV_FILE}"
            )
    os.environ.update(values)
    return list(values)
