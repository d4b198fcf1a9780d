"""A cache by identity, for frozen objects that are too large to hash."""

import weakref
from typing import Any, Generic, TypeVar

V = TypeVar("V")


class _Entry(weakref.ref[Any]):
    """One object a message, where a thousand conversations are alive: what is kept hangs on the reference itself."""

    __slots__ = ("number", "value")
    number: int
    value: Any


class IdentityCache(Generic[V]):
    """Keeps a value for each living object; it goes when the object does. Contents are never hashed."""

    __slots__ = ("_drop", "_entries")

    def __init__(self) -> None:
        self._entries: dict[int, _Entry] = {}
        entries = self._entries

        def drop(dead: Any) -> None:
            if entries.get(dead.number) is dead:
                del entries[dead.number]

        self._drop = drop

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: object) -> V | None:
        """The value kept for this very object."""
        entry = self._entries.get(id(key))
        return entry.value if entry is not None and entry() is key else None

    def put(self, key: object, value: V) -> None:
        """Keeps `value` as long as `key` lives. Raises TypeError where `key` cannot be weakly referenced."""
        entry = _Entry(key, self._drop)
        entry.number, entry.value = id(key), value
        self._entries[entry.number] = entry
