"""What a run may use, and what it used. A limit ends a run with a stop reason and a usable history, never with an exception."""

from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens and money that requests used.

    Attributes:
        requests: model requests.
        input_tokens: tokens sent, `cached_tokens` of them read from the endpoint's cache.
        output_tokens: tokens generated, `reasoning_tokens` of them thoughts.
        cost_usd: US dollars, for the requests whose model has a price (see `Profile.price`); 0.0 where none has.
    """

    requests: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    cost_usd: float = 0.0

    @property
    def total_tokens(self) -> int:
        """Tokens sent and generated."""
        return self.input_tokens + self.output_tokens

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            requests=self.requests + other.requests,
            input_tokens=self.input_tokens + other.input_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            reasoning_tokens=self.reasoning_tokens + other.reasoning_tokens,
            cost_usd=self.cost_usd + other.cost_usd,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What ends a run early. `None` means no limit.

    Attributes:
        turns: model turns, and requests beside them (`RunContext.ask_model`); stop reason "turns".
        tokens: tokens sent and generated, over all requests; "tokens". Looked at before each.
        cost_usd: US dollars; "cost". Needs a model with a price.
        wall_clock: seconds from the start of the run; "wall_clock". Model call and tools are cancelled when it is over.
        repeats: identical calls (same tool, same arguments, same result) in unbroken succession of turns; "repeated_calls".
    """

    turns: int | None = 100
    tokens: int | None = None
    cost_usd: float | None = None
    wall_clock: float | None = None
    repeats: int | None = 12

    def __post_init__(self) -> None:
        """Raises ValueError for a limit that no run could keep."""
        for f in fields(self):
            value = getattr(self, f.name)
            if value is not None and value <= 0:
                raise ValueError(f"Limits({f.name}={value}): a limit is above 0, or None")
