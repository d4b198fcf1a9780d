"""What `--header` and `--env` of `kimi-agent mcp call` send to a server."""

import pytest
from aiohttp import web
from cli_process import cli
from test_mcp_call import CHILD

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


async def test_variables_are_filled_in() -> None:
    code, out, _ = await cli("mcp", "call", CHILD, "environment", "name=PLACE", "--env", "PLACE=in ${CITY:-Rome}", CITY="Paris")
    assert (code, out) == (0, "in Paris\n")


async def test_the_header_that_is_advised_works_as_it_is_written() -> None:
    seen: list[str | None] = []

    async def closed(request: web.Request) -> web.Response:
        seen.append(request.headers.get("Authorization"))
        return web.Response(status=401)

    app = web.Application()
    app.router.add_route("*", "/mcp", closed)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/mcp"
        header = "Authorization=Bearer ${TOKEN}"
        code, _, err = await cli("mcp", "call", url, "--header", header, TOKEN="the-real-token")
        assert code == 3 and f"--header '{header}'" in err and "the-real-token" not in err
        assert set(seen) == {"Bearer the-real-token"}
        seen.clear()
        code, _, err = await cli("mcp", "call", url, "--header", header)
        assert code == 2 and "--header: the variable TOKEN is not set" in err and seen == []
    finally:
        await runner.cleanup()
