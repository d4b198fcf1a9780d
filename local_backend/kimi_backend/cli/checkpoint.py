"""`kimi-backend checkpoint …`: look at one, check it, compare two copies, convert it, make a tiny one."""

from __future__ import annotations

import json as json_module
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import typer

from ..errors import BackendError
from ..plan.words import plain
from .failing import told

__all__ = ["checkpoint"]

Folder = Annotated[Path, typer.Argument(help="Folder of the checkpoint.", show_default=False)]
AsJSON = Annotated[bool, typer.Option("--json", help="As JSON on standard output.")]

checkpoint = typer.Typer(name="checkpoint", help="Look at, verify, compare, convert and make checkpoints.", no_args_is_help=True)


@checkpoint.command()
@told
def inspect(folder: Folder, json: AsJSON = False) -> None:
    """What is in it, from the files' headers alone: parameters by component, bytes by type, layers."""
    from ..checkpoint import inspect as look

    summary = look(folder)
    if json:
        _say_json(asdict(summary))
    else:
        from ..checkpoint.tables import summary_table

        _print(summary_table(summary))


@checkpoint.command()
@told
def verify(folder: Folder, json: AsJSON = False) -> None:
    """Whether it is whole and the model of its config.json, from headers alone. Exit code 1 for errors, 0 for warnings."""
    from ..checkpoint import verify as check

    report = check(folder)
    if json:
        groups = [{**asdict(group.first), "more": group.more} for group in report.groups()]
        _say_json({"ok": report.ok, "files": report.files, "tensors": report.tensors, "findings": groups})
    elif report.findings:
        from ..checkpoint.tables import findings_table

        _print(findings_table(report))
    else:
        typer.echo(f"whole: {report.tensors:,} tensors in {report.files:,} files")
    if not report.ok:
        raise typer.Exit(1)


@checkpoint.command("hash")
@told
def hash_(
    folder: Folder,
    output: Annotated[Path | None, typer.Option(help="Write the list here, in the form of sha256sum.")] = None,
    against: Annotated[Path | None, typer.Option(help="Compare with such a list, made on another node.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Files read at once.")] = 2,
) -> None:
    """SHA-256 of all files, to hold two nodes' copies against each other. Exit code 1 where they differ."""
    from ..checkpoint import compare_hashes, hash_files, read_hashes, write_hashes
    from ..checkpoint.progress import progress_bar

    if output is not None and not output.parent.is_dir():  # said now, and not when a terabyte has been read
        raise BackendError(f"{output} cannot be written: there is no folder {output.parent}; make it first")
    expected = read_hashes(against) if against else None
    with progress_bar() as progress:
        found = hash_files(folder, workers=workers, progress=progress)
    if output is not None:
        write_hashes(output, found)
        typer.echo(output)
    if expected is None:
        for name, digest in found.items() if output is None else ():
            typer.echo(f"{digest}  {name}")
        return
    differing = compare_hashes(expected, found)
    for finding in differing:
        typer.echo(f"{finding.level}: {finding.file}: {finding.problem}; {finding.remedy}")
    if any(finding.level == "error" for finding in differing):
        raise typer.Exit(1)
    typer.echo(f"the same: {len(found):,} files")


@checkpoint.command()
@told
def convert(
    source: Folder,
    target: Annotated[Path, typer.Argument(help="New folder, or one whose conversion was broken off.", show_default=False)],
    to: Annotated[Literal["bf16", "fp8"], typer.Option(help="bf16 undoes block-fp8; fp8 makes it.")],
) -> None:
    """Between block-fp8 and bf16, shard by shard; the same command goes on after an interruption. Needs torch."""
    _need_torch()
    from ..checkpoint.convert import convert as start
    from ..checkpoint.progress import progress_bar

    with progress_bar() as progress:
        done = start(source, target, to=to, progress=progress)
    files = f"{done.written} files written, {done.kept} kept"
    typer.echo(f"{done.target}: {done.converted:,} tensors converted, {done.bytes / 1e9:,.2f} GB; {files}")
    for name in done.left_out:
        typer.echo(f"left out: {plain(name)}", err=True)


@checkpoint.command()
@told
def tiny(
    folder: Annotated[Path, typer.Argument(help="New folder.", show_default=False)],
    call: Annotated[list[str] | None, typer.Option(help='Answers that are calls, in turn: get_weather={"city": "Tokyo"}.')] = None,
    say: Annotated[list[str] | None, typer.Option(help="Answers that are text, after those; the last answer is repeated.")] = None,
    fp8: Annotated[bool, typer.Option("--fp8", help="In block-fp8, as K2's own.")] = False,
    seed: Annotated[int, typer.Option(help="Of the weights.")] = 0,
) -> None:
    """A tiny checkpoint of K2's architecture for trying engines; with --call and --say, one that answers just so. Needs torch."""
    _need_torch()
    from ..checkpoint.tiny import Turn, make_scripted, make_tiny

    form = "block-fp8" if fp8 else "bf16"
    turns: list[Turn] = [*map(_call, call or ()), *(say or ())]
    if turns:
        make_scripted(folder, turns, seed=seed, quantization=form)
    else:
        make_tiny(folder, seed=seed, quantization=form)
    typer.echo(folder)


def _call(text: str) -> Any:
    from ..checkpoint.tiny import Call

    name, equals, arguments = text.partition("=")
    try:
        found: object = json_module.loads(arguments) if equals else {}
    except ValueError as error:
        raise typer.BadParameter(f"{text!r}: the arguments are no JSON: {error}") from error
    if not isinstance(found, dict):
        raise typer.BadParameter(f"{text!r}: the arguments are no JSON object")
    return Call(name, cast("dict[str, Any]", found))


def _need_torch() -> None:
    try:
        import torch  # noqa: F401  # pyright: ignore[reportUnusedImport]
    except ModuleNotFoundError as error:
        raise BackendError(f"this needs {error.name}: pip install 'kimi-agent[local]'") from error


def _print(table: object) -> None:
    from rich.console import Console

    Console().print(table)


def _say_json(value: object) -> None:
    typer.echo(json_module.dumps(value, indent=2, ensure_ascii=False, default=str))
