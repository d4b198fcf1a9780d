"""One small file a library: `IMPORT`, what its start-up imports, and `build(base_url, model, tools, stream, max_turns)`,
which gives an async function from a prompt to the final text."""
