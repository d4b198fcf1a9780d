"""Checkpoints: inspect and verify from headers alone, convert, and tiny ones to try engines with.

`inspect` and `verify` need neither torch nor safetensors. `kimi_backend.checkpoint.convert` needs torch; `.tables` and
`.progress` beside it need rich.
"""

from .check import verify
from .errors import CheckpointError
from .findings import Finding, Group, Report
from .hashes import compare_hashes, hash_files, read_hashes, write_hashes
from .summary import Summary, inspect

__all__ = [
    "CheckpointError",
    "Finding",
    "Group",
    "Report",
    "Summary",
    "compare_hashes",
    "hash_files",
    "inspect",
    "read_hashes",
    "verify",
    "write_hashes",
]
