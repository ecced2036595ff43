"""Questions about what is written: words, lines, charts and tables."""

from collections.abc import Mapping

import numpy as np

from ..scenes.colors import pick
from ..scenes.scene import Bar, Scene, Sign
from .attribute_lookup import as_list, shuffled
from .descriptions import NUMBERS, describe, sentence, written
from .turns import Exchange, Turn, ask

ORDINALS = ("first", "second", "third")
SPELLING_SKILLS = ("describe", "read", "read_all")
"""Skills whose answer spells out all that is written, where something is."""
READING_SKILLS = (*SPELLING_SKILLS, "read_one", "read_line", "value", "label", "extreme", "cell", "row")
"""Skills whose answer spells out some of it."""
_SHARE_DESCRIBED = 0.3
"""How often a page is told from its top, and not by name."""


def about_words(scene: Scene, rng: np.random.Generator) -> list[Exchange]:
    """Every question about a picture's words that it can answer."""
    match scene.kind:
        case "sign" if scene.signs:
            return [(ask(rng, "read", scene.signs[0].word),)]
        case "words" if scene.signs:
            return _about_several(scene, rng)
        case "lines" | "text":
            return _about_lines(scene.lines, rng)
        case "chart":
            return _about_bars(scene.bars, rng)
        case "table":
            return _about_cells(scene.cells, rng)
    return []


def _about_several(scene: Scene, rng: np.random.Generator) -> list[Exchange]:
    words = [sign.word for sign in scene.signs]
    return [
        (ask(rng, "read_all", written(scene)),),
        (ask(rng, "read_top", words[0], "read_one"),),
        (ask(rng, "read_bottom", words[-1], "read_one"),),
        (ask(rng, "count", sentence(NUMBERS[len(words)]), "count_words", plural="words"),),
    ]


def _about_lines(lines: tuple[Sign, ...], rng: np.random.Generator) -> list[Exchange]:
    exchanges: list[Exchange] = [(ask(rng, "read_lines", " ".join(line.word for line in lines), "read_all"),)]
    if len(lines) > 1:
        for which, line in (*zip(ORDINALS, lines, strict=False), ("last", lines[-1])):
            exchanges.append((ask(rng, "read_line", line.word, which=which),))
        exchanges.append((ask(rng, "count", sentence(NUMBERS[len(lines)]), "count_words", plural="lines"),))
    return exchanges


def _about_bars(bars: tuple[Bar, ...], rng: np.random.Generator) -> list[Exchange]:
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


def _about_cells(cells: tuple[tuple[Sign, ...], ...], rng: np.random.Generator) -> list[Exchange]:
    heads, *rows = cells
    column = int(rng.integers(1, len(heads)))
    one, other = (rows[i] for i in rng.permutation(len(rows))[:2])
    cell = ask(rng, "cell", one[column].word, row=one[0].word, column=heads[column].word)
    again = pick(rng, rows)
    return [
        (cell,),
        (cell, ask(rng, "and_row", other[column].word, "follow_up", row=other[0].word)),
        (ask(rng, "row", " ".join(text.word for text in again), row=again[0].word),),
        (ask(rng, "count", sentence(NUMBERS[len(heads)]), "count_words", plural="columns"),),
    ]


def page_told(scene: Scene, rng: np.random.Generator) -> list[Turn]:
    """Everything on a page once, from its top or by what it is called, with its name before each text."""
    if rng.random() < _SHARE_DESCRIBED:
        return [ask(rng, "describe", describe(scene))]
    match scene.kind:
        case "lines":
            said = {which: line.word for which, line in zip(ORDINALS, scene.lines, strict=False)}
            return _told("read_all", "Read the {} line.", said, rng)
        case "chart":
            said = {bar.label.word: bar.value.word for bar in scene.bars}
            if rng.random() < 0.5:
                return _told("value", "Which values do {} have?", said, rng)
            said = {value: label for label, value in said.items()}
            return _told("label", "Which bars have the values {}?", said, rng)
        case _:
            heads, *rows = scene.cells
            if rng.random() < 0.5:
                said = {row[0].word: " ".join(cell.word for cell in row[1:]) for row in rows}
                return _told("row", "What do rows {} say?", said, rng)
            columns = {
                f"What is in column {heads[i].word} of rows {{}}?": {row[0].word: row[i].word for row in rows}
                for i in 1 + rng.permutation(len(heads) - 1)
            }
            return [turn for asked, said in columns.items() for turn in _told("cell", asked, said, rng)]


def page_asked(scene: Scene, rng: np.random.Generator) -> list[Turn]:
    """Everything on a page once, in short rounds."""
    match scene.kind:
        case "lines":
            named = zip(ORDINALS, scene.lines, strict=False)
            turns = [ask(rng, "read_line", line.word, which=which) for which, line in named]
        case "chart" if rng.random() < 0.5:
            turns = [ask(rng, "value", bar.value.word, label=bar.label.word) for bar in scene.bars]
        case "chart":
            turns = [ask(rng, "label", bar.label.word, value=bar.value.word) for bar in scene.bars]
        case _:
            heads, *rows = scene.cells
            turns = [
                ask(rng, "cell", cell.word, row=row[0].word, column=head.word)
                for row in rows
                for head, cell in zip(heads[1:], row[1:], strict=True)
            ]
    return shuffled(turns, rng)


def _told(skill: str, asked: str, said: Mapping[str, str], rng: np.random.Generator) -> list[Turn]:
    """A list of what is written: its names are texts and take no article."""
    return as_list(skill, asked, said, rng, before="")
