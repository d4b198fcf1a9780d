"""Variables in the texts of an entry: `${NAME}`, `${NAME:-default}`, `${env:NAME}`, and the few that editors predefine."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kimi_agent.errors import UserError

_VARIABLE = re.compile(r"\$\{([^{}]*)\}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What variables stand for.

    Attributes:
        environ: the environment.
        folder: where the file lies; None for a mapping.
    """

    environ: Mapping[str, str]
    folder: Path | None

    def expand(self, text: str) -> str:
        """The text with its variables filled in. `$NAME` without braces is left as it is.

        Raises UserError for one that is not set or not known.
        """
        return _VARIABLE.sub(lambda found: self._value(found[1]), text)

    def workspace(self) -> Path:
        """The folder that the file configures: `.vscode/mcp.json` is about the folder above."""
        if self.folder is None:
            return Path.cwd()
        return self.folder.parent if self.folder.name.startswith(".") else self.folder

    def _value(self, inside: str) -> str:
        name, has_default, default = inside.partition(":-")
        name = name.removeprefix("env:")
        if predefined := self._predefined(name):
            return predefined
        if not _NAME.fullmatch(name):
            raise UserError(_foreign(inside))
        value = self.environ.get(name)
        if has_default and not value:  # as a shell takes it: empty counts as unset
            return default
        if value is None:
            raise UserError(f"the variable {name} is not set: set it, or write ${{{name}:-default}}")
        return value

    def _predefined(self, name: str) -> str | None:
        match name:
            case "userHome":
                return str(Path.home())
            case "workspaceFolder":
                return str(self.workspace())
            case "workspaceFolderBasename":
                return self.workspace().name
            case "pathSeparator" | "/":
                return os.sep
            case _:
                return None


def _foreign(inside: str) -> str:
    kind, colon, name = inside.partition(":")
    if colon and kind == "input":
        return f"${{input:{name}}} asks a person in VS Code, and nobody here: set a variable and write ${{env:NAME}}"
    return f"${{{inside}}} is not understood: write ${{NAME}}, ${{NAME:-default}} or ${{env:NAME}}"
