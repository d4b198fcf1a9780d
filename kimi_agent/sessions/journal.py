"""The seam between a run and what remembers it."""

from typing import Protocol

from kimi_agent.errors import UserError
from kimi_agent.records import Record


class Journal(Protocol):
    """Keeps records in order.

    `append` returns when the record is as safe as this journal makes it: the loop starts a tool only after the record that says
    so is in. It must not reorder, and may be called by several tasks of one run. A journal serves one conversation.
    """

    async def append(self, record: Record) -> None:
        """Adds a record at the end."""
        ...

    async def read(self) -> tuple[Record, ...]:
        """All records, oldest first."""
        ...


_claimed: set[tuple[int, str | None]] = set()


def claim(journal: Journal, parent_call_id: str | None) -> None:
    """One run at a time writes to a journal, else a call could start twice. Raises UserError; see `release`."""
    key = (id(journal), parent_call_id)
    if key in _claimed:
        raise UserError("a run with this journal is under way: wait for its end, or give each conversation its own journal")
    _claimed.add(key)


def release(journal: Journal, parent_call_id: str | None) -> None:
    """Another run may have the journal."""
    _claimed.discard((id(journal), parent_call_id))


class MemoryJournal:
    """Keeps records in memory: they live as long as the object.

    Attributes:
        records: all records so far, oldest first.
    """

    def __init__(self, records: tuple[Record, ...] = ()) -> None:
        self.records = list(records)

    async def append(self, record: Record) -> None:
        """Adds a record at the end."""
        self.records.append(record)

    async def read(self) -> tuple[Record, ...]:
        """All records, oldest first."""
        return tuple(self.records)
