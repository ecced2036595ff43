"""`minigemini data list`: the data sources of the paper."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from .common import fail, one_line_errors
from .streams import print_json

if TYPE_CHECKING:
    from ..dataprep.source_spec import RemoteFile, SourceSpec


def complete_source(incomplete: str) -> list[str]:
    """Complete the name of a source in the shell."""
    from ..dataprep.sources import SOURCES

    return [name for name in SOURCES if name.startswith(incomplete)]


@one_line_errors
def list_sources(
    source: Annotated[
        str | None, typer.Argument(help="Show everything about this source.", autocompletion=complete_source)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the records as JSON.")] = False,
) -> None:
    """List the data sources of the paper.

    Shows for each source its number of samples, what the paper uses and what it contains; for a single source also its
    files and license.

    Example: minigemini data list docvqa
    """
    from ..dataprep.sources import SOURCES, find_source

    try:
        chosen = [find_source(source)] if source else list(SOURCES.values())
    except ValueError as error:
        fail(str(error))
    if as_json:
        print_json([{**asdict(each), "samples": each.samples} for each in chosen], indent=2)
    elif source:
        print(_record(chosen[0]))
    else:
        print(_table(chosen))


def _table(sources: "list[SourceSpec]") -> str:
    from ..dataprep.sources import MIXTURES, SOURCES

    lines = [f"{'source':18}{'samples':>9}  {'the paper':28}what it is"]
    for source in sources:
        count = "" if source.samples is None else f"{source.samples:,}"
        lines.append(f"{source.name:18}{count:>9}  {source.paper:28}{source.title}")
    for name, parts in MIXTURES.items():
        total = sum(SOURCES[part].samples or 0 for part in parts)
        lines.append(f"\n{name}: {total:,} samples of {', '.join(parts)}")
    return "\n".join(lines)


def _record(source: "SourceSpec") -> str:
    count = "unknown until downloaded" if source.samples is None else f"{source.samples:,}"
    lines = [
        f"{source.name}: {source.title}",
        f"  stage     {source.stage}",
        f"  page      {source.page}",
        f"  license   {source.licence}",
        f"  format    {source.format}",
        f"  images    {source.images or 'none'}",
        f"  samples   {count}; the paper says {source.paper}",
        f"  rule      {source.rule}",
        *([f"  decay     {source.decay}"] if source.decay else []),
        "  files",
        *(f"    {_file(file)}" for file in source.files),
    ]
    return "\n".join(lines)


def _file(file: "RemoteFile") -> str:
    size = f", {file.size:,} bytes" if file.size else ""
    checksum = next((f", {kind} {value}" for kind in ("sha256", "sha1") if (value := getattr(file, kind))), "")
    where = file.url or f"download by hand: {file.by_hand}"
    return f"{file.path}\n      {where}{size}{checksum}"
