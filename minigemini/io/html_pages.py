"""HTML pages in one file, rendered by Jinja templates that escape every value.

A page fetches nothing from other hosts: its style and script are inline, and its content security policy allows images
only from where `render_page` is told.
"""

from collections.abc import Iterable
from typing import Any, Literal

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup


def printable(text: str) -> str:
    """Replace characters that do not print (controls, lone surrogates, bidirectional overrides) with U+FFFD."""
    return "".join(char if char in "\n\t" or char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def _finalize(value: Any) -> Any:
    """Clean a value before Jinja escapes it; `Markup` is HTML already."""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


_ENVIRONMENT = Environment(autoescape=True, undefined=StrictUndefined, finalize=_finalize, trim_blocks=True)
_ENVIRONMENT.filters["thousands"] = lambda number: f"{number:,}"


def html_template(source: str) -> Template:
    """Compile a template. Values are escaped unless they are `Markup`; `thousands` formats a count."""
    return _ENVIRONMENT.from_string(source)


def render(template: Template, **values: Any) -> Markup:
    """Render a template to HTML that other templates insert unescaped."""
    return Markup(template.render(values))


_PAGE = html_template("""\
<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src {{ images }}; \
style-src 'unsafe-inline'{% if script %}; script-src 'unsafe-inline'{% endif %}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>
{{ style }}</style></head><body>
{% for part in parts %}
{{ part }}
{% endfor %}
{% if script %}
<script>
{{ script }}</script>
{% endif %}
</body></html>
""")


def render_page(
    title: str, parts: Iterable[Markup], *, style: str, script: str = "", images: Literal["data:", "'self'"] = "data:"
) -> str:
    """Render a whole page.

    Args:
        title: plain text.
        parts: HTML of the body, in order.
        style: CSS, written by us.
        script: JavaScript, written by us; none if empty.
        images: where images may come from: inside the page (`data:`) or files beside it (`'self'`).
    """
    return _PAGE.render(title=title, parts=parts, style=Markup(style), script=Markup(script), images=Markup(images))
