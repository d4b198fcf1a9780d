"""Measures the overhead of this library, and whether it keeps its targets.

python -m benchmarks.overhead                       all scenarios: this library, the bare loop, the official client
python -m benchmarks.overhead --peers all           other libraries as well, each in an environment of its own
python -m benchmarks.overhead --scenarios deltas,startup --rounds 3
python -m benchmarks.overhead --markdown            the tables of benchmarks/RESULTS.md

Run it from the root of the repository. Exit code: 0 all targets that were measured hold, 1 one is missed, 2 a measurement failed.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.overhead.catalogue import DRIVERS, HOUSE, PEERS
from benchmarks.overhead.figures import Figures
from benchmarks.overhead.measurement import Measurement
from benchmarks.overhead.peers import cache_folder, interpreter_of, versions_of
from benchmarks.overhead.report import machine, tables, target_lines
from benchmarks.overhead.runner import STARTUP, endpoint, measured
from benchmarks.overhead.scenarios import SCENARIOS
from benchmarks.overhead.targets import TARGETS


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.overhead", description=__doc__.partition("\n")[0] if __doc__ else ""
    )
    everything = [STARTUP, *SCENARIOS]
    parser.add_argument("--scenarios", type=_names(everything), default=everything, help=f"of {','.join(everything)}")
    parser.add_argument("--drivers", type=_names(HOUSE), default=list(HOUSE), help=f"of {','.join(HOUSE)}")
    parser.add_argument("--peers", type=_names(PEERS), default=[], help=f"all, or of {','.join(PEERS)}")
    parser.add_argument("--peer-folder", type=Path, default=cache_folder(), help="where their environments are kept")
    parser.add_argument("--rounds", type=int, default=5, help="processes a driver and scenario")
    parser.add_argument("--quick", action="store_true", help="one round, one repetition: that it works, not what it costs")
    parser.add_argument("--markdown", action="store_true", help="only the tables, with the versions")
    parser.add_argument("--json", type=Path, help="writes each measurement to this file")
    return parser.parse_args(arguments)


def _names(known: Sequence[str]) -> Callable[[str], list[str]]:
    def split(text: str) -> list[str]:
        names = list(known) if text == "all" else text.split(",")
        if unknown := [n for n in names if n not in known]:
            raise argparse.ArgumentTypeError(f"there is no {', '.join(unknown)}; there are {', '.join(known)}")
        return names

    return split


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and reports; returns the exit code."""
    options = parsed(arguments)
    interpreters, missing = _interpreters(options)
    rounds, repeat = (1, 1) if options.quick else (options.rounds, 0)
    found: list[Measurement] = []
    with endpoint() as base_url:
        for measurement in measured(base_url, interpreters, options.scenarios, rounds, repeat):
            found.append(measurement)
            print(_progress(measurement), file=sys.stderr, flush=True)
    if options.json is not None:
        options.json.write_text(json.dumps([m.to_dict() for m in found], indent=1) + "\n", encoding="utf-8")
    figures = Figures(found)
    print(_full(figures, interpreters) if options.markdown else target_lines(figures))
    if missing or figures.errors:
        return 2
    return int(any(t.verdict(figures) == "miss" for t in TARGETS))


def _interpreters(options: argparse.Namespace) -> tuple[dict[str, str], list[str]]:
    """The interpreter of each driver, and the peers that could not be installed."""
    found = {name: sys.executable for name in options.drivers}
    missing: list[str] = []
    for name in options.peers:
        try:
            found[name] = interpreter_of(DRIVERS[name], options.peer_folder)
        except subprocess.CalledProcessError:
            missing.append(name)
            print(f"{name} cannot be installed for Python {sys.version.split()[0]}: it is left out", file=sys.stderr)
    return found, missing


def _progress(m: Measurement) -> str:
    said = m.error or f"{m.cpu_s * 1e3:.1f} ms CPU, {m.wall_s * 1e3:.1f} ms, {m.peak_mib:.0f} MiB"
    return f"{m.scenario} {m.driver} #{m.round}: {said}"


def _full(figures: Figures, interpreters: dict[str, str]) -> str:
    versions = [v for name, python in interpreters.items() for v in versions_of(python, DRIVERS[name].versions)]
    return f"Measured on {machine()}.\nVersions: {', '.join(versions)}.\n\n{tables(figures)}"


if __name__ == "__main__":
    sys.exit(main())
