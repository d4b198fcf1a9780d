"""A server that misbehaves in a call: the model sees what happened, all else goes on, and the next call is answered."""

import re
from pathlib import Path

import pytest
from chaos_drill import chaos, do, run
from chaos_drills import DRILLS, Drill, turns

from kimi_agent import call

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

_SLOW = 2.0  # drills that may take longer are not part of the fast tests, nor those of a hung server, which it takes to close one
_CASES = [
    pytest.param(drill, how, id=f"{drill}-{how}", marks=[pytest.mark.slow] if drill.promised > _SLOW or drill.hangs else [])
    for drill in DRILLS
    for how in drill.how
]


@pytest.mark.parametrize(("drill", "how"), _CASES)
async def test_the_model_sees_it_and_the_next_call_is_answered(drill: Drill, how: str, tmp_path: Path) -> None:
    async with chaos(tmp_path, *drill.options, how=how, **drill.client) as one:
        before, faulty = turns(drill)
        if drill.fault == "restart":  # between two calls: one that comes in that very moment may be lost
            ran = await run(one.server, [faulty, call("lamp", name="lamp")])
            await one.until(lambda: len(one.events("start")) > 1)
            ran.texts.extend((await run(one.server, do("b"))).texts)
        else:
            ran = await run(one.server, *before, [faulty, call("lamp", name="lamp")], do("b"))
        seen, *others = ran.texts[len(before) :]
        assert re.search(drill.sees, seen), seen[:500]
        assert drill.is_error in (None, ran.errors[len(before)])
        assert others == ["lamp is on", "do did b"]
        assert (ran.stop_reason, ran.output) == ("completed", "Done.")
        assert (one.effects("a"), one.effects("b")) == (drill.effects, 1)
        assert len(seen) < 60_000
        if drill.again is not None:
            assert (one.server.status.restarts > 0) == drill.again
