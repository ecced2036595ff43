"""Reports of a validation: a text summary, JSON, an HTML page with images, and the lines of a manifest."""

import os
from collections.abc import Iterable, Iterator
from itertools import groupby, islice
from pathlib import Path
from typing import Any

from markupsafe import Markup

from ...io.html_pages import html_template, render
from ..page_elements import histogram, histogram_bars, inline_image, length_summary, page, table
from .issues import NOTED, Issue
from .validation import Validation

ROW_LENGTHS = (2048, 4096)
"""Tokens of a training row, normal and HD."""
_MAX_SHOWN = 24

_SUMMARY = html_template("""\
<h1>{{ result.name }}</h1>
<p>{{ result.rows|thousands }} samples, {{ result.references|thousands }} image references, \
{{ result.images|thousands }} distinct images. \
<span class="bad">{{ result.excluded|length|thousands }} samples are excluded.</span> \
{{ result.repeated_ids|thousands }} have the id of an earlier sample.</p>
{% if issues %}{{ issues }}{% else %}<p>No issues found.</p>{% endif %}""")
_LENGTHS = html_template("""\
<h2>{{ title }}</h2>
<p>{{ summary }}</p>
{{ bars }}""")
_ISSUES = html_template("""\
<h2>{{ kind }}</h2>
<div class="sheet">
{% for issue, image in cards %}
<div>{{ image }}\
<div class="faint"><b>{{ issue.id }}</b>, row {{ issue.row|thousands }}<br>{{ issue.reason }}</div></div>
{% endfor %}
</div>""")


def as_text(result: Validation) -> str:
    """Format a summary for a terminal."""
    counts = result.counts
    noted = [
        *(f"{count:>10,}  {kind}" for kind, count in counts.most_common() if kind in NOTED),
        *([f"{result.repeated_ids:>10,}  id of an earlier sample"] if result.repeated_ids else []),
    ]
    lines = [
        f"{result.name}: {result.rows:,} samples, {result.references:,} image references, "
        f"{result.images:,} distinct images",
        f"excluded: {len(result.excluded):,} samples",
        *(f"{count:>10,}  {kind}" for kind, count in counts.most_common() if kind not in NOTED),
        *(["noted, but not excluded:", *noted] if noted else []),
        f"characters: {length_summary(result.characters[result.characters > 0])}",
    ]
    for family, tokens in result.tokens.items():
        counted = tokens[tokens > 0]
        over = ", ".join(f"{int((counted > limit).sum()):,} over {limit:,}" for limit in ROW_LENGTHS)
        lines.append(f"tokens, {family}: {length_summary(counted)}; {over}")
    return "\n".join(lines)


def as_json(result: Validation) -> dict[str, Any]:
    """Convert the result to plain values. `finds` repeats `issues` for users of version 0.1."""
    lengths = {"characters": result.characters, **{f"tokens {name}": of for name, of in result.tokens.items()}}
    issues = [issue.plain() for issue in result.issues]
    return {
        "name": result.name,
        "samples": result.rows,
        "references": result.references,
        "pictures": result.images,
        "excluded": len(result.excluded),
        "repeated_ids": result.repeated_ids,
        "counts": dict(result.counts.most_common()),
        "lengths": {name: dict(histogram(of[of > 0])) for name, of in lengths.items()},
        "issues": issues,
        "finds": issues,
    }


def as_page(result: Validation) -> str:
    """Render an HTML page with the images of the first 24 issues of each kind."""
    counts = [(kind, "no" if kind in NOTED else "yes", count) for kind, count in result.counts.most_common()]
    issues = table(("issue", "excluded", "samples"), counts) if counts else None
    lengths = {"Characters": result.characters, **{f"Tokens, {name}": of for name, of in result.tokens.items()}}
    parts = [render(_SUMMARY, result=result, issues=issues)]
    for title, of in lengths.items():
        counted = of[of > 0]
        parts.append(render(_LENGTHS, title=title, summary=length_summary(counted), bars=histogram_bars(counted)))
    by_kind = sorted(result.issues, key=lambda issue: issue.kind)
    for kind, group in groupby(by_kind, key=lambda issue: issue.kind):
        cards = [(issue, _thumbnail(issue)) for issue in islice(group, _MAX_SHOWN)]
        parts.append(render(_ISSUES, kind=kind, cards=cards))
    return page(f"{result.name}: validation", parts)


def _thumbnail(issue: Issue) -> Markup:
    image = issue.instead or issue.image
    embedded = image is None or image.startswith("row ")
    return inline_image(None if embedded else Path(str(image)))


def exclusions(result: Validation, images: Path | None, also: Iterable[str] = ()) -> Iterator[dict[str, Any]]:
    """Yield the lines of a manifest: excluded samples with their reasons, and images that moved.

    Args:
        result: the result of validation.
        images: folder that the paths of images are relative to.
        also: kinds of issues to exclude that are otherwise only noted.
    """
    more = set(also)
    for row, group in groupby(result.issues, key=lambda issue: issue.row):
        issues = list(group)
        reasons = [issue for issue in issues if issue.excludes or issue.kind in more]
        if reasons:
            reason = "; ".join(dict.fromkeys(issue.reason for issue in reasons))
            yield {"row": row, "id": issues[0].id, "fault": reasons[0].kind, "reason": reason}
        elif moved := {issue.image: issue.instead for issue in issues if issue.instead and issue.image}:
            yield {
                "row": row,
                "id": issues[0].id,
                "moved": {_relative(old, images): _relative(new, images) for old, new in moved.items()},
            }


def _relative(path: str | None, images: Path | None) -> str:
    return Path(os.path.relpath(str(path), images)).as_posix() if images else str(path)
