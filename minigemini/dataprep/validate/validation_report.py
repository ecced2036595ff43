"""A diagnosis for people and for programs: a table, JSON, a page with pictures, and a manifest of what is left out."""

import os
from collections.abc import Iterable, Iterator
from itertools import groupby, islice
from pathlib import Path
from typing import Any

from ..html import bars, escape, histogram, page, shown, spread, table
from .issues import NOTED, Find
from .validation import Diagnosis

LONG_ROWS = (2048, 4096)
"""Tokens of a row in training, normal and HD."""
_SHOWN = 24


def as_text(found: Diagnosis) -> str:
    """A table for a terminal."""
    counts = found.counts
    noted = [
        *(f"{count:>10,}  {kind}" for kind, count in counts.most_common() if kind in NOTED),
        *([f"{found.repeated_ids:>10,}  id used before"] if found.repeated_ids else []),
    ]
    lines = [
        f"{found.name}: {found.rows:,} samples, {found.references:,} pictures in them, {found.pictures:,} different",
        f"of no use: {len(found.excluded):,} samples",
        *(f"{count:>10,}  {kind}" for kind, count in counts.most_common() if kind not in NOTED),
        *(["noted, and used as they are:", *noted] if noted else []),
        f"characters: {spread(found.characters[found.characters > 0])}",
    ]
    for family, tokens in found.tokens.items():
        whole = tokens[tokens > 0]
        over = ", ".join(f"{int((whole > limit).sum()):,} over {limit:,}" for limit in LONG_ROWS)
        lines.append(f"tokens, {family}: {spread(whole)}; {over}")
    return "\n".join(lines)


def as_json(found: Diagnosis) -> dict[str, Any]:
    """All of it as plain values."""
    lengths = {"characters": found.characters, **{f"tokens {name}": of for name, of in found.tokens.items()}}
    return {
        "name": found.name,
        "samples": found.rows,
        "references": found.references,
        "pictures": found.pictures,
        "excluded": len(found.excluded),
        "repeated_ids": found.repeated_ids,
        "counts": dict(found.counts.most_common()),
        "lengths": {name: dict(histogram(of[of > 0])) for name, of in lengths.items()},
        "finds": [find.plain() for find in found.finds],
    }


def as_page(found: Diagnosis) -> str:
    """A page for a browser, with pictures of the first finds of each kind."""
    rows = [(kind, "noted" if kind in NOTED else "left out", count) for kind, count in found.counts.most_common()]
    parts = [
        f"<h1>{escape(found.name)}</h1>",
        f"<p>{found.rows:,} samples, {found.references:,} pictures in them, {found.pictures:,} different. "
        f'<span class="bad">{len(found.excluded):,} samples are of no use.</span> '
        f"{found.repeated_ids:,} have an id that another had before.</p>",
        table(("found", "a manifest has it", "samples"), rows) if rows else "<p>Nothing was found.</p>",
        "<h2>Characters</h2>",
        f"<p>{spread(found.characters[found.characters > 0])}</p>",
        bars(found.characters[found.characters > 0]),
    ]
    for family, tokens in found.tokens.items():
        whole = tokens[tokens > 0]
        parts += [f"<h2>Tokens, {escape(family)}</h2>", f"<p>{spread(whole)}</p>", bars(whole)]
    by_kind = sorted(found.finds, key=lambda find: find.kind)
    for kind, finds in groupby(by_kind, key=lambda find: find.kind):
        parts += [f"<h2>{escape(kind)}</h2>", '<div class="sheet">', *map(_card, islice(finds, _SHOWN)), "</div>"]
    return page(f"{found.name}: what is in it", parts)


def _card(find: Find) -> str:
    picture = find.instead or find.picture
    inside = picture is None or picture.startswith("row ")
    return (
        f"<div>{shown(None if inside else Path(str(picture)))}"
        f'<div class="faint"><b>{escape(find.id)}</b>, row {find.row:,}<br>{escape(find.reason)}</div></div>'
    )


def exclusions(found: Diagnosis, images: Path | None, also: Iterable[str] = ()) -> Iterator[dict[str, Any]]:
    """The lines of a manifest: who is left out and why, and whose pictures lie elsewhere now.

    Args:
        found: what was found.
        images: what pictures' paths start from.
        also: kinds that are otherwise noted alone and are to be left out too.
    """
    more = set(also)
    for row, of in groupby(found.finds, key=lambda find: find.row):
        finds = list(of)
        reasons = [find for find in finds if find.excludes or find.kind in more]
        if reasons:
            said = "; ".join(dict.fromkeys(find.reason for find in reasons))
            yield {"row": row, "id": finds[0].id, "fault": reasons[0].kind, "reason": said}
        elif moved := {find.picture: find.instead for find in finds if find.instead and find.picture}:
            yield {
                "row": row,
                "id": finds[0].id,
                "moved": {_under(old, images): _under(new, images) for old, new in moved.items()},
            }


def _under(path: str | None, images: Path | None) -> str:
    return Path(os.path.relpath(str(path), images)).as_posix() if images else str(path)
