"""A cache by identity, for frozen objects that are too large to hash."""

import weakref
from typing import Generic, TypeVar

V = TypeVar("V")


class IdentityCache(Generic[V]):
    """Keeps a value for each living object; it goes when the object does. Contents are never hashed."""

    __slots__ = ("_entries",)

    def __init__(self) -> None:
        self._entries: dict[int, tuple[weakref.ref[object], V]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: object) -> V | None:
        """The value kept for this very object."""
        entry = self._entries.get(id(key))
        return entry[1] if entry is not None and entry[0]() is key else None

    def put(self, key: object, value: V) -> None:
        """Keeps `value` as long as `key` lives. Raises TypeError where `key` cannot be weakly referenced."""
        number, entries = id(key), self._entries

        def drop(dead: weakref.ref[object]) -> None:
            if (entry := entries.get(number)) is not None and entry[0] is dead:
                del entries[number]

        entries[number] = (weakref.ref(key, drop), value)
