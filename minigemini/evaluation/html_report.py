"""`index.html`: scores, plots by category, a gallery filtered by correctness; images are separate files."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from markupsafe import Markup

from ..io.html_pages import html_template, render, render_page
from .evaluate import Result, write_atomically
from .gallery import Card
from .paper_results import PAPER, row_of
from .report import labels, points
from .statistics import figure
from .task import Measure

PAGE = "index.html"
BAR_PX, LABEL_PX, ROW_PX = 420, 380, 20
COLORS = ("#285abe", "#d6722c", "#4a8f4a", "#8a56a8", "#7d7d7d")

STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 76rem; padding: 0 1rem; color: #222228 }
table { border-collapse: collapse; margin: 1rem 0 } th, td { padding: .25rem .7rem; border-bottom: 1px solid #ddd }
th { text-align: left }
button { margin-right: .5rem; padding: .3rem .8rem } button.on { background: #285abe; color: #fff }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(22rem, 1fr)); gap: 1rem; margin-top: 1rem }
.card { border: 1px solid #ccc; border-left: .4rem solid #b03a2e; padding: .6rem; overflow-wrap: anywhere }
.card.right { border-left-color: #3b8f4a }
.card img { width: 100% } .card pre { white-space: pre-wrap; margin: .3rem 0 }
.hidden { display: none } dt { color: #777; font-size: 13px } dd { margin: 0 0 .3rem } svg text { font: 12px system-ui }
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
{% if has_paper %}<th>paper</th>{% endif %}</tr>
{% for name, scores, paper in rows %}
<tr><td>{{ name }}</td>{% for score in scores %}<td>{{ score }}</td>{% endfor %}\
{% if has_paper %}<td>{{ paper or "-" }}</td>{% endif %}</tr>
{% endfor %}
</table>
{% if ungraded %}
<p><b>{{ ungraded }} questions have no grade and are left out; report.md names them.</b></p>
{% endif %}
{% for name, plot in plots %}
{% if name %}<h3>By {{ name }}</h3>{% endif %}{{ plot }}
{% endfor %}""")
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
_PLOT = html_template("""\
<svg width="{{ width }}" height="{{ height }}" role="img">\
{% for x, y, text in labels %}<text x="{{ x }}" y="{{ y }}" text-anchor="end">{{ text }}</text>{% endfor %}\
{% for bar in bars %}{{ bar }}{% endfor %}\
{% for x, y, color, text in legend %}<rect x="{{ x }}" y="{{ y }}" width="10" height="10" fill="{{ color }}"/>\
<text x="{{ x + 14 }}" y="{{ y + 9 }}">{{ text }}</text>{% endfor %}</svg>""")
_BAR = html_template("""\
<rect x="{{ left }}" y="{{ top }}" width="{{ length }}" height="{{ height }}" fill="{{ color }}"/>\
<path d="{{ interval }}" stroke="#222" stroke-width="1.5"/>\
<text x="{{ text_x }}" y="{{ text_y }}">{{ score }}</text>""")


def write_page(folder: Path, results: Sequence[Result], others: Sequence[Result], cards: Sequence[Card]) -> Path:
    """Write the page atomically, replacing an earlier one."""
    parts = []
    for task in dict.fromkeys(result.task for result in results):
        parts.append(_scores([result for result in (*results, *others) if result.task == task]))
    gallery = render(_GALLERY, cards=map(_card, cards))
    body = [Markup("<h1>Evaluation</h1>"), *parts, gallery]
    path = folder / PAGE
    write_atomically(path, render_page("Evaluation", body, style=STYLE, script=SCRIPT, images="'self'"))
    return path


def _scores(results: Sequence[Result]) -> Markup:
    rows = []
    for name in dict.fromkeys(measure.name for result in results for measure in result.measures):
        found = [next((m for m in result.measures if m.name == name), None) for result in results]
        rows.append((name, [points(measure) for measure in found], _paper(results, found)))
    return render(
        _SCORES,
        title=results[0].title,
        labels=labels(results),
        has_paper=any(row_of(result.model) for result in results),
        rows=rows,
        ungraded=sum(len(result.issues) for result in results),
        plots=_plots(results),
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


def _plots(results: Sequence[Result]) -> Iterator[tuple[str, Markup]]:
    """Plot each breakdown by its name; a task without breakdowns but with more than two measures gets one plot."""
    names = dict.fromkeys(name for result in results for name in result.breakdowns)
    labeled = list(zip(labels(results), results, strict=True))
    if not names and len(results[0].measures) > 2:
        yield "", _plot([(label, result.measures) for label, result in labeled])
    for name in names:
        yield name, _plot([(label, r.breakdowns[name]) for label, r in labeled if name in r.breakdowns])


def _plot(runs: Sequence[tuple[str, Sequence[Measure]]]) -> Markup:
    """Plot bars with their intervals as SVG, one group per category and one color per run."""
    categories = list(dict.fromkeys(measure.name for _, measures in runs for measure in measures))
    figures = [{measure.name: figure(measure) for measure in measures} for _, measures in runs]
    top = max([100.0, *(found.high for run in figures for found in run.values())])
    names, bars, y = [], [], 4
    for category in categories:
        middle = y + ROW_PX * len(runs) / 2 + 4
        names.append((LABEL_PX - 8, f"{middle:.1f}", category[:60]))
        for number, run in enumerate(figures):
            if category in run:
                bars.append(_bar(run[category].score, run[category].low, run[category].high, top, y, number))
            y += ROW_PX
        y += 6
    legend = [(LABEL_PX + n * 180, y, COLORS[n % len(COLORS)], model[:24]) for n, (model, _) in enumerate(runs)]
    return render(_PLOT, width=LABEL_PX + BAR_PX + 70, height=y + 20, labels=names, bars=bars, legend=legend)


def _bar(score: float, low: float, high: float, top: float, y: float, color: int) -> Markup:
    length, left, right = (value / top * BAR_PX for value in (score, low, high))
    middle = y + ROW_PX / 2
    return render(
        _BAR,
        left=LABEL_PX,
        top=f"{y + 2:.1f}",
        length=f"{length:.1f}",
        height=ROW_PX - 4,
        color=COLORS[color % len(COLORS)],
        interval=f"M{LABEL_PX + left:.1f} {middle:.1f}H{LABEL_PX + right:.1f}",
        text_x=f"{LABEL_PX + max(length, right) + 6:.1f}",
        text_y=f"{middle + 4:.1f}",
        score=f"{score:.1f}",
    )


def _card(card: Card) -> Markup:
    question = card.prompt.removeprefix("user: ") if "\nassistant: " not in card.prompt else card.prompt
    read_as = card.read_as if card.read_as != card.answer else ""
    rows = {"question": question, "answer": card.answer or "(nothing)", "read as": read_as, "truth": card.truth}
    category = "" if card.id.startswith(card.category) else card.category
    where = " · ".join(part for part in (card.task, category, card.id, card.model) if part)
    kind = "right" if card.value >= 1 else "wrong"
    return render(_CARD, kind=kind, image=card.image or "", rows=rows, where=where, value=f"{card.value:g}")
