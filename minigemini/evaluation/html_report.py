"""`index.html`: scores, plots by category, a gallery filtered by correctness; images are separate files."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from markupsafe import Markup

from ..io.html_pages import html_template, render, render_page
from ..io.plots import NO_PLOTS, Bar, can_plot, draw_bars
from .evaluate import Result, write_atomically
from .gallery import Card
from .paper_results import PAPER, row_of
from .report import aims_of, labels, points
from .statistics import Figure, figure
from .task import Measure

PAGE = "index.html"
PLOTS = "plots"
"""Folder of the plots, beside the page."""
LABEL_CHARS = 60

STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 76rem; padding: 0 1rem; color: #222228 }
table { border-collapse: collapse; margin: 1rem 0 } th, td { padding: .25rem .7rem; border-bottom: 1px solid #ddd }
th { text-align: left }
button { margin-right: .5rem; padding: .3rem .8rem } button.on { background: #285abe; color: #fff }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(22rem, 1fr)); gap: 1rem; margin-top: 1rem }
.card { border: 1px solid #ccc; border-left: .4rem solid #b03a2e; padding: .6rem; overflow-wrap: anywhere }
.card.right { border-left-color: #3b8f4a }
.card img { width: 100% } .card pre { white-space: pre-wrap; margin: .3rem 0 }
.hidden { display: none } dt { color: #777; font-size: 13px } dd { margin: 0 0 .3rem } .plot { max-width: 100% }
"""
SCRIPT = """
document.querySelectorAll("button").forEach(button => button.onclick = () => {
  document.querySelectorAll("button").forEach(other => other.classList.toggle("on", other === button));
  document.querySelectorAll(".card").forEach(card =>
    card.classList.toggle("hidden", button.value !== "all" && !card.classList.contains(button.value)));
});
"""

_SCORES = html_template("""\
<h2>{{ title }}</h2>
<table><tr><th>measure</th>{% for label in labels %}<th>{{ label }}</th>{% endfor %}\
{% if has_paper %}<th>paper</th>{% endif %}{% if aims %}<th>aim</th>{% endif %}</tr>
{% for name, scores, paper in rows %}
<tr><td>{{ name }}</td>{% for score in scores %}<td>{{ score }}</td>{% endfor %}\
{% if has_paper %}<td>{{ paper or "-" }}</td>{% endif %}\
{% if aims %}<td>{{ aims.get(name, "-") }}</td>{% endif %}</tr>
{% endfor %}
</table>
{% if ungraded %}
<p><b>{{ ungraded }} questions have no grade and are left out; report.md names them.</b></p>
{% endif %}
{% for name, plot in plots %}
{% if name %}<h3>By {{ name }}</h3>{% endif %}<img class="plot" src="{{ plot }}" alt="Scores as bars, with intervals">
{% endfor %}
{% if hint %}
<p>{{ hint }}</p>
{% endif %}""")
_GALLERY = html_template("""\
<h2>Samples</h2>
<p><button value="all" class="on">all</button><button value="right">right</button>\
<button value="wrong">wrong</button></p>
<div class="cards">
{% for card in cards %}
{{ card }}
{% endfor %}
</div>""")
_CARD = html_template("""\
<div class="card {{ kind }}">{% if image %}<img loading="lazy" src="{{ image }}" alt="input image">{% endif %}\
<dl>{% for name, text in rows.items() if text %}<dt>{{ name }}</dt><dd><pre>{{ text }}</pre></dd>{% endfor %}</dl>\
<small>{{ where }}: {{ value }}</small></div>""")


def write_page(folder: Path, results: Sequence[Result], others: Sequence[Result], cards: Sequence[Card]) -> Path:
    """Write the page atomically, replacing an earlier one."""
    parts = []
    for task in dict.fromkeys(result.task for result in results):
        parts.append(_scores(folder, [result for result in (*results, *others) if result.task == task]))
    gallery = render(_GALLERY, cards=map(_card, cards))
    body = [Markup("<h1>Evaluation</h1>"), *parts, gallery]
    path = folder / PAGE
    write_atomically(path, render_page("Evaluation", body, style=STYLE, script=SCRIPT, images="'self'"))
    return path


def _scores(folder: Path, results: Sequence[Result]) -> Markup:
    rows = []
    for name in dict.fromkeys(measure.name for result in results for measure in result.measures):
        found = [next((m for m in result.measures if m.name == name), None) for result in results]
        rows.append((name, [points(measure) for measure in found], _paper(results, found)))
    return render(
        _SCORES,
        title=results[0].title,
        labels=labels(results),
        has_paper=any(row_of(result.model) for result in results),
        aims=aims_of(results),
        rows=rows,
        ungraded=sum(len(result.issues) for result in results),
        plots=list(_plots(folder, results)) if can_plot() else [],
        hint="" if can_plot() else NO_PLOTS,
    )


def _paper(results: Sequence[Result], found: Sequence[Measure | None]) -> str:
    """The paper's results for one measure, by row of its tables."""
    published = []
    for result, measure in zip(results, found, strict=True):
        row = row_of(result.model)
        value = PAPER[row].get((measure and measure.paper) or "") if row else None
        if value is not None:
            published.append(f"{row}: {value:g}")
    return "; ".join(published)


def _plots(folder: Path, results: Sequence[Result]) -> Iterator[tuple[str, str]]:
    """Plot each breakdown by its name; a task without breakdowns but with more than two measures gets one plot.

    Yields the name of each breakdown and the file of its plot, relative to the folder.
    """
    names = dict.fromkeys(name for result in results for name in result.breakdowns)
    labeled = list(zip(labels(results), results, strict=True))
    if not names and len(results[0].measures) > 2:
        yield "", _plot(folder, results[0].task, [(label, result.measures) for label, result in labeled])
    for name in names:
        runs = [(label, result.breakdowns[name]) for label, result in labeled if name in result.breakdowns]
        yield name, _plot(folder, f"{results[0].task} {name}", runs)


def _plot(folder: Path, name: str, runs: Sequence[tuple[str, Sequence[Measure]]]) -> str:
    """Plot runs beside each other, and return the file, whose name hashes the plot's."""
    categories = list(dict.fromkeys(measure.name for _, measures in runs for measure in measures))
    found = [{measure.name: figure(measure) for measure in measures} for _, measures in runs]
    bars = [
        (label[:LABEL_CHARS], [_bar(category, run.get(category)) for category in categories])
        for (label, _), run in zip(runs, found, strict=True)
    ]
    unit = "%" if all(one.high <= 100 for run in found for one in run.values()) else "points"
    path = f"{PLOTS}/{hashlib.sha256(name.encode()).hexdigest()[:16]}.svg"
    (folder / PLOTS).mkdir(exist_ok=True)
    draw_bars(folder / path, "", f"score, {unit}; lines are 95 % intervals", bars)
    return path


def _bar(category: str, found: Figure | None) -> Bar | None:
    return None if found is None else Bar(category[:LABEL_CHARS], found.score, found.low, found.high)


def _card(card: Card) -> Markup:
    question = card.prompt.removeprefix("user: ") if "\nassistant: " not in card.prompt else card.prompt
    read_as = card.read_as if card.read_as != card.answer else ""
    rows = {"question": question, "answer": card.answer or "(nothing)", "read as": read_as, "truth": card.truth}
    category = "" if card.id.startswith(card.category) else card.category
    where = " · ".join(part for part in (card.task, category, card.id, card.model) if part)
    kind = "right" if card.value >= 1 else "wrong"
    return render(_CARD, kind=kind, image=card.image or "", rows=rows, where=where, value=f"{card.value:g}")
