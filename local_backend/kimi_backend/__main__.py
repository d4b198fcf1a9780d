"""`kimi-backend`, and `python -m kimi_backend`."""

import sys


def main() -> None:
    """Entry point of the console script. Says in one line what to install where the command line's packages are missing."""
    try:
        from kimi_backend.cli import main as run
    except ModuleNotFoundError as e:
        if e.name not in ("typer", "rich", "click"):
            raise
        sys.exit(f"kimi-backend: the command line needs {e.name}: pip install 'kimi-agent[cli]'")
    run()


if __name__ == "__main__":
    main()
