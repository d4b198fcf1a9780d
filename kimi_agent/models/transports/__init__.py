"""How bytes get to an endpoint and back: aiohttp by default, or a client that the user brings."""
