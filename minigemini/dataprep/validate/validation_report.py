"""A diagnosis for people and for programs: a table, JSON, a page with pictures, and a manifest of what is left out."""

import os
from collections.abc import Iterable, Iterator
from itertools import groupby, islice
from pathlib import Path
from typing import Any

from ..html import bars, escape, histogram, page, shown, spread, table
from .issues import NOTED, Issue
from .validation import Validation

LONG_ROWS = (2048, 4096)
"""Tokens of a row in training, normal and HD."""
_SHOWN = 24


def as_text(found: Validation) -> str:
    """A table for a terminal."""
    counts = found.counts
    noted = [
        *(f"{count:>10,}  {kind}" for kind, count in counts.most_common() if kind in NOTED),
        *([f"{found.repeated_ids:>10,}  id used before"] if found.repeated_ids else []),
    ]
    lines = [
        f"{found.name}: {found.rows:,} samples, {found.references:,} pictures in them, {found.images:,} different",
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


def as_json(found: Validation) -> dict[str, Any]:
    """All of it as plain values."""
    lengths = {"characters": found.characters, **{f"tokens {name}": of for name, of in found.tokens.items()}}
    return {
        "name": found.name,
        "samples": found.rows,
        "references": found.references,
        "pictures": found.images,
        "excluded": len(found.excluded),
        "repeated_ids": found.repeated_ids,
        "counts": dict(found.counts.most_common()),
        "lengths": {name: dict(histogram(of[of > 0])) for name, of in lengths.items()},
        "finds": [issue.plain() for issue in found.issues],
    }


def as_page(found: Validation) -> str:
    """A page for a browser, with pictures of the first finds of each kind."""
    rows = [(kind, "noted" if kind in NOTED else "left out", count) for kind, count in found.counts.most_common()]
    parts = [
        f"<h1>{escape(found.name)}</h1>",
        f"<p>{found.rows:,} samples, {found.references:,} pictures in them, {found.images:,} different. "
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
    by_kind = sorted(found.issues, key=lambda issue: issue.kind)
    for kind, issues in groupby(by_kind, key=lambda issue: issue.kind):
        parts += [f"<h2>{escape(kind)}</h2>", '<div class="sheet">', *map(_card, islice(issues, _SHOWN)), "</div>"]
    return page(f"{found.name}: what is in it", parts)


def _card(issue: Issue) -> str:
    image = issue.instead or issue.image
    inside = image is None or image.startswith("row ")
    return (
        f"<div>{shown(None if inside else Path(str(image)))}"
        f'<div class="faint"><b>{escape(issue.id)}</b>, row {issue.row:,}<br>{escape(issue.reason)}</div></div>'
    )


def exclusions(found: Validation, images: Path | None, also: Iterable[str] = ()) -> Iterator[dict[str, Any]]:
    """The lines of a manifest: who is left out and why, and whose pictures lie elsewhere now.

    Args:
        found: what was found.
        images: what pictures' paths start from.
        also: kinds that are otherwise noted alone and are to be left out too.
    """
    more = set(also)
    for row, of in groupby(found.issues, key=lambda issue: issue.row):
        issues = list(of)
        reasons = [issue for issue in issues if issue.excludes or issue.kind in more]
        if reasons:
            said = "; ".join(dict.fromkeys(issue.reason for issue in reasons))
            yield {"row": row, "id": issues[0].id, "fault": reasons[0].kind, "reason": said}
        elif moved := {issue.image: issue.instead for issue in issues if issue.instead and issue.image}:
            yield {
                "row": row,
                "id": issues[0].id,
                "moved": {_under(old, images): _under(new, images) for old, new in moved.items()},
            }


def _under(path: str | None, images: Path | None) -> str:
    return Path(os.path.relpath(str(path), images)).as_posix() if images else str(path)
