"""`kimi-backend fetch` and `serve --embedded`: the model on the CPU."""

from __future__ import annotations

from typing import Annotated

import typer

from .failing import failed

__all__ = ["fetch", "serve"]

Model = Annotated[str, typer.Option("--model", help="default, small, or the path of a GGUF file.")]


def fetch(model: Model = "default") -> None:
    """Download an embedded model into the cache: once, checked, and resumed when it was broken off."""
    from ..embedded import EmbeddedError, available, open_engine
    from ..embedded.progress import obtain_with_bar

    try:
        path = obtain_with_bar(model)
        if available() is None:
            typer.echo("preparing it: later starts are faster", err=True)
            open_engine(model).close()
    except (EmbeddedError, OSError) as error:
        raise failed(error) from error
    typer.echo(path)


def serve(
    embedded: Annotated[bool, typer.Option("--embedded", help="Serve the embedded CPU model.")] = False,
    model: Model = "default",
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")] = 30000,
    raw: Annotated[bool, typer.Option("--raw", help="llama.cpp's own server, without our tool calls.")] = False,
) -> None:
    """Serve an OpenAI-compatible endpoint."""
    if not embedded:
        raise typer.BadParameter("say which engine: --embedded", param_hint="--embedded")
    from ..embedded import EmbeddedError
    from ..embedded.serve import serve_engine, serve_raw

    if host not in ("127.0.0.1", "::1", "localhost"):
        typer.echo(f"warning: {host} is not loopback; anyone who reaches this port can use the model", err=True)
    try:
        (serve_raw if raw else serve_engine)(model, host, port)
    except (EmbeddedError, OSError) as error:
        raise failed(error) from error
