"""What one process measured."""

from dataclasses import asdict, dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One scenario of one driver in one process.

    Attributes:
        driver: its name.
        scenario: its name, or "startup".
        wall_s: seconds of one repetition, all its runs; of start-up: of the import.
        cpu_s: CPU seconds of the same, all threads of the process.
        peak_mib: most memory that the process ever held, MiB.
        tool_calls: that were really made, in all repetitions.
        at_once: tools that ran at once, at most.
        early_cpu_s: CPU seconds a turn of turns 5 to 45, where one long run is measured.
        late_cpu_s: of its last 40 turns.
        modules: that start-up imported.
        pinned: whether the process was held on one core.
        round: which round it belongs to.
        error: why there are no figures; "" where there are.
    """

    driver: str
    scenario: str
    wall_s: float = 0.0
    cpu_s: float = 0.0
    peak_mib: float = 0.0
    tool_calls: int = 0
    at_once: int = 0
    early_cpu_s: float = 0.0
    late_cpu_s: float = 0.0
    modules: int = 0
    pinned: bool = False
    round: int = 0
    error: str = ""

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)

    @classmethod
    def of(cls, values: dict[str, Any]) -> Self:
        """From what `to_dict` gave."""
        return cls(**values)
