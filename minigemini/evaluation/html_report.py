"""`index.html`: scores, plots by category, and a gallery with filters; one file and a folder of images.

Text from datasets and models is escaped; the page loads no external resources.
"""

import html
from collections.abc import Sequence
from pathlib import Path

from .evaluate import Result, write_atomically
from .gallery import Card
from .paper_results import PAPER, row_of
from .report import labels, points
from .statistics import figure
from .task import Measure

PAGE = "index.html"
BAR_PX, LABEL_PX, ROW_PX = 420, 380, 20
COLOURS = ("#285abe", "#d6722c", "#4a8f4a", "#8a56a8", "#7d7d7d")

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


def write_page(folder: Path, results: Sequence[Result], others: Sequence[Result], cards: Sequence[Card]) -> Path:
    """Write or replace the page."""
    parts = ["<h1>Evaluation</h1>"]
    for task in dict.fromkeys(result.task for result in results):
        shown = [result for result in (*results, *others) if result.task == task]
        parts += [f"<h2>{_text(shown[0].title)}</h2>", _scores(shown), *_plots(shown)]
    parts += ["<h2>Samples</h2>", '<p><button value="all" class="on">all</button><button value="right">right</button>']
    parts += ['<button value="wrong">wrong</button></p><div class="cards">', *map(_card, cards), "</div>"]
    policy = "default-src 'none'; img-src 'self'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
    head = (
        f'<meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{policy}"><title>Evaluation</title>'
    )
    page = f"<!doctype html><html lang='en'><head>{head}<style>{STYLE}</style></head><body>"
    path = folder / PAGE
    write_atomically(path, "\n".join([page, *parts, f"<script>{SCRIPT}</script></body></html>\n"]))
    return path


def _scores(results: Sequence[Result]) -> str:
    rows = [
        "<tr><th>measure</th>"
        + "".join(f"<th>{_text(label)}</th>" for label in labels(results))
        + ("<th>paper</th></tr>" if any(row_of(result.model) for result in results) else "</tr>")
    ]
    for name in dict.fromkeys(measure.name for result in results for measure in result.measures):
        found = [next((m for m in result.measures if m.name == name), None) for result in results]
        cells = "".join(f"<td>{points(measure)}</td>" for measure in found)
        rows.append(f"<tr><td>{_text(name)}</td>{cells}{_paper(results, found)}</tr>")
    issues = sum(len(result.issues) for result in results)
    note = f"<p><b>{issues} questions have no grade and are left out; report.md names them.</b></p>" if issues else ""
    return f"<table>{''.join(rows)}</table>{note}"


def _paper(results: Sequence[Result], found: Sequence[Measure | None]) -> str:
    said = []
    for result, measure in zip(results, found, strict=True):
        row = row_of(result.model)
        value = PAPER[row].get((measure and measure.paper) or "") if row else None
        if value is not None:
            said.append(f"{row}: {value:g}")
    return f"<td>{'; '.join(said) or '-'}</td>" if any(row_of(result.model) for result in results) else ""


def _plots(results: Sequence[Result]) -> list[str]:
    """One plot per breakdown; a task without breakdowns but with more than two measures plots those."""
    names = dict.fromkeys(name for result in results for name in result.breakdowns)
    if not names and len(results[0].measures) > 2:
        return [_plot([(label, r.measures) for label, r in zip(labels(results), results, strict=True)])]
    return [
        f"<h3>By {_text(name)}</h3>"
        + _plot(
            [
                (label, r.breakdowns[name])
                for label, r in zip(labels(results), results, strict=True)
                if name in r.breakdowns
            ]
        )
        for name in names
    ]


def _plot(runs: Sequence[tuple[str, Sequence[Measure]]]) -> str:
    """SVG bars with intervals: a group per category, a color per run."""
    labels = list(dict.fromkeys(measure.name for _, measures in runs for measure in measures))
    figures = [{measure.name: figure(measure) for measure in measures} for _, measures in runs]
    top = max([100.0, *(found.high for run in figures for found in run.values())])
    height = len(labels) * (ROW_PX * len(runs) + 6) + 24
    parts = [f'<svg width="{LABEL_PX + BAR_PX + 70}" height="{height}" role="img">']
    y = 4
    for label in labels:
        middle = y + ROW_PX * len(runs) / 2 + 4
        parts.append(f'<text x="{LABEL_PX - 8}" y="{middle:.1f}" text-anchor="end">{_text(label[:60])}</text>')
        for number, run in enumerate(figures):
            if label in run:
                parts.append(_bar(run[label].score, run[label].low, run[label].high, top, y, number))
            y += ROW_PX
        y += 6
    for number, (model, _) in enumerate(runs):
        x = LABEL_PX + number * 180
        parts.append(f'<rect x="{x}" y="{y}" width="10" height="10" fill="{COLOURS[number % len(COLOURS)]}"/>')
        parts.append(f'<text x="{x + 14}" y="{y + 9}">{_text(model[:24])}</text>')
    return "".join([*parts, "</svg>"])


def _bar(score: float, low: float, high: float, top: float, y: float, color: int) -> str:
    length, left, right = (value / top * BAR_PX for value in (score, low, high))
    middle = y + ROW_PX / 2
    return (
        f'<rect x="{LABEL_PX}" y="{y + 2:.1f}" width="{length:.1f}" height="{ROW_PX - 4}" '
        f'fill="{COLOURS[color % len(COLOURS)]}"/>'
        f'<path d="M{LABEL_PX + left:.1f} {middle:.1f}H{LABEL_PX + right:.1f}" stroke="#222" stroke-width="1.5"/>'
        f'<text x="{LABEL_PX + max(length, right) + 6:.1f}" y="{middle + 4:.1f}">{score:.1f}</text>'
    )


def _card(card: Card) -> str:
    image = f'<img loading="lazy" src="{_text(card.image)}" alt="what the model saw">' if card.image else ""
    asked = card.prompt.removeprefix("user: ") if "\nassistant: " not in card.prompt else card.prompt
    read_as = card.read_as if card.read_as != card.said else ""
    rows = {"question": asked, "answer": card.said or "(nothing)", "read as": read_as, "truth": card.truth}
    told = "".join(f"<dt>{name}</dt><dd><pre>{_text(value)}</pre></dd>" for name, value in rows.items() if value)
    category = "" if card.id.startswith(card.category) else card.category
    where = " · ".join(part for part in (card.task, category, card.id, card.model) if part)
    kind = "right" if card.value >= 1 else "wrong"
    return f'<div class="card {kind}">{image}<dl>{told}</dl><small>{_text(where)}: {card.value:g}</small></div>'


def _text(value: str) -> str:
    """Escaped, and without control characters, which HTML does not take."""
    return html.escape("".join(char for char in value if char in "\n\t" or char.isprintable()))
