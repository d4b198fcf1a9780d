"""The command line: `kimi-agent run`, `chat`, `models`, `tools` and `doctor`."""

import sys


def main() -> None:
    """Entry point of the console script. Says in one line what to install where the command line's packages are missing."""
    try:
        from kimi_agent.cli.app import app
    except ModuleNotFoundError as e:
        if e.name not in ("typer", "rich", "dotenv", "click"):
            raise
        sys.exit(f"kimi-agent: the command line needs {e.name}: pip install 'kimi-agent[cli]'")
    app()
