"""What the user typed, kept between sessions in a file that only the user may read."""

import os
from collections.abc import Iterable
from pathlib import Path

from prompt_toolkit.history import FileHistory

from kimi_agent.cli.files import state_directory, write_private
from kimi_agent.errors import UserError
from kimi_agent.redact import redact

MAX_BYTES = 2_000_000


def history_file() -> Path:
    """Where it is kept."""
    return state_directory() / "chat_history"


class InputHistory(FileHistory):
    """The newest is kept where the file grows too large. Keys are masked. A disk that is full or read-only ends no chat."""

    def __init__(self, path: Path) -> None:
        self._path = path
        super().__init__(str(path))

    def load_history_strings(self) -> Iterable[str]:
        """The newest first."""
        try:
            self._make_room()
            return list(super().load_history_strings())
        except (OSError, UserError):
            return []

    def store_string(self, string: str) -> None:
        """Appends to the file."""
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(self._path, os.O_WRONLY | os.O_CREAT, 0o600))
            if not self._path.is_symlink():  # what a link of the user's leads to has the rights that he gave it
                self._path.chmod(0o600)
            super().store_string(redact(string))
        except OSError:
            return

    def _make_room(self) -> None:
        if self._path.is_file() and self._path.stat().st_size > MAX_BYTES:
            kept = self._path.read_bytes()[-MAX_BYTES // 2 :].decode("utf-8", "replace")
            write_private(self._path, kept[kept.find("\n#") :], overwrite=True)
