"""The command line: `kimi-agent run`, `chat`, `mcp`, `models`, `tools`, `doctor` and `faults`."""

import sys


def main() -> None:
    """Entry point of the console script. Says in one line what to install where the command line's packages are missing."""
    try:
        from kimi_agent.cli.app import app

        app()
    except ModuleNotFoundError as e:
        package = (e.name or "").partition(".")[0]
        if package not in ("typer", "rich", "dotenv", "click", "prompt_toolkit"):
            raise
        sys.exit(f"kimi-agent: the command line needs {package}: pip install 'kimi-agent[cli]'")
    except KeyboardInterrupt:  # while modules are imported, before a command listens to it
        sys.exit(130)
