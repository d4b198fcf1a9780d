"""Headers and indices that are damaged, or written to do harm."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path
from typing import Any

import pytest
from checkpoint_makers import TINY, bf16_spec, make_sparse, raw_header
from kimi_backend.checkpoint import CheckpointError, inspect
from kimi_backend.checkpoint.headers import read_header
from kimi_backend.checkpoint.index import read_index
from needs import needs

GOOD = {"dtype": "BF16", "shape": [2, 3], "data_offsets": [0, 12]}


def write(path: Path, entries: dict[str, Any] | str | bytes, data: int = 12) -> Path:
    """A file of this header and so many bytes."""
    text = entries if isinstance(entries, bytes) else (entries if isinstance(entries, str) else json.dumps(entries)).encode()
    path.write_bytes(raw_header(text) + bytes(data))
    return path


@pytest.mark.parametrize(
    ("entries", "why"),
    [
        ({"a": GOOD | {"shape": [2, -3]}}, "whole numbers from 0"),
        ({"a": GOOD | {"shape": [2, 3.0]}}, "whole numbers from 0"),
        ({"a": GOOD | {"shape": [True, 6]}}, "whole numbers from 0"),
        ({"a": GOOD | {"shape": [1 << 63, 0]}}, "whole numbers from 0"),
        ({"a": GOOD | {"shape": "23"}}, "whole numbers from 0"),
        ({"a": GOOD | {"shape": [1] * 65}}, "at most 64"),
        ({"a": GOOD | {"shape": [3, 3]}}, "does not take the 12 bytes"),
        ({"a": GOOD | {"dtype": "BF17"}}, "element type 'BF17'"),
        ({"a": GOOD | {"dtype": ["BF16"]}}, "element type"),
        ({"a": GOOD | {"dtype": "F4", "shape": [3], "data_offsets": [0, 1]}}, "does not take"),
        ({"a": GOOD | {"data_offsets": [0]}}, "1 offsets"),
        ({"a": GOOD | {"data_offsets": [12, 0]}}, "does not take the -12 bytes"),
        ({"a": GOOD | {"more": 1}}, "must have dtype, shape and data_offsets"),
        ({"a": {"dtype": "BF16", "shape": [2, 3]}}, "must have dtype, shape and data_offsets"),
        ({"a": [1]}, "list where an object belongs"),
        ({"a": GOOD, "b": GOOD | {"shape": [1, 3], "data_offsets": [6, 12]}}, "overlap"),
        ({"a": GOOD, "b": GOOD | {"shape": [1], "data_offsets": [14, 16]}}, "have a hole"),
        ({"a": GOOD | {"data_offsets": [4, 16]}}, "before its first tensor"),
        ({"a\nb": GOOD}, "not printable"),
        ({"\x1b[31m": GOOD}, "not printable"),
        ({"": GOOD}, "not printable"),
        ({"a": GOOD, "__metadata__": {"format": 1}}, "map text to text"),
        ({"a": GOOD, "__metadata__": "pt"}, "str where an object belongs"),
        ('{"a": {}, "a": {}}', "'a' stands twice"),
        ('{"a": {"dtype": "BF16", "dtype": "F32", "shape": [2, 3], "data_offsets": [0, 12]}}', "'dtype' stands twice"),
        ("[1, 2]", "not a JSON object"),
        ('{"a": ', "damaged"),
        (b'{"\xff": 1}', "damaged"),
        ('{"a":' + "[" * 200_000 + "]" * 200_000 + "}", "damaged"),
        ('{"a": ' + "9" * 5000 + "}", "damaged"),
    ],
)
def test_a_bad_header_is_refused(tmp_path: Path, entries: dict[str, Any] | str | bytes, why: str) -> None:
    with pytest.raises(CheckpointError, match=why):
        read_header(write(tmp_path / "x.safetensors", entries, 16))


def test_what_we_accept_the_library_accepts(tmp_path: Path) -> None:
    """Damage at random: never another error than ours, and never a file that the safetensors library itself refuses."""
    library = needs("safetensors")
    chance = random.Random(3)
    entries = {"__metadata__": {"format": "pt"}, "a": GOOD, "b": {"dtype": "F32", "shape": [], "data_offsets": [12, 16]}}
    sound = write(tmp_path / "x.safetensors", entries, 16).read_bytes()
    accepted = 0
    for _ in range(500):
        damaged = bytearray(sound)
        for _ in range(chance.randint(1, 3)):
            damaged[chance.randrange(len(damaged) - 16)] = chance.choice(b'0123456789{}[]",:-. FB\x00\xff')
        (tmp_path / "x.safetensors").write_bytes(damaged)
        try:
            read_header(tmp_path / "x.safetensors")
        except CheckpointError:
            continue
        accepted += 1
        assert library.deserialize(bytes(damaged))
    assert 0 < accepted < 250


def test_files_that_are_not_whole(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    for data, why in ((11, "cut short: 85 bytes of 86, 1 are missing"), (13, "too long")):
        with pytest.raises(CheckpointError, match=why):
            read_header(write(path, {"a": GOOD}, data))
    path.write_bytes(b"1234")
    with pytest.raises(CheckpointError, match="cut short"):
        read_header(path)
    path.write_bytes((1 << 62).to_bytes(8, "little") + b"{}")
    with pytest.raises(CheckpointError, match="cut short"):
        read_header(path)


def test_a_header_longer_than_the_library_allows_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    with path.open("wb") as file:
        file.write((100_000_001).to_bytes(8, "little"))
        file.truncate(200_000_000)
    with pytest.raises(CheckpointError, match="safetensors allows 100,000,000"):
        read_header(path)


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.safetensors")
    with pytest.raises(CheckpointError, match="is not a file"):
        read_header(tmp_path / "x.safetensors")
    with pytest.raises(CheckpointError, match="No such file"):
        read_header(tmp_path / "y.safetensors")


def test_spaces_after_the_header_and_empty_tensors_are_allowed(tmp_path: Path) -> None:
    entries = {"a": GOOD, "empty": {"dtype": "F32", "shape": [0, 7], "data_offsets": [12, 12]}}
    found = read_header(write(tmp_path / "x.safetensors", json.dumps(entries) + "   "))
    assert (found.data_bytes, len(found.tensors)) == (12, 2)


@pytest.mark.parametrize(
    "name",
    ["../x.safetensors", "/etc/x.safetensors", "a/x.safetensors", "a\\x.safetensors", "C:x.safetensors", "..", "", ".safetensors",
     "x.bin", "x\n.safetensors", "x\0.safetensors", 7, None],
)  # fmt: skip
def test_an_index_names_only_files_of_its_folder(tmp_path: Path, name: object) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": name}}))
    with pytest.raises(CheckpointError, match="names the file"):
        read_index(tmp_path)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"weight_map": []}', '{"weight_map": {"a": "x.safetensors", "a": "y.safetensors"}}']
)
def test_a_damaged_index_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(text)
    with pytest.raises(CheckpointError, match="damaged"):
        read_index(tmp_path)


def test_inspect_refuses_what_does_not_belong_together(tmp_path: Path) -> None:
    files = make_sparse(tmp_path, bf16_spec(TINY), TINY)
    first, second, _ = files
    (tmp_path / second).rename(tmp_path / "away")
    with pytest.raises(CheckpointError, match=f"1 of 3 files are missing, the first is {second}"):
        inspect(tmp_path)
    (tmp_path / second).write_bytes((tmp_path / first).read_bytes())
    with pytest.raises(CheckpointError, match="in two files"):
        inspect(tmp_path)
    with pytest.raises(CheckpointError, match="holds no safetensors file"):
        inspect(tmp_path / "..")
    with pytest.raises(CheckpointError, match="name the folder of a checkpoint"):
        inspect(tmp_path / "nowhere")


def test_hostile_names_are_not_echoed_at_length(tmp_path: Path) -> None:
    entry = {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}
    for name, header in {
        "name": {"n" * 1_000_000: entry},
        "dtype": {"a": entry | {"dtype": "d" * 1_000_000}},
        "keys": {"a": {f"k{i}": 0 for i in range(100_000)}},
        "escape": {"a": entry | {"dtype": "\x1b[2J\u202e"}},
    }.items():
        path = tmp_path / f"{name}.safetensors"
        path.write_bytes(raw_header(json.dumps(header).encode()) + bytes(4))
        with pytest.raises(CheckpointError) as caught:
            read_header(path)
        assert len(str(caught.value)) < 600 + len(str(path))
        assert str(caught.value).isprintable()


def test_a_pointer_of_git_lfs_is_called_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:aaa\nsize 123\n")
    with pytest.raises(CheckpointError, match=r"is a pointer of Git LFS.*git lfs pull"):
        read_header(path)


def test_half_of_a_character_in_the_metadata(tmp_path: Path) -> None:
    """JSON can spell it, the library refuses it, and no file could be written with it."""
    path = tmp_path / "model.safetensors"
    path.write_bytes(raw_header(b'{"__metadata__":{"x":"\\ud800"}}'))
    with pytest.raises(CheckpointError, match="half of a character"):
        read_header(path)
