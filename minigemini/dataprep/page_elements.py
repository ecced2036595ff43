"""Elements of the HTML pages about data: tables, thumbnails and histograms of lengths."""

import base64
from collections.abc import Iterable, Sequence
from io import BytesIO

import numpy as np
from markupsafe import Markup
from PIL import Image

from ..data.schema import ImageInput
from ..images.decoders import open_isolated
from ..images.safe_images import ImageError
from ..io.html_pages import html_template, render, render_page

_STYLE = """\
:root { color-scheme: light dark; --line: #8885; --soft: #8882; --learned: #2a962a4d; --bad: #c33; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
table { border-collapse: collapse; } td, th { padding: .2rem .8rem .2rem 0; text-align: left; vertical-align: top; }
td.n { text-align: right; font-variant-numeric: tabular-nums; } tr { border-bottom: 1px solid var(--line); }
.bad { color: var(--bad); } .faint { opacity: .7; font-size: .87em; overflow-wrap: anywhere; }
.sheet { display: grid; grid-template-columns: repeat(auto-fill, minmax(11rem, 1fr)); gap: 1rem; }
.sheet img, .none { width: 100%; height: 8rem; object-fit: contain; background: var(--soft); display: block; }
.none { display: grid; place-items: center; }
.bar { display: inline-block; height: .8em; background: #47a; vertical-align: middle; }
.sample { border-top: 1px solid var(--line); padding: 1rem 0; }
.sample { display: grid; grid-template-columns: 15rem 1fr; gap: 1.5rem; }
.sample img { max-width: 100%; display: block; margin-bottom: .5rem; }
.tokens { font: 13px/1.7 ui-monospace, monospace; white-space: pre-wrap; overflow-wrap: anywhere; }
.tokens span { border-left: 1px solid var(--line); } .tokens .learned { background: var(--learned); }
"""
_QUANTILES = (0.5, 0.9, 0.99)
_WIDEST_BAR_REM = 20

_TABLE = html_template("""\
<table><tr>{% for head in heads %}<th>{{ head }}</th>{% endfor %}</tr>
{% for row in rows %}
<tr>{% for cell in row %}{% if cell is integer %}<td class="n">{{ cell|thousands }}</td>\
{% else %}<td>{{ cell }}</td>{% endif %}{% endfor %}</tr>
{% endfor %}
</table>""")
_IMAGE = html_template("""\
{% if data %}<img alt="" src="data:image/jpeg;base64,{{ data }}">\
{% else %}<div class="none faint">no image</div>{% endif %}""")
_HISTOGRAM = html_template("""\
<table>{% for name, count in rows %}<tr><td>{{ name }}</td><td class="n">{{ count|thousands }}</td>\
<td><span class="bar" style="width: {{ "%.2f"|format(widest * count / largest) }}rem"></span></td></tr>\
{% endfor %}</table>""")


def page(title: str, parts: Iterable[Markup]) -> str:
    """Render a page whose images are inside it."""
    return render_page(title, parts, style=_STYLE)


def table(heads: Sequence[str], rows: Iterable[Sequence[str | int]]) -> Markup:
    """Render a table; integers are aligned to the right."""
    return render(_TABLE, heads=heads, rows=rows)


def thumbnail(image: ImageInput, side_px: int = 240) -> Image.Image | None:
    """Scale an image down to fit a square; None if it cannot be read."""
    try:
        small = open_isolated(image, at_least_px=side_px).copy()
    except ImageError:
        return None
    small.thumbnail((side_px, side_px))
    return small


def inline_image(image: ImageInput | None, side_px: int = 240) -> Markup:
    """Render a thumbnail as an `img` with a data URI, or a gray box if there is no readable image."""
    small = None if image is None else thumbnail(image, side_px)
    if small is None:
        return render(_IMAGE, data="")
    encoded = BytesIO()
    small.save(encoded, "JPEG", quality=80)
    return render(_IMAGE, data=base64.b64encode(encoded.getvalue()).decode())


def length_summary(lengths: np.ndarray) -> str:
    """Summarize lengths in one line: median, 90 % and 99 % quantiles, maximum."""
    if not len(lengths):
        return "none"
    median, most, nearly_all = (int(value) for value in np.quantile(lengths, _QUANTILES))
    return f"median {median:,}, 90 % up to {most:,}, 99 % up to {nearly_all:,}, longest {int(lengths.max()):,}"


def histogram(lengths: np.ndarray) -> list[tuple[str, int]]:
    """Count lengths in bins that double in width, e.g. `("64 to 127", 1203)`."""
    if not len(lengths):
        return []
    bins = np.bincount(np.log2(np.maximum(lengths, 1)).astype(int))
    first = int(np.flatnonzero(bins)[0])
    return [(f"{2**n:,} to {2 ** (n + 1) - 1:,}", int(bins[n])) for n in range(first, len(bins))]


def histogram_bars(lengths: np.ndarray) -> Markup:
    """Render a histogram as horizontal bars."""
    rows = histogram(lengths)
    largest = max((count for _, count in rows), default=1)
    return render(_HISTOGRAM, rows=rows, largest=largest, widest=_WIDEST_BAR_REM)
