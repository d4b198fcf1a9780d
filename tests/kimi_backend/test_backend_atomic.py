"""Files that are whole or not there."""

from pathlib import Path

import pytest
from kimi_backend.atomic import new_file, partial_of, write_file


def test_a_link_in_the_place_of_the_partial_file_is_not_written_through(tmp_path: Path) -> None:
    victim, wanted = tmp_path / "victim", tmp_path / "plan.json"
    victim.write_text("kept")
    partial_of(wanted).symlink_to(victim)
    write_file(wanted, b"new")
    assert (victim.read_text(), wanted.read_text()) == ("kept", "new")
    assert not wanted.is_symlink()


def test_what_an_earlier_run_left_is_replaced(tmp_path: Path) -> None:
    wanted = tmp_path / "plan.json"
    partial_of(wanted).write_text("half of a longer text")
    write_file(wanted, b"new")
    assert wanted.read_text() == "new" and list(tmp_path.iterdir()) == [wanted]


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    wanted = tmp_path / "plan.json"
    wanted.write_text("old")
    with pytest.raises(RuntimeError), new_file(wanted) as file:
        file.write(b"half")
        raise RuntimeError
    assert wanted.read_text() == "old" and list(tmp_path.iterdir()) == [wanted]
