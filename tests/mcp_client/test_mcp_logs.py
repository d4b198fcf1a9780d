"""What the SDK logs of a server, as a program's handlers see it."""

import io
import logging
import subprocess
import sys
from collections.abc import Iterator

import mcp.client.session
import pytest

import kimi_agent.mcp
from kimi_agent.redact import register_secret

SAID = "it says \x1b]0;owned\x07 \u202e secret-of-the-logs \x9b2J"
SHOWN = "it says \\u001b]0;owned\\u0007 \\u202e *** \\u009b2J"


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    register_secret("secret-of-the-logs")
    handler = logging.StreamHandler(text := io.StringIO())
    logging.getLogger().addHandler(handler)
    yield text
    logging.getLogger().removeHandler(handler)


@pytest.mark.parametrize("name", ["mcp", "mcp.client.stdio", "mcp.shared.anything_new"])
def test_a_programs_handlers_see_it_without_secrets_and_escapes(name: str, written: io.StringIO) -> None:
    assert kimi_agent.mcp
    logging.getLogger(name).warning("%s", SAID)
    assert written.getvalue() == SHOWN + "\n"
    try:
        raise ValueError(SAID)
    except ValueError:
        logging.getLogger(name).exception("failed")
    assert SHOWN in written.getvalue() and "\x1b" not in written.getvalue() and "secret-of-the-logs" not in written.getvalue()


def test_the_session_of_the_sdk_logs_under_a_name_that_others_may_have(written: io.StringIO) -> None:
    logger = mcp.client.session.logger
    record = logger.makeRecord(logger.name, logging.WARNING, mcp.client.session.__file__, 1, SAID, (), None)
    logger.handle(record)
    assert written.getvalue() == SHOWN + "\n"
    logging.getLogger(logger.name).warning("my own \x1b[1mbold\x1b[0m line")
    assert "my own \x1b[1mbold" in written.getvalue()


SILENT = """
import logging, kimi_agent.mcp, mcp.client.session as s
logging.getLogger("mcp.client.stdio").error("raw \\x1b[2J")
s.logger.handle(s.logger.makeRecord(s.logger.name, logging.ERROR, s.__file__, 1, "raw \\x1b[2J", (), None))
logging.getLogger("client").error("my own")
"""


def test_without_a_handler_the_sdk_is_silent_and_the_program_is_not() -> None:
    done = subprocess.run([sys.executable, "-c", SILENT], capture_output=True, text=True, timeout=50, check=True)
    assert done.stdout == "" and done.stderr == "my own\n"
