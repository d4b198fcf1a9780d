"""Commands of several ranks in one: what counts up with the rank becomes a number that is worked out where it runs."""

from __future__ import annotations

import pytest
from kimi_backend.launch import Invocation
from kimi_backend.render.words import Variable, fold, text_of

MARKS = {"HEAD": "head"}


def invocations(*commands: str) -> list[Invocation]:
    return [Invocation(argv=tuple(command.split(" "))) for command in commands]


def test_equal_words_stay_and_numbers_become_the_rank() -> None:
    folded = fold(invocations("x --rank 0 HEAD:20", "x --rank 1 HEAD:20", "x --rank 2 HEAD:20"), 0, MARKS)
    assert folded
    assert folded.words == (("x",), ("--rank",), (Variable("rank"),), (Variable("head"), ":20"))
    assert [text_of(word, {"rank": "2", "head": "n1"}) for word in folded.words] == ["x", "--rank", "2", "n1:20"]


def test_numbers_may_grow_by_more_than_one_from_anywhere() -> None:
    folded = fold(invocations("--start=108", "--start=116", "--start=124"), 1, MARKS)
    assert folded
    assert folded.words == (("--start=", Variable("rank", 8, 100)),)


@pytest.mark.parametrize(
    "commands",
    [("a 0", "a 1", "a 3"), ("a 1", "a 0"), ("a x", "a y"), ("a 0", "a 1 b"), ("a-0 z", "b-1 z"), ("a 0 0", "a 1 x")],
)
def test_what_does_not_count_up_is_not_one_command(commands: tuple[str, ...]) -> None:
    assert fold(invocations(*commands), 0, MARKS) is None


def test_environments_and_files_must_agree() -> None:
    first = Invocation(argv=("a",), env={"RANK": "0"}, files={"f": "1"})
    second = Invocation(argv=("a",), env={"RANK": "1"}, files={"f": "1"})
    folded = fold([first, second], 0, MARKS)
    assert folded
    assert folded.env == {"RANK": (Variable("rank"),)}
    assert fold([first, Invocation(argv=("a",), env={"RANK": "1"}, files={"f": "2"})], 0, MARKS) is None
    assert fold([first, Invocation(argv=("a",), env={"OTHER": "1"}, files={"f": "1"})], 0, MARKS) is None
