"""Teach reading: questions about signs, words, lines of text, charts and tables."""

from collections.abc import Mapping

import numpy as np

from ..scenes.colors import pick
from ..scenes.scene import Bar, Scene, Sign
from .attribute_lookup import shuffled, shuffled_list_turn
from .descriptions import NUMBERS, all_text, describe, sentence
from .turns import Turn, TurnGroup, ask

ORDINALS = ("first", "second", "third")
SPELLING_SKILLS = ("describe", "read", "read_all")
"""Skills whose answers spell out all text of a scene, if it has any."""
READING_SKILLS = (*SPELLING_SKILLS, "read_one", "read_line", "value", "label", "extreme", "cell", "row")
"""Skills whose answers spell out some of it."""
_DESCRIPTION_SHARE = 0.3
"""Share of documents that are described from top to bottom instead of listed by name."""


def text_turn_groups(scene: Scene, rng: np.random.Generator) -> list[TurnGroup]:
    """Return every question that fits the text of a scene."""
    match scene.kind:
        case "sign" if scene.signs:
            return [(ask(rng, "read", scene.signs[0].word),)]
        case "words" if scene.signs:
            return _word_groups(scene, rng)
        case "lines" | "text":
            return _line_groups(scene.lines, rng)
        case "chart":
            return _chart_groups(scene.bars, rng)
        case "table":
            return _table_groups(scene.cells, rng)
    return []


def _word_groups(scene: Scene, rng: np.random.Generator) -> list[TurnGroup]:
    words = [sign.word for sign in scene.signs]
    return [
        (ask(rng, "read_all", all_text(scene)),),
        (ask(rng, "read_top", words[0], "read_one"),),
        (ask(rng, "read_bottom", words[-1], "read_one"),),
        (ask(rng, "count", sentence(NUMBERS[len(words)]), "count_words", plural="words"),),
    ]


def _line_groups(lines: tuple[Sign, ...], rng: np.random.Generator) -> list[TurnGroup]:
    groups: list[TurnGroup] = [(ask(rng, "read_lines", " ".join(line.word for line in lines), "read_all"),)]
    if len(lines) > 1:
        for which, line in (*zip(ORDINALS, lines, strict=False), ("last", lines[-1])):
            groups.append((ask(rng, "read_line", line.word, which=which),))
        groups.append((ask(rng, "count", sentence(NUMBERS[len(lines)]), "count_words", plural="lines"),))
    return groups


def _chart_groups(bars: tuple[Bar, ...], rng: np.random.Generator) -> list[TurnGroup]:
    one, other = (bars[i] for i in rng.permutation(len(bars))[:2])
    by_value = sorted(bars, key=lambda bar: int(bar.value.word))
    value = ask(rng, "value", one.value.word, label=one.label.word)
    return [
        (value,),
        (value, ask(rng, "and_the", other.value.word, "follow_up", name=f"value of {other.label.word}")),
        (ask(rng, "label", one.label.word, value=one.value.word),),
        (ask(rng, "largest", by_value[-1].label.word, "extreme"),),
        (ask(rng, "smallest", by_value[0].label.word, "extreme"),),
        (ask(rng, "count", sentence(NUMBERS[len(bars)]), "count_words", plural="bars"),),
    ]


def _table_groups(cells: tuple[tuple[Sign, ...], ...], rng: np.random.Generator) -> list[TurnGroup]:
    header, *rows = cells
    column = int(rng.integers(1, len(header)))
    one, other = (rows[i] for i in rng.permutation(len(rows))[:2])
    cell = ask(rng, "cell", one[column].word, row=one[0].word, column=header[column].word)
    again = pick(rng, rows)
    return [
        (cell,),
        (cell, ask(rng, "and_row", other[column].word, "follow_up", row=other[0].word)),
        (ask(rng, "row", " ".join(text.word for text in again), row=again[0].word),),
        (ask(rng, "count", sentence(NUMBERS[len(header)]), "count_words", plural="columns"),),
    ]


def list_document(scene: Scene, rng: np.random.Generator) -> list[Turn]:
    """Read everything in a document once, as a description or as lists of names and texts."""
    if rng.random() < _DESCRIPTION_SHARE:
        return [ask(rng, "describe", describe(scene))]
    match scene.kind:
        case "lines":
            values = {which: line.word for which, line in zip(ORDINALS, scene.lines, strict=False)}
            return _list_turns("read_all", "Read the {} line.", values, rng)
        case "chart":
            values = {bar.label.word: bar.value.word for bar in scene.bars}
            if rng.random() < 0.5:
                return _list_turns("value", "Which values do {} have?", values, rng)
            values = {value: label for label, value in values.items()}
            return _list_turns("label", "Which bars have the values {}?", values, rng)
        case _:
            header, *rows = scene.cells
            if rng.random() < 0.5:
                values = {row[0].word: " ".join(cell.word for cell in row[1:]) for row in rows}
                return _list_turns("row", "What do rows {} say?", values, rng)
            columns = {
                f"What is in column {header[i].word} of rows {{}}?": {row[0].word: row[i].word for row in rows}
                for i in 1 + rng.permutation(len(header) - 1)
            }
            return [turn for template, values in columns.items() for turn in _list_turns("cell", template, values, rng)]


def document_qa(scene: Scene, rng: np.random.Generator) -> list[Turn]:
    """Ask for everything in a document once, in short turns."""
    match scene.kind:
        case "lines":
            named = zip(ORDINALS, scene.lines, strict=False)
            turns = [ask(rng, "read_line", line.word, which=which) for which, line in named]
        case "chart" if rng.random() < 0.5:
            turns = [ask(rng, "value", bar.value.word, label=bar.label.word) for bar in scene.bars]
        case "chart":
            turns = [ask(rng, "label", bar.label.word, value=bar.value.word) for bar in scene.bars]
        case _:
            header, *rows = scene.cells
            turns = [
                ask(rng, "cell", cell.word, row=row[0].word, column=head.word)
                for row in rows
                for head, cell in zip(header[1:], row[1:], strict=True)
            ]
    return shuffled(turns, rng)


def _list_turns(skill: str, template: str, values: Mapping[str, str], rng: np.random.Generator) -> list[Turn]:
    """Return a list turn whose names are texts and take no article."""
    return shuffled_list_turn(skill, template, values, rng, prefix="")
