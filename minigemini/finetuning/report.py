"""Reports of a fine-tuning run: `report.json` and a page with the loss, both scores, and samples before and after."""

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from ..data.schema import text_of
from ..dataprep.page_elements import inline_image, page, table
from ..io.atomic_write import atomic_write
from ..io.html_pages import html_template, render
from ..io.plots import NO_PLOTS
from ..training.callbacks import LOG
from ..training.recipe import Recipe
from .held_out import HeldOutAnswer, mean_scores
from .survey import Survey

JSON, HTML = "report.json", "report.html"
_SHOWN_SAMPLES = 10

_HEAD = html_template("""\
<h1>{{ recipe.name }}</h1>
<p>{{ score }} on {{ count|thousands }} held-out samples: {{ "%.3f"|format(before) }} before, \
<b>{{ "%.3f"|format(after) }}</b> after.\
{% if count < 30 %} So few samples show only large changes.{% endif %}</p>""")
_SECTION = html_template("<h2>{{ title }}</h2>\n{{ content }}")
_CURVE = html_template('<img alt="Loss per step" style="max-width: 100%" src="data:image/png;base64,{{ data }}">')
_NO_CURVE = html_template("<p>{{ reason }}</p>")
_COMMANDS = html_template("{% for line in lines %}<pre>{{ line }}</pre>\n{% endfor %}")
_SAMPLE = html_template("""\
<div class="sample"><div>{% for image in images %}{{ image }}{% endfor %}</div><div>
<p><b>{{ before.question or "(image only)" }}</b></p>
<p>expected: {{ before.expected }}<br>before: {{ before.shown }}<br>after: {{ after.shown }}</p></div></div>""")


def write_reports(
    folder: Path,
    recipe: Recipe,
    found: Survey,
    before: Sequence[HeldOutAnswer],
    after: Sequence[HeldOutAnswer],
    result: Path,
    commands: Sequence[str],
) -> dict[str, Any]:
    """Write both reports into the run's folder; the JSON report is returned, and written last.

    Args:
        folder: the run's folder, with its log and plots.
        recipe: the recipe of the run.
        found: the data.
        before, after: answers to the held-out questions, in the same order.
        result: the adapter or checkpoint.
        commands: how to use the result.
    """
    scores = {"before": mean_scores(before), "after": mean_scores(after)}
    losses = [json.loads(line) for line in (folder / LOG).read_text().splitlines()]
    report = {
        "model": recipe.base,
        "result": str(result),
        "data": dict(found.rows()),
        "score": found.score,
        "scores": scores,
        "held_out": len(before),
        "loss": [[entry["step"], entry["loss"]] for entry in losses],
        "samples": [
            {"question": one.question, "expected": one.expected, "before": one.shown, "after": other.shown}
            for one, other in _shown(before, after)
        ],
        "recipe": dict(recipe.words()),
        "commands": list(commands),
    }
    score = found.score
    parts = [
        render(
            _HEAD,
            recipe=recipe,
            score=score,
            count=len(before),
            before=scores["before"][score],
            after=scores["after"][score],
        ),
        table(
            ("score", "before", "after"),
            [(name, f"{scores['before'][name]:.3f}", f"{scores['after'][name]:.3f}") for name in scores["before"]],
        ),
        _section("Use it", render(_COMMANDS, lines=commands)),
        _section("Loss", _curve(folder)),
        _section("Samples", _samples(found, before, after)),
        _section("Data", table(("", ""), found.rows())),
        _section("Recipe", table(("setting", "value"), recipe.words())),
    ]
    with atomic_write(folder / HTML) as partial:
        partial.write_text(page(f"{recipe.name}: fine-tuning", parts), encoding="utf-8", errors="backslashreplace")
    with atomic_write(folder / JSON) as partial:
        partial.write_text(
            json.dumps(report, indent=1, ensure_ascii=False), encoding="utf-8", errors="backslashreplace"
        )
    return report


def _section(title: str, content: Markup) -> Markup:
    return render(_SECTION, title=title, content=content)


def _curve(folder: Path) -> Markup:
    if not (folder / "loss.png").is_file():
        return render(_NO_CURVE, reason=NO_PLOTS)
    return render(_CURVE, data=base64.b64encode((folder / "loss.png").read_bytes()).decode())


def _shown(
    before: Sequence[HeldOutAnswer], after: Sequence[HeldOutAnswer]
) -> list[tuple[HeldOutAnswer, HeldOutAnswer]]:
    """Ten held-out samples; those whose answer changed come first."""
    return sorted(zip(before, after, strict=True), key=lambda pair: pair[0].answer == pair[1].answer)[:_SHOWN_SAMPLES]


def _samples(found: Survey, before: Sequence[HeldOutAnswer], after: Sequence[HeldOutAnswer]) -> Markup:
    return Markup("\n").join(
        render(_SAMPLE, before=one, after=other, images=[inline_image(image) for image in found.reader[one.row].images])
        for one, other in _shown(before, after)
    )


def example_question(found: Survey, folder: Path) -> tuple[Path | None, str]:
    """An image and a question to try the result with: of the first held-out sample.

    An image that the data holds as bytes is written into the run's folder.
    """
    sample = found.reader[found.parts.held_out[0]]
    question = text_of(sample.messages[-2]).strip() or "Describe the image."
    image = sample.images[0] if sample.images else None
    if isinstance(image, bytes):
        path = folder / "example-image"
        with atomic_write(path) as partial:
            partial.write_bytes(image)
        return path, question
    return (image if isinstance(image, Path) else None), question
