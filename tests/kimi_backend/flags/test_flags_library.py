"""Which snapshots there are, what starts a command, and that what is known beside them fits them."""

from __future__ import annotations

import json
from importlib.resources import files

import pytest
from kimi_backend.engines.flags import FlagError, load, versions
from kimi_backend.engines.flags.known import known
from kimi_backend.engines.flags.problems import flags_of
from kimi_backend.errors import BackendError

ENGINES = ("sglang", "sglang-kt", "sglang-router", "tensorrt-llm", "vllm")
SHIPPED = [(engine, version) for engine in ENGINES for version in versions(engine)]


def test_the_versions_that_the_project_promises_are_there() -> None:
    assert {("sglang", "0.5.23"), ("vllm", "0.32.0"), ("vllm", "0.33.0"), ("sglang-kt", "0.7.2")} <= set(SHIPPED)


def test_the_newest_version_is_taken() -> None:
    assert load("vllm").version == "0.33.0"


@pytest.mark.parametrize(("engine", "version", "count"), [("sglang", "0.5.23", 532), ("vllm", "0.32.0", 318)])
def test_a_snapshot_has_as_many_options_as_the_facts_say(engine: str, version: str, count: int) -> None:
    # the facts count 532 for SGLang, and 317 flags for vLLM beside its one positional argument
    assert len(load(engine, version).options) == count


def test_an_unknown_engine_or_version_names_those_that_are_known() -> None:
    with pytest.raises(FlagError, match="known: sglang"):
        load("sglan")
    with pytest.raises(FlagError, match=r"vllm 9.*0\.32\.0, 0\.33\.0"):
        load("vllm", "9")
    assert issubclass(FlagError, BackendError)


@pytest.mark.parametrize(
    ("engine", "command"),
    [
        ("sglang", "python3 -m sglang.launch_server --a"),
        ("sglang", "/opt/venv/bin/python3.12 -m sglang.launch_server --a"),
        ("sglang", "sglang serve --a"),
        ("sglang-kt", "python -m sglang.launch_server --a"),
        ("sglang-router", "python3 -m sglang_router.launch_router --a"),
        ("vllm", "/usr/local/bin/vllm serve --a"),
        ("tensorrt-llm", "trtllm-llmapi-launch trtllm-serve --a"),
        ("tensorrt-llm", "trtllm-llmapi-launch trtllm-serve serve --a"),
        ("tensorrt-llm", "trtllm-serve --a"),
    ],
)
def test_what_follows_the_program(engine: str, command: str) -> None:
    assert load(engine).arguments(command.split()) == ("--a",)


@pytest.mark.parametrize("engine", ENGINES)
def test_another_program_is_refused(engine: str) -> None:
    for command in (["bash", "-c", "vllm serve"], [], ["python3", "-m", "sglangxlaunch_server"]):
        with pytest.raises(FlagError, match="starts with"):
            load(engine).arguments(command)


@pytest.mark.parametrize(("engine", "version"), SHIPPED)
def test_every_flag_belongs_to_one_option(engine: str, version: str) -> None:
    flags = [flag for option in load(engine, version).options for flag in option.flags]
    assert len(flags) == len(set(flags))
    assert all(flag.startswith("-") for flag in flags)


@pytest.mark.parametrize("engine", ENGINES)
def test_what_a_removed_flag_is_replaced_with_exists_in_the_newest_version(engine: str) -> None:
    there = {flag for option in load(engine).options for flag in option.flags}
    for flag, change in known(engine).removed.items():
        assert flag not in {f for option in load(engine, versions(engine)[0]).options for f in option.flags}
        assert set(flags_of(change.successor or "")) <= there, flag
    for flag, change in known(engine).older.items():
        assert flag in there
        assert set(flags_of(change.successor or "")) <= there, flag
    assert set(known(engine).needs) | set(known(engine).needs.values()) <= there


@pytest.mark.parametrize(("engine", "version"), SHIPPED)
def test_what_an_engine_names_instead_of_a_deprecated_flag_exists(engine: str, version: str) -> None:
    there = {flag for option in load(engine, version).options for flag in option.flags}
    for option in load(engine, version).options:
        assert set(flags_of(option.successor or "")) <= there, option.flags


@pytest.mark.parametrize(("engine", "version"), SHIPPED)
def test_the_files_tell_nothing_of_the_machine_that_they_were_made_on(engine: str, version: str) -> None:
    text = files("kimi_backend.engines.flags").joinpath("data", f"{engine}-{version}.json").read_text(encoding="utf-8")
    assert not any(word in text for word in ("/home/", "/root", "/tmp", "site-packages", "pyenv"))
    facts = json.loads(text)
    assert (facts["engine"], facts["version"]) == (engine, version)
    assert text.count("\n") == len(facts["options"]) + 8  # one option a line


def test_the_parsers_that_kimi_needs_are_known() -> None:
    sglang, vllm = load("sglang").option("--tool-call-parser"), load("vllm").option("tool_call_parser")
    assert sglang is not None and "kimi_k2" in (sglang.choices or ())
    assert vllm is not None and "kimi_k2" in vllm.registered
    assert load("sglang").option("--no-such-flag") is None
