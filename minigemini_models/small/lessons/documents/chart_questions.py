"""Questions about the values of a chart, and about what they mean."""

from itertools import pairwise

import numpy as np

from ....scenes.colors import pick
from .chart_topics import DAY_LABELS, ENERGY, FRUIT, LABELS, SPENDING, VEHICLES, Topic, period_of
from .document import Document
from .document_words import ANIMALS, COLORS, DAYS, DISHES, GOODS, JOBS, MONTHS, SPORTS, options


def ask_about_topic(
    rng: np.random.Generator,
    document: Document,
    topic: Topic | None,
    labels: list[str],
    values: list[float],
    texts: list[str],
    lines: list[str | None] | None,
) -> None:
    """Ask as people do who read the title; without lines, nobody can answer.

    Args:
        lines: of each value in the layout; None if values are not printed.
    """
    order = rng.permutation(len(labels)).tolist()
    kind = document.kind
    other = "a bar chart" if kind == "a pie chart" else "a pie chart"
    pair = pick(rng, (f"{kind} or {other}", f"{other} or {kind}"))
    document.ask(
        "kind",
        f"What kind of chart is this, {pair}?|Is this {pair}?|What type of chart is it, {pair}?",
        f"It is {kind}.",
        *labels,
    )
    if topic is None:
        return
    period = period_of(labels)

    def fill(wordings: str, **names: str) -> str:
        return "|".join(wording.format(period=period, **names) for wording in options(wordings))

    calls = [_call(label, topic) for label in labels]
    if lines is None:
        document.lack(fill(topic.ask, x=calls[order[0]]))
        document.lack(fill(topic.most))
        document.lack(fill(topic.more, a=calls[order[0]], b=calls[order[1]]))
        return
    for number, (call, text, line) in enumerate(zip(calls, texts, lines, strict=True)):
        document.ask(f"ask {number % 2}", fill(topic.ask, x=call), text, line)
    document.ask("most", fill(topic.most), labels[values.index(max(values))], *lines)
    document.ask("least", fill(topic.least), labels[values.index(min(values))], *lines)
    one, two = order[:2]
    answer = "Yes." if values[one] > values[two] else "No."
    document.ask("more", fill(topic.more, a=calls[one], b=calls[two]), answer, lines[one], lines[two])
    if topic.trend and len(values) > 2:
        rises = [b > a for a, b in pairwise(values)]
        trend = "It goes up." if all(rises) else "It goes down." if not any(rises) else "It goes up and down."
        wordings = (
            f"Does {topic.trend} rise or fall?|Is {topic.trend} going up or down?|How does {topic.trend} change?|"
            f"How does {topic.trend} develop over time?"
        )
        document.ask("trend", wordings, trend, *lines)
    strangers = [label for group in topic.labels if labels[0] in group for label in group if label not in labels]
    if strangers:
        document.lack(fill(topic.ask, x=_call(pick(rng, strangers), topic)))


def _call(label: str, topic: Topic) -> str:
    """A label in a sentence: with its preposition if it is a time, in lower case if it is no name."""
    if topic.trend:
        return f"on {_long(label)}" if label in DAY_LABELS else f"in {_long(label)}"
    is_common = any(label in group for group in (FRUIT, SPENDING, VEHICLES, ENERGY, ANIMALS, COLORS, DISHES, SPORTS))
    return label.lower() if is_common or (label.endswith("s") and label[:-1] in (*GOODS, *JOBS)) else label


def _long(label: str) -> str:
    """The full name of a month or day, as people say it."""
    return next((name for name in (*MONTHS, *DAYS) if name[:3] == label), label)


def ask_about_values(
    rng: np.random.Generator,
    document: Document,
    labels: list[str],
    values: list[float],
    texts: list[str],
    lines: list[str | None],
    part: str,
) -> None:
    """Ask for values by their labels and labels by their values, whatever they mean.

    Args:
        lines: of each value in the layout; None where it does not tell the value.
        part: what stands for a value, e.g. "bar".
    """
    for label, text, line in zip(labels, texts, lines, strict=True):
        answer = None if line is None else line.split(": " if ": " in line else " | ")[-1]
        document.ask(
            "value",
            f"What is the value of {label}?|How high is {label}?|What is {label} at?|How much is {label}?|"
            f"What number does {label} have?|Which value does the {part} {label} have?",
            answer,
            line,
        )
        document.ask(
            "which",
            f"Which {part} has the value {text}?|What has the value {text}?|Which {part} is at {text}?",
            label,
            label,
            line,
        )
    if None not in lines:
        high, low = labels[values.index(max(values))], labels[values.index(min(values))]
        document.ask(
            "highest",
            f"Which {part} is the highest?|Which {part} is the largest?|What has the highest value?|"
            "Which one is the biggest?|Where is the maximum?",
            high,
            high,
            *lines,
        )
        document.ask(
            "lowest",
            f"Which {part} is the lowest?|Which {part} is the smallest?|What has the lowest value?|"
            "Which one is the smallest?|Where is the minimum?",
            low,
            low,
            *lines,
        )
        document.ask(
            "highest value",
            "What is the highest value?|What is the largest number in the chart?",
            texts[values.index(max(values))],
            *lines,
        )
        one, other = (int(index) for index in rng.permutation(len(labels))[:2])
        more = "Yes." if values[one] > values[other] else "No."
        document.ask(
            "compare",
            f"Is {labels[one]} higher than {labels[other]}?|Is {labels[one]} more than {labels[other]}?|"
            f"Does {labels[one]} have a higher value than {labels[other]}?",
            more,
            str(lines[one]),
            str(lines[other]),
        )
    strangers = [label for group in LABELS for label in group if label not in labels]
    document.lack(f"What is the value of {pick(rng, strangers)}?|How high is {pick(rng, strangers)}?")
    document.lack("Who made this chart?|Where does the data come from?|What will it be next year?")
