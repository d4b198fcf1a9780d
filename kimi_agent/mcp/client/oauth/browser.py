"""How a person is asked: by the browser of this machine, or by nobody."""

import asyncio
import os
import sys
import webbrowser
from collections.abc import Awaitable, Callable

from kimi_agent.errors import UserError

Open = Callable[[str], Awaitable[str | None]]
"""Takes the URL at which a person signs in; returns the one that the browser was then sent to, or None where that is the loopback
listener's."""

_WHAT_TO_DO = (
    "Sign in once where there is a browser, with the same token store; or use a token or an API key in headers=, or "
    'OAuth(grant="client_credentials", …) for a program that acts for itself.'
)


async def open_browser(url: str) -> None:
    """Prints the URL on standard error and opens the browser. Raises UserError at once where nobody would see either."""
    browser = _graphical()
    if os.environ.get("CI") or (browser is None and not sys.stderr.isatty()):
        await no_browser(url)
    print(f"Sign in to the MCP server in your browser:\n  {url}", file=sys.stderr, flush=True)
    if browser is not None:
        await asyncio.to_thread(browser.open, url)


async def no_browser(url: str) -> None:
    """Never asks anybody. Raises UserError."""
    raise UserError(f"this MCP server wants a person to sign in, and there is neither a browser nor a terminal. {_WHAT_TO_DO}")


def _graphical() -> webbrowser.BaseBrowser | None:
    """A browser with a window of its own: a text browser would take the terminal over."""
    try:
        browser = webbrowser.get()
    except webbrowser.Error:
        return None
    text = isinstance(browser, webbrowser.GenericBrowser) and not isinstance(browser, webbrowser.BackgroundBrowser)
    return None if text else browser
