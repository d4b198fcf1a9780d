"""Small files that a crash never leaves half written, and that nobody else can read meanwhile."""

import os
import secrets
from pathlib import Path

PRIVATE = 0o600


def replace_file(path: Path, data: bytes, mode: int = PRIVATE) -> None:
    """Writes a file as a whole: who reads it sees the old bytes or the new ones. Of a symbolic link, what it leads to is written.

    Raises OSError.
    """
    path = path.resolve()
    beside = path.with_name(f".{path.name}.{secrets.token_hex(6)}.new")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE)
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.chmod(mode)
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)
