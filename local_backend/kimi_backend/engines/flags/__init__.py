"""The engines' own flags: snapshots of their real argument parsers, and a checker of command lines against them.

`snapshot.py` takes one from an installed engine; `data/` holds those of the versions that are supported. Reading a command
line against one needs no engine, and runs nothing that stands in it.
"""

from .errors import FlagError
from .library import Parsed, Snapshot, load, versions
from .options import Option
from .problems import Problem

__all__ = ["FlagError", "Option", "Parsed", "Problem", "Snapshot", "load", "versions"]
