"""`make conformance`: the official suite against our server and our client, and whether all is as it must be.

Exit code 1 where a check fails that is not known to, where one that is known to does not, and where fewer pass than must.
`python -m tests.conformance.run released` runs the released suite only, `server` and `client` one side.
"""

import sys

from ..peers import Peers
from ..peers.fetch import FetchFailed, fetch
from .known import LEGS, RELEASED, Leg
from .suite import Scenario, counted, run, target_of


def outcome(peers: Peers, leg: Leg) -> tuple[dict[str, Scenario], list[str]]:
    """What a leg found, and what of it is wrong. What went wrong beside others is tried once more alone: the suite starts all
    clients at once, and some checks measure times."""
    with target_of(leg) as target:
        found = run(peers, leg, target)
        for name in [name for name, scenario in found.items() if _unknown(leg, name, scenario)]:
            found |= run(peers, leg, target, only=name)
    return found, wrong(leg, found)


def wrong(leg: Leg, found: dict[str, Scenario]) -> list[str]:
    """What is not as `known.py` has it, a line each."""
    lines = [line for name, scenario in sorted(found.items()) for line in _unknown(leg, name, scenario)]
    failed = {f"{name}/{check}" for name, scenario in found.items() for check in scenario.problems}
    lines += [f"{key}: passes now, take it out of known.py" for key in sorted(leg.known.keys() - failed)]
    passed = counted(found)["passed"]
    if len(found) < leg.scenarios or passed < leg.passed:
        lines.append(f"{len(found)} scenarios and {passed} checks; {leg.scenarios} and {leg.passed} are wanted")
    return lines


def _unknown(leg: Leg, name: str, scenario: Scenario) -> list[str]:
    problems = {f"{name}/{check}": said for check, said in scenario.problems.items()}
    after = f" [{scenario.last_words}]" if scenario.last_words else ""
    return [f"{key}: {said}{after}" for key, said in problems.items() if key not in leg.known]


def chosen(words: list[str]) -> list[Leg]:
    """The legs that all of these words are said of: "released" or "newest", "server" or "client". None at all is an error."""
    legs = [leg for leg in LEGS if set(words) <= {leg.role, "released" if leg.suite == RELEASED else "newest"}]
    if not legs:
        raise SystemExit(f"conformance: no part is {' and '.join(words)}; there are released, newest, server, client")
    return legs


def main() -> int:
    """Runs them, and prints a table of what was found and a line for all that is wrong."""
    try:
        peers = Peers(fetch())
    except FetchFailed as error:
        print(f"conformance: {error}", file=sys.stderr)
        return 1
    every: list[str] = []
    print("| our side | suite | scenarios | checks passed | failed | warned |\n|---|---|---|---|---|---|", flush=True)
    for leg in chosen(sys.argv[1:]):
        found, lines = outcome(peers, leg)
        count = counted(found)
        ends = f"{count['passed']} | {count['failure']} | {count['warning']}"
        print(f"| {leg.name} | {peers.version(leg.suite)} | {len(found)} | {ends} |", flush=True)
        every += [f"{leg.name}: {line}" for line in lines]
    print("\n".join(every) or "conformance: all as it must be")
    return bool(every)


if __name__ == "__main__":
    sys.exit(main())
