"""Pages for a browser in one file: pictures inside, no script, and nothing fetched from anywhere."""

import base64
import html
from collections.abc import Iterable, Sequence
from io import BytesIO

import numpy as np
from PIL import Image

from ..data.schema import ImageInput
from ..images.decoders import open_isolated
from ..images.safe_images import ImageError

_HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; --line: #8885; --soft: #8882; --learnt: #2a962a4d; --bad: #c33; }}
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }}
h1 {{ font-size: 1.5rem; }} h2 {{ font-size: 1.15rem; margin-top: 2.2rem; }}
table {{ border-collapse: collapse; }} td, th {{ padding: .2rem .8rem .2rem 0; text-align: left; vertical-align: top; }}
td.n {{ text-align: right; font-variant-numeric: tabular-nums; }} tr {{ border-bottom: 1px solid var(--line); }}
.bad {{ color: var(--bad); }} .faint {{ opacity: .7; font-size: .87em; overflow-wrap: anywhere; }}
.sheet {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(11rem, 1fr)); gap: 1rem; }}
.sheet img, .none {{ width: 100%; height: 8rem; object-fit: contain; background: var(--soft); display: block; }}
.none {{ display: grid; place-items: center; }}
.bar {{ display: inline-block; height: .8em; background: #47a; vertical-align: middle; }}
.sample {{ border-top: 1px solid var(--line); padding: 1rem 0; }}
.sample {{ display: grid; grid-template-columns: 15rem 1fr; gap: 1.5rem; }}
.sample img {{ max-width: 100%; display: block; margin-bottom: .5rem; }}
.tokens {{ font: 13px/1.7 ui-monospace, monospace; white-space: pre-wrap; overflow-wrap: anywhere; }}
.tokens span {{ border-left: 1px solid var(--line); }} .tokens .learnt {{ background: var(--learnt); }}
</style></head><body>
"""
_SHARES = (0.5, 0.9, 0.99)


def page(title: str, parts: Iterable[str]) -> str:
    """A whole page of parts that are HTML already."""
    return _HEAD.format(title=escape(title)) + "\n".join(parts) + "\n</body></html>\n"


def escape(text: str) -> str:
    """Text as HTML; what no encoding writes, and controls, are shown as such."""
    shown = "".join(char if char in "\n\t" or char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
    return html.escape(shown)


def table(heads: Sequence[str], rows: Iterable[Sequence[str | int]]) -> str:
    """A table; numbers stand to the right."""
    lines = ["<table><tr>" + "".join(f"<th>{escape(head)}</th>" for head in heads) + "</tr>"]
    for row in rows:
        cells = (f'<td class="n">{c:,}</td>' if isinstance(c, int) else f"<td>{escape(c)}</td>" for c in row)
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return "\n".join([*lines, "</table>"])


def thumbnail(image: ImageInput, side_px: int = 240) -> Image.Image | None:
    """A small copy of a picture; None of one that cannot be read."""
    try:
        small = open_isolated(image, at_least_px=side_px).copy()
    except ImageError:
        return None
    small.thumbnail((side_px, side_px))
    return small


def shown(image: ImageInput | None, side_px: int = 240) -> str:
    """A small copy of a picture as an `img` that holds it, or a grey field."""
    small = None if image is None else thumbnail(image, side_px)
    if small is None:
        return '<div class="none faint">no picture</div>'
    data = BytesIO()
    small.save(data, "JPEG", quality=80)
    return f'<img alt="" src="data:image/jpeg;base64,{base64.b64encode(data.getvalue()).decode()}">'


def spread(lengths: np.ndarray) -> str:
    """How lengths are spread, in a line."""
    if not len(lengths):
        return "none"
    median, most, nearly_all = (int(value) for value in np.quantile(lengths, _SHARES))
    return f"median {median:,}, 90 % up to {most:,}, 99 % up to {nearly_all:,}, longest {int(lengths.max()):,}"


def histogram(lengths: np.ndarray) -> list[tuple[str, int]]:
    """How many lie in each doubling: `("64 to 127", 1203)`."""
    if not len(lengths):
        return []
    bins = np.bincount(np.log2(np.maximum(lengths, 1)).astype(int))
    first = int(np.flatnonzero(bins)[0])
    return [(f"{2**n:,} to {2 ** (n + 1) - 1:,}", int(bins[n])) for n in range(first, len(bins))]


def bars(lengths: np.ndarray) -> str:
    """A histogram as HTML."""
    rows = histogram(lengths)
    largest = max((count for _, count in rows), default=1)
    lines = (
        f'<tr><td>{name}</td><td class="n">{count:,}</td>'
        f'<td><span class="bar" style="width: {20 * count / largest:.2f}rem"></span></td></tr>'
        for name, count in rows
    )
    return f"<table>{''.join(lines)}</table>"
