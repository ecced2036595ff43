"""Every question about the drawn world has one right answer: worked out again, from the scene and the words alone."""

import re
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from minigemini_models.samples.conversations import conversation, possible_turn_groups
from minigemini_models.samples.dialogs import (
    PAIR_KINDS,
    sample_caption,
    sample_dialog,
    sample_document,
    sample_pair,
    sample_quiz,
)
from minigemini_models.samples.ocr_qa import ORDINALS, READING_SKILLS, SPELLING_SKILLS
from minigemini_models.samples.turns import CANNOT_TELL
from minigemini_models.scenes.colors import COLORS
from minigemini_models.scenes.composition import CROWDED_KINDS, KINDS, sample_scene
from minigemini_models.scenes.concepts import NAMES, confusable, kin_of, plural
from minigemini_models.scenes.documents import PAGE_KINDS
from minigemini_models.scenes.splits import AXES, BASIC_DOMAIN, TRAINING, evaluation

SEEDS = 400
DIGITS = ("Zero.", "One.", "Two.", "Three.", "Four.", "Five.", "Six.", "Seven.", "Eight.", "Nine.")
SINGULAR = {plural(name): name for name in NAMES}
WHERE = r"(left of|right of|above|below)"


def called(scene, words):
    """All things that somebody may call so."""
    words = re.sub(r"^(an?|the) ", "", words)
    return [t for t in scene.objects if words in (t.name, f"{t.color_name} {t.name}")]


def middle(obj):
    left, top, right, bottom = obj.box
    return (left + right) / 2, (top + bottom) / 2


def holds(one, where, other):
    (x, y), (a, b) = middle(one), middle(other)
    gap = {"left of": a - x, "right of": x - a, "above": b - y, "below": y - b}[where]
    assert gap >= 20 or gap <= 8, "nobody could say"
    return gap >= 20


def an(words):
    return f"{'An' if re.match(r'[aeio]|u(?!nicorn)|hour', words) else 'A'} {words}."


def say(obj):
    return an(f"{obj.color_name} {obj.name}" if obj.color_name else obj.name)


def beside(scene, obj, where):
    found = [other for other in scene.objects if other is not obj and holds(other, where, obj)]
    assert len(found) <= 1
    return found[0] if found else None


def only(found):
    assert len(found) == 1, found
    return next(iter(found))


def answer_about_things(scene, skill, question):
    match skill:
        case "name" if "object" in question or "shape" in question:
            return an(only(scene.objects).name)
        case "name" | "object":
            return say(only(scene.objects))
        case "colour":
            name = re.search(r"(?:colour is|colour does|colour of) the (.*?)( have)?\?$", question)[1]
            assert name in NAMES
            return f"{only({t.color_name for t in called(scene, name)})}.".capitalize()
        case "find" | "shape":
            color = only([c for c in COLORS if re.search(rf"\b{c}\b", question)])
            pool = [t for t in scene.objects if t.color_name == color]
            if skill == "find":
                assert all(t.color_name for t in scene.objects)
            shapes = ("circle", "square", "triangle", "star", "heart", "diamond", "cross", "ring")
            pool = pool if skill == "find" else [t for t in pool if t.name in shapes]
            return an(only(pool).name)
        case "count":
            words = re.sub(r"^(How many|Count the) | (are there|do you see)\?$|\.$", "", question)
            if words == "things":
                return DIGITS[len(scene.objects)]
            return DIGITS[len(called(scene, SINGULAR[words]))]
        case "exists":
            words = re.search(r"(?:there|see) (.*?)( in the picture)?\?$", question)[1]
            found = called(scene, words)
            if not found:
                color, _, name = re.sub(r"^an? ", "", words).partition(" ")
                color, name = (color, name) if color in COLORS else ("", f"{color} {name}".strip())
                for obj in scene.objects:
                    other_colour = color and obj.color_name not in (None, color)
                    assert other_colour or not confusable(obj.name, name), (words, obj)
            return "Yes." if found else "No."
        case "beside":
            where, name = re.search(rf"{WHERE} the (.*)\?$", question).groups()
            found = beside(scene, only(called(scene, name)), where)
            return say(found) if found else "Nothing."
        case "related":
            one, where, other = re.match(rf"Is the (.*) {WHERE} the (.*)\?$", question).groups()
            return "Yes." if holds(only(called(scene, one)), where, only(called(scene, other))) else "No."


def answer_about_text(scene, skill, question):
    words = [sign.word for sign in (*scene.signs, *scene.lines)]
    values = {bar.label.word: bar.value.word for bar in scene.bars}
    assert len(values) == len(set(values.values())) == len(scene.bars)
    ordered = sorted(values, key=lambda label: int(values[label]))
    rows = [[cell.word for cell in row] for row in scene.cells]
    table = {row[0]: dict(zip(rows[0], row, strict=True)) for row in rows}
    match skill:
        case "read":
            return only(words)
        case "read_all":
            return " ".join(words)
        case "read_one":
            return words[0 if "top" in question else -1]
        case "read_line":
            which = only([w for w in ("first", "second", "third", "last") if w in question])
            return words[("first", "second", "third", "last").index(which) if which != "last" else -1]
        case "count_words":
            return DIGITS[len(words) or len(values) or len(scene.cells[0])]
        case "value":
            return values[re.search(r"(?:of|does|is) ([A-Z0-9]+)(?: have)?\?$", question)[1]]
        case "label":
            return only([label for label, value in values.items() if value == question.split()[-1].strip("?")])
        case "extreme":
            return ordered[-1 if "largest" in question else 0]
        case "cell":
            row, column = re.search(r"row (\w+)(?:,| and) column (\w+)[?.]$", question).groups()
            return table[row][column]
        case "row":
            return " ".join(table[re.search(r"row (\w+)", question)[1]].values())


def answer_to_follow_up(scene, before, question):
    """What "it" and "the other" stand for is in the round before."""
    if onward := re.search(rf"{WHERE} it\?$", question):
        where, name = re.search(rf"{WHERE} the (.*)\?$", before.question).groups()
        return say(beside(scene, beside(scene, only(called(scene, name)), where), onward[1]))
    if row := re.search(r"row (\w+)\?$", question):
        column = re.search(r"column (\w+)", before.question)[1]
        return answer_about_text(scene, "cell", f"What is in row {row[1]}, column {column}?")
    what = re.search(r"(?:And|about) the (.*)\?$", question)[1]
    if what.startswith("value of "):
        return answer_about_text(scene, "value", f"What is the {what}?")
    if before.skill == "colour":
        return answer_about_things(scene, "colour", f"What colour is the {what}?")
    return answer_about_things(scene, "count", f"How many {what} are there?")


def check_unanswerable(scene, question):
    if row := re.search(r"row (\w+)", question):
        assert row[1] not in [cells[0].word for cells in scene.cells]
    elif value := re.search(r"(?:value of|does|high is) ([A-Z0-9]+)( have)?\?", question):
        assert value[1] not in [bar.label.word for bar in scene.bars]
    elif re.match(r"Which (word|colour)|What colour|What is the colour|What (does the sign|is written)|Read", question):
        name = re.search(r"the ([a-z -]+?)( have)?\?$", question)
        assert not scene.written or (name and not called(scene, name[1]))
    elif name := re.search(rf"{WHERE} the (.*)\?$", question):
        assert not called(scene, name[2])


@pytest.mark.parametrize("kind", [*KINDS, *CROWDED_KINDS, *PAGE_KINDS])
@pytest.mark.parametrize("domain", [TRAINING, evaluation(*AXES), BASIC_DOMAIN], ids=["training", "unseen", "first"])
def test_every_answer_is_right_about_the_scene(kind, domain):
    asked = 0
    for seed in range(SEEDS):
        scene = sample_scene(seed, kind, domain)
        for group in possible_turn_groups(scene, np.random.default_rng(seed)):
            *before, turn = group
            where = (seed, turn)
            if turn.skill == "describe":
                continue
            if turn.skill == "unknown":
                assert turn.answer == CANNOT_TELL, where
                check_unanswerable(scene, turn.question)
                continue
            if turn.skill == "follow_up":
                right = answer_to_follow_up(scene, before[-1], turn.question)
            else:
                right = answer_about_things(scene, turn.skill, turn.question)
                right = right or answer_about_text(scene, turn.skill, turn.question)
            assert turn.answer == right, where
            asked += 1
    assert asked > SEEDS


def test_a_description_names_everything_from_left_to_right():
    for seed in range(SEEDS):
        scene = sample_scene(seed, "few")
        text = sample_caption(seed, "few").turns[0].answer
        parts = re.split(", | and ", re.sub(r"\b(fork|bow) and (knife|arrow)", r"\1 & \2", text.rstrip(".")))
        parts = [part.replace("&", "and") for part in parts]
        found = [called(scene, part[0].lower() + part[1:]) for part in parts]
        objects = [only(named) if len(named) == 1 else named[0] for named in found]
        assert len(objects) == len(scene.objects)
        for one, other in pairwise(objects):
            (x, y), (a, b) = middle(one), middle(other)
            assert a - x >= 20 or (abs(a - x) <= 8 and b > y), (seed, text)


def test_captions_of_counts_signs_and_pages_hold_what_there_is():
    for seed in range(100):
        for kind in (*KINDS, *CROWDED_KINDS, *PAGE_KINDS):
            dialog = sample_caption(seed, kind)
            scene, text = dialog.scenes[0], dialog.turns[0].answer
            assert all(sign.word in text for sign in scene.written)
            for name, number in Counter(obj.name for obj in scene.objects).items():
                assert (plural(name) if number > 1 and kind == "count" else name) in text.lower() or name[0].isupper()


@pytest.mark.parametrize("kind", PAIR_KINDS)
def test_comparisons_of_two_pictures_are_right(kind):
    for seed in range(SEEDS):
        (one, other), groups = sample_pair(seed, kind)
        for (turn,) in groups:
            here, there = len(one.objects), len(other.objects)
            looks = [{(obj.name, obj.color_name) for obj in scene.objects} for scene in (one, other)]
            match turn.skill:
                case "more":
                    right = "The first." if here > there else "The second."
                case "as_many":
                    right = "Yes." if here == there else "No."
                case "same":
                    right = "Yes." if looks[0] == looks[1] else "No."
                case "changed":
                    right = f"The {only({name for name, _ in looks[0] ^ looks[1]})}."
                case _:
                    words = re.search(r"(?:shows|is) (.*)\?$", turn.question)[1]
                    assert bool(called(one, words)) != bool(called(other, words))
                    right = "The first." if called(one, words) else "The second."
            assert turn.answer == right, (seed, turn)


@pytest.mark.parametrize(
    ("kind", "skill"),
    [("few", "exists"), ("single", "exists"), ("few", "related"), ("more", "as_many"), ("changed", "same")],
)
def test_yes_and_no_are_even(kind, skill):
    said = Counter(
        turn.answer
        for seed in range(1000)
        for turn in sample_dialog(seed, kind, max_turns=30).turns
        if turn.skill == skill
    )
    assert set(said) == {"Yes.", "No."}
    assert abs(said["Yes."] / said.total() - 0.5) < 3 * 0.5 / said.total() ** 0.5


def test_what_is_not_there_is_often_like_what_is():
    """Half of the absent things share kind of thing, colour or shape with one that is there."""
    near = total = 0
    for seed in range(SEEDS):
        scene = sample_scene(seed, "few")
        for (turn,) in [e for e in possible_turn_groups(scene, np.random.default_rng(seed)) if len(e) == 1]:
            if turn.skill == "exists" and turn.answer == "No.":
                total += 1
                near += any(t.color_name and f" {t.color_name} " in turn.question for t in scene.objects) or any(
                    kin_of(t.name) in turn.question for t in scene.objects
                )
    assert near / total > 0.15


def test_counts_go_to_eight():
    counts = Counter(len(sample_scene(seed, "count").objects) for seed in range(600))
    assert set(counts) == set(range(1, 9))


def test_a_conversation_never_lets_a_reading_be_copied():
    for kind in ("sign", "words", *CROWDED_KINDS, *PAGE_KINDS):
        for seed in range(100):
            turns = sample_dialog(seed, kind).turns
            assert 1 <= len(turns) <= 5
            skills = [turn.skill for turn in turns]
            spelt = [i for i, skill in enumerate(skills) if skill in SPELLING_SKILLS]
            assert not spelt or not any(skill in READING_SKILLS for skill in skills[spelt[0] + 1 :])


def listed_on_page(scene, turn):
    """What a list about a page has to say: each name and what belongs to it."""
    heads, *rows = [[cell.word for cell in row] for row in scene.cells] or [[]]
    match turn.skill:
        case "read_all":
            return {which: line.word for which, line in zip(ORDINALS, scene.lines, strict=False)}
        case "value":
            return {bar.label.word: bar.value.word for bar in scene.bars}
        case "label":
            return {bar.value.word: bar.label.word for bar in scene.bars}
        case "row":
            return {row[0]: " ".join(row[1:]) for row in rows}
        case "cell":
            column = heads.index(re.search(r"column (\w+)", turn.question)[1])
            return {row[0]: row[column] for row in rows}


@pytest.mark.parametrize("kind", PAGE_KINDS)
def test_a_page_is_told_by_name_in_any_order_and_nothing_twice(kind):
    orders = Counter()
    for seed in range(SEEDS):
        dialog = sample_document(seed, kind)
        (scene,) = dialog.scenes
        if dialog.turns[0].skill == "describe":
            assert dialog.turns[0].answer == sample_caption(seed, kind).turns[0].answer
            continue
        told = []
        for turn in dialog.turns:
            right = {name.lower(): text for name, text in listed_on_page(scene, turn).items()}
            said = dict(clause.split(" ", 1) for clause in re.split(", | and ", turn.answer.rstrip(".")))
            asked = re.findall(r"\w+", turn.question.lower())
            assert {name.lower(): text for name, text in said.items()} == right
            assert [word for word in asked if word in right] == [name.lower() for name in said]
            orders[list(right) == [name.lower() for name in said]] += 1
            told += said.values()
        assert len(told) == len(set(told))
    assert orders[False] > SEEDS / 10


@pytest.mark.parametrize("kind", PAGE_KINDS)
def test_a_page_is_asked_about_in_short_rounds_and_nothing_twice(kind):
    for seed in range(SEEDS):
        dialog = sample_document(seed, kind, asked=True)
        (scene,) = dialog.scenes
        cells = max(len(scene.cells) - 1, 0) * (len(scene.cells[0]) - 1 if scene.cells else 0)
        assert len(dialog.turns) == (len(scene.lines) or len(scene.bars) or cells) > 0
        assert len({turn.answer for turn in dialog.turns}) == len(dialog.turns)
        for turn in dialog.turns:
            assert turn.answer == answer_about_text(scene, turn.skill, turn.question)


def test_where_many_things_are_one_round_names_them_all():
    for seed in range(60):
        dialog = sample_dialog(seed, "many")
        (scene,) = dialog.scenes
        assert 5 <= len(scene.objects) <= 8
        (told,) = [turn.answer for turn in dialog.turns if turn.skill == "describe"]
        assert all(obj.name in told.lower() for obj in scene.objects)


def test_a_conversation_asks_nothing_twice_and_keeps_exchanges_together():
    for seed in range(SEEDS):
        scene = sample_scene(seed, "few")
        turns = conversation(scene, np.random.default_rng(seed), max_turns=6)
        assert len(turns) == len({(turn.question, turn.answer) for turn in turns}) <= 6
        for before, turn in zip([None, *turns], turns, strict=False):
            if turn.skill == "follow_up":
                assert turn.answer == answer_to_follow_up(scene, before, turn.question)


def test_a_quiz_asks_much_nothing_twice_and_keeps_exchanges_together():
    asked = []
    for seed in range(SEEDS):
        dialog = sample_quiz(seed, "few")
        assert dialog == sample_quiz(seed, "few")
        turns = dialog.turns
        assert len(turns) == len({turn.question for turn in turns}) <= 12
        assert "describe" not in {turn.skill for turn in turns}
        for before, turn in zip([None, *turns], turns, strict=False):
            if turn.skill == "follow_up":
                assert turn.answer == answer_to_follow_up(dialog.scenes[0], before, turn.question)
        asked.append(len(turns))
    assert np.mean(asked) > 8


def test_unknown_pairs_are_named():
    with pytest.raises(ValueError, match=r"unknown kind of pair 'twins': choose from more"):
        sample_pair(0, "twins")
