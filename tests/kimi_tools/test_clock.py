"""The clock."""

from datetime import UTC, datetime

import pytest
from kimi_tools import current_time

from kimi_agent import ModelRetry


def test_the_time_is_now_in_the_zone_that_was_asked_for() -> None:
    told = datetime.fromisoformat(current_time("Asia/Shanghai"))
    assert str(told.utcoffset()) == "8:00:00"
    assert abs((told - datetime.now(UTC)).total_seconds()) < 5


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", "../etc/passwd"])
def test_a_zone_that_is_none_is_told_to_the_model(zone: str) -> None:
    with pytest.raises(ModelRetry, match="IANA"):
        current_time(zone)
