"""The tool of `make demo`: current weather, from a small table instead of a service, so that it works without a network."""

from typing import TypedDict

from kimi_agent import ModelRetry, tool


class Weather(TypedDict):
    """What `get_weather` returns."""

    city: str
    condition: str
    celsius: int
    humidity_percent: int


_REPORTS: dict[str, Weather] = {
    "beijing": {"city": "Beijing", "condition": "sunny", "celsius": 27, "humidity_percent": 38},
    "shanghai": {"city": "Shanghai", "condition": "light rain", "celsius": 22, "humidity_percent": 81},
    "paris": {"city": "Paris", "condition": "overcast", "celsius": 18, "humidity_percent": 64},
    "san francisco": {"city": "San Francisco", "condition": "fog", "celsius": 14, "humidity_percent": 90},
}


@tool(timeout=10, idempotent=True)
def get_weather(city: str) -> Weather:
    """Get the current weather of a city.

    Args:
        city: Name of the city, in English.
    """
    report = _REPORTS.get(city.strip().lower().split(",")[0])
    if report is None:
        raise ModelRetry(f"no report for {city!r}; there are reports for {', '.join(r['city'] for r in _REPORTS.values())}")
    return report
