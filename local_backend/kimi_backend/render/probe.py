"""Is a server alive? It is if it generates a token: an engine whose worker died may still answer on a passive path.

Source: vLLM's /health stays 200 after a worker was killed, until the next request (measured with vLLM 0.32 on two processes).
"""

from __future__ import annotations

from collections.abc import Sequence

from ..engines.command import CommandEngine

__all__ = ["TIMEOUT", "probe_words"]

TIMEOUT = 60
"""Seconds that one probe may take: under load its token waits in the queue like any other."""

PROGRAM = f"""\
import json, os, sys, urllib.request
url, model, key_file = sys.argv[1:]
headers, body = {{"Content-Type": "application/json"}}, None
if key_file:
    headers["Authorization"] = "Bearer " + open(key_file).read().strip()
if model:
    body = json.dumps({{"model": model, "prompt": "1", "max_tokens": 1}}).encode()
opener = urllib.request.build_opener(urllib.request.ProxyHandler({{}}))
opener.open(urllib.request.Request(os.path.expandvars(url), body, headers), timeout={TIMEOUT - 5}).read()
"""


def probe_words(engine: CommandEngine, origin: str, model: str, key_file: str | None) -> Sequence[str]:
    """A command that ends with 0 once the server has generated a token.

    Args:
        engine: whose own health path generates, or does not.
        origin: of the server, such as http://127.0.0.1:30000; it may name an environment variable, such as http://$POD_IP:30000.
        model: name under which it is served.
        key_file: file of the clients' key, if it asks for one.
    """
    if engine.traits.generating_probe:
        return ("python3", "-c", PROGRAM, origin + engine.traits.health_path, "", "")
    return ("python3", "-c", PROGRAM, origin + "/v1/completions", model, key_file or "")
