"""`make peers`: fetch what the tests talk to. Exit code 1 only where `CI` is set: elsewhere the tests are skipped, by name."""

import os
import sys
import time

from .fetch import FetchFailed, fetch, place


def main() -> int:
    if place().exists():
        return 0
    print("peers: fetching node and MCP servers (about 420 MB on the disk, once) …", flush=True)
    started = time.monotonic()
    try:
        root = fetch()
    except FetchFailed as error:
        print(f"peers: {error}\npeers: tests that need them will be skipped; with CI=true they fail", file=sys.stderr)
        return 1 if os.environ.get("CI") else 0
    print(f"peers: {root} ({time.monotonic() - started:.0f} s)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
