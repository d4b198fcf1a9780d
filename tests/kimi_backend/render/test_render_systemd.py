"""systemd units: what systemd itself says of them, and its rules of quoting."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kimi_backend.render import Options, RenderError, render, write
from kimi_backend.render.unit_words import quote, read_unit_words, unit_lines
from render_plans import NASTY, PLANS, site_of

UNITS = [plan for plan in PLANS if plan != "tensorrt-llm-world"]


def settings_of(text: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for _, _, key, value in unit_lines(text):
        found.setdefault(key, []).append(value)
    return found


# Taken from systemd.service(5) and systemd.syntax(7), not from our writer.
@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("/bin/echo one  two", ["/bin/echo", "one", "two"]),
        ('/bin/echo "two words" \'and "these"\'', ["/bin/echo", "two words", 'and "these"']),
        (r"/bin/echo \"a\" \x41 \n", ["/bin/echo", '"a"', "A", "\n"]),
        ("/bin/echo $$HOME 100%%", ["/bin/echo", "$HOME", "100%"]),
        ('/bin/echo ""', ["/bin/echo", ""]),
    ],
)
def test_words_are_read_as_systemd_documents_them(line: str, words: list[str]) -> None:
    assert read_unit_words(line, {}, command=True) == words


@given(st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0")))
def test_any_text_is_one_word_on_one_line(text: str) -> None:
    for command in (True, False):
        word = quote(text, command=command)
        assert not set("\n\r\0") & set(word)
        assert read_unit_words(word, {}, command=command) == [text]


def test_a_unit_keeps_its_promises() -> None:
    files = render(PLANS["sglang-tp16"], site_of("sglang-tp16", key="/etc/kimi/key"), "systemd", Options(user="kimi")).files
    head, other = settings_of(files["node0.service"]), settings_of(files["node1.service"])
    assert head["LoadCredential"] == ["api-key:/etc/kimi/key"]
    assert "LoadCredential" not in other
    assert (head["User"], head["KillMode"], head["TimeoutStopSec"]) == (["kimi"], ["mixed"], ["360"])
    assert (head["LimitMEMLOCK"], head["Restart"]) == (["infinity"], ["always"])
    assert "${CREDENTIALS_DIRECTORY}/api-key" in head["ExecStart"][0]


def test_a_key_file_that_a_credential_cannot_name_is_refused() -> None:
    for path in ("/etc/a:b", "/etc/a\nUser=root", "/etc/a "):
        with pytest.raises(RenderError, match="LoadCredential"):
            render(PLANS["sglang-tp16"], replace(site_of("sglang-tp16"), api_key_file=path), "systemd")


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze, which reads units and starts nothing")
@pytest.mark.slow
@pytest.mark.parametrize("plan", UNITS)
def test_systemd_accepts_the_unit(plan: str, tmp_path: Path) -> None:
    key = None if plan.startswith("tensorrt") else "/etc/kimi/key file"
    write(render(PLANS[plan], site_of(plan, model_path=NASTY, key=key), "systemd"), tmp_path)
    units = sorted(tmp_path.glob("*.service"))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", *units], capture_output=True, text=True, check=False)
    said = [line for line in done.stderr.splitlines() if str(tmp_path) in line or any(unit.name in line for unit in units)]
    assert (done.returncode, said) == (0, [])
