"""SGLang's router in front of several instances, or of the two sides of prefill-decode disaggregation.

Flags as in the parser of sglang-router 0.3.2. It does not generate; one instance alone needs none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast, get_args
from urllib.parse import urlsplit

from ..launch import Invocation, Launch, Site
from .compare import differences, number, text
from .flags import FlagError, Snapshot, load
from .legal import check_word
from .sglang import BOOTSTRAP_PORT

__all__ = ["POLICIES", "Policy", "Router", "check", "invocation", "read", "router_for"]

Policy = Literal["random", "round_robin", "cache_aware", "power_of_two", "manual"]
POLICIES: tuple[Policy, ...] = get_args(Policy)
PROGRAM = ("python3", "-m", "sglang_router.launch_router")
VERSION = "0.3.2"
_HARMLESS = frozenset({"log_dir", "log_level", "prometheus_port", "worker_startup_timeout_secs", "request_timeout_secs"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Router:
    """What a router listens on, and where it sends requests: to `workers`, or to both `prefill` and `decode`."""

    host: str
    port: int
    workers: tuple[str, ...] = ()
    """URLs such as http://10.0.0.1:30000."""
    prefill: tuple[tuple[str, int], ...] = ()
    """URLs, each with the port on which decode instances ask for the cache."""
    decode: tuple[str, ...] = ()
    policy: Policy = "cache_aware"


def router_for(instances: Sequence[Launch], heads: Sequence[str], site: Site, port: int, policy: Policy = "cache_aware") -> Router:
    """The router for instances whose heads have these addresses; `port` is the router's own.

    Raises:
        FlagError: the instances are not all plain ones, nor both sides of a disaggregation.
    """
    urls = [f"http://{f'[{head}]' if ':' in head else head}:{site.port}" for head in heads]
    by_role = {role: [url for launch, url in zip(instances, urls, strict=True) if launch.role == role] for role in _ROLES}
    router = Router(
        host=site.host,
        port=port,
        workers=tuple(by_role["serve"]),
        prefill=tuple((url, BOOTSTRAP_PORT) for url in by_role["prefill"]),
        decode=tuple(by_role["decode"]),
        policy=policy,
    )
    _check(router)
    return router


_ROLES = ("serve", "prefill", "decode")


def invocation(router: Router) -> Invocation:
    """The router's command. Its metrics listen where it does, not on every address as by default.

    Raises:
        FlagError: a URL, port or set of instances that a router cannot have.
    """
    _check(router)
    words = ["--host", router.host, "--port", str(router.port), "--policy", router.policy, "--prometheus-host", router.host]
    if router.workers:
        words += ["--worker-urls", *router.workers]
    else:
        words += ["--pd-disaggregation"]
        words += [word for url, port in router.prefill for word in ("--prefill", url, str(port))]
        words += [word for url in router.decode for word in ("--decode", url)]
    return Invocation(argv=(*PROGRAM, *words))


def check(argv: Sequence[str]) -> list[str]:
    """Each thing that the router's own parser would refuse or warn of; [] is good."""
    try:
        parser = _parser()
        return [problem.text for problem in parser.check(parser.arguments(argv))]
    except FlagError as error:
        return [str(error)]


def read(command: Invocation) -> Router:
    """The router that a command starts.

    Raises:
        FlagError: the router's own parser would refuse it, or it has flags that a `Router` cannot express.
    """
    parser = _parser()
    parsed = parser.parse(parser.arguments(command.argv))
    policy = text(parsed, "policy")
    router = Router(
        host=text(parsed, "host"),
        port=number(parsed, "port"),
        workers=tuple(cast("list[str]", parsed.get("worker_urls") or [])),
        prefill=tuple(_prefill(words) for words in cast("list[list[str]]", parsed.get("prefill") or [])),
        decode=tuple(words[0] for words in cast("list[list[str]]", parsed.get("decode") or [])),
        policy=cast("Policy", policy),
    )
    expected = parser.parse(parser.arguments(invocation(router).argv))
    if wrong := differences(expected, parsed, parser, _HARMLESS):
        raise FlagError(f"The router's command says more than a router here can: {'; '.join(wrong)}.")
    return router


def _prefill(words: list[str]) -> tuple[str, int]:
    if len(words) != 2 or not words[1].isascii() or not words[1].isdecimal():
        raise FlagError(f"--prefill takes a URL and the bootstrap port; it has {' '.join(words)!r}.")
    return words[0], int(words[1])


def _parser() -> Snapshot:
    return load("sglang-router", VERSION)


def _check(router: Router) -> None:
    if router.policy not in POLICIES:
        raise FlagError(f"The policy is {router.policy!r}; it is one of {', '.join(POLICIES)}.")
    if bool(router.workers) == bool(router.prefill or router.decode) or bool(router.prefill) != bool(router.decode):
        raise FlagError("A router has plain instances, or at least one for prefill and one for decode, and never both kinds.")
    check_word("the router's host", router.host)
    if not all(1 <= port <= 65535 for port in (router.port, *(port for _, port in router.prefill))):
        raise FlagError("Ports are 1 to 65535.")
    for url in (*router.workers, *(url for url, _ in router.prefill), *router.decode):
        _check_url(url)


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        good = parts.scheme == "http" and bool(parts.hostname) and parts.port is not None and not parts.username
        good = good and not (parts.path or parts.query or parts.fragment)
    except ValueError:
        good = False
    if not good or any(sign.isspace() for sign in url):
        raise FlagError(f"An instance's URL is http://ADDRESS:PORT; this is {url!r}.")
