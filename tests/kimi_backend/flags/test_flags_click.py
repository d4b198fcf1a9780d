"""TensorRT-LLM's command line is click's: our reading of one is compared with click itself."""

from __future__ import annotations

import random
from typing import Any

import click
import pytest
from click.exceptions import ClickException
from kimi_backend.engines.flags import FlagError, Option, load
from pydantic import JsonValue

TYPES: dict[str | None, Any] = {"int": click.INT, "float": click.FLOAT, "str": click.STRING}
WORDS = (
    "16",
    "-3",
    "0.9",
    "x",
    "a b",
    "pytorch",
    "kimi_k2",
    "--",
    "-",
    "-5",
    "stray",
    "--port",
    "--tp_siz",
    "-x",
    "--trust_remote_code",
)


def command() -> click.Command:
    """A click command with the options of the snapshot."""
    return click.Command("serve", params=[parameter(option) for option in load("tensorrt-llm").options])


def parameter(option: Option) -> click.Parameter:
    kind = click.Choice([str(c) for c in option.choices]) if option.choices else TYPES.get(option.type)
    if not option.flags:
        return click.Argument([option.dest], type=kind)
    if option.action == "true":
        return click.Option([*option.flags, option.dest], is_flag=True, default=False)
    return click.Option([*option.flags, option.dest], type=kind, default=option.default, multiple=option.action == "append")


def by_click(made: click.Command, words: list[str]) -> dict[str, Any] | None:
    """click's values; None where it refuses."""
    try:
        return dict(made.make_context("serve", list(words)).params)
    except ClickException:
        return None


def by_us(words: list[str]) -> dict[str, JsonValue] | None:
    try:
        return dict(load("tensorrt-llm").parse(words).values)
    except FlagError:
        return None


def test_random_command_lines_are_read_as_click_reads_them() -> None:
    pick, made = random.Random(6), command()
    flags = [flag for option in load("tensorrt-llm").options for flag in option.flags]
    outcomes = set[bool]()
    for _ in range(1500):
        words = ["/m"] if pick.random() < 0.8 else []
        for _ in range(pick.randint(0, 4)):
            flag, word = pick.choice(flags), pick.choice(WORDS)
            words += pick.choice([[flag, word], [f"{flag}={word}"], [flag], [word], ["--tp_size", "16"]])
        if any(p.kind == "duplicated" for p in load("tensorrt-llm").check(words)):
            continue  # click looks at the last value only; we tell of each
        theirs, ours = by_click(made, words), by_us(words)
        assert (theirs is None) == (ours is None), words
        outcomes.add(theirs is None)
        for dest in load("tensorrt-llm").parse(words).given if theirs is not None else ():
            value = theirs[dest] if theirs else None
            assert (list(value) if isinstance(value, tuple) else value) == (ours or {})[dest], words
    assert outcomes == {True, False}


def test_the_published_command_is_accepted_and_its_old_name_is_warned_of() -> None:
    line = "trtllm-llmapi-launch trtllm-serve /m --max_batch_size 161 --max_num_tokens 1160 --tp_size 16 --ep_size 4"
    line += " --kv_cache_free_gpu_memory_fraction 0.95 --tool_parser kimi_k2"
    snapshot = load("tensorrt-llm")
    new, old = (snapshot.arguments([*line.split(), flag, "./c.yml"]) for flag in ("--config", "--extra_llm_api_options"))
    assert snapshot.check(new) == []
    assert [(p.severity, p.kind, p.successor) for p in snapshot.check(old)] == [("warning", "deprecated", "--config <file>")]
    assert snapshot.parse(new)["extra_llm_api_options"] == snapshot.parse(old)["extra_llm_api_options"] == "./c.yml"
    assert snapshot.parse(new)["tensor_parallel_size"] == 16


@pytest.mark.parametrize("words", [["/m", "--max-batch-size", "8"], ["/m", "--tp_siz", "8"], ["--tp_size", "8"], ["/m", "/n"]])
def test_what_click_does_not_take(words: list[str]) -> None:
    assert by_click(command(), words) is None
    assert [p.severity for p in load("tensorrt-llm").check(words)][:1] == ["error"]
