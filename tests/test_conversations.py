"""Answers in conversations are correct: each is derived again from the scene and the wording of the question."""

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
    sample_pair,
)
from minigemini_models.samples.ocr_qa import ORDINALS, READING_SKILLS, SPELLING_SKILLS, document_qa, list_document
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


def referents(scene, words):
    """Return all objects that the words may refer to."""
    words = re.sub(r"^(an?|the) ", "", words)
    return [t for t in scene.objects if words in (t.name, f"{t.color_name} {t.name}")]


def middle(obj):
    left, top, right, bottom = obj.box
    return (left + right) / 2, (top + bottom) / 2


def holds(one, where, other):
    (x, y), (a, b) = middle(one), middle(other)
    gap = {"left of": a - x, "right of": x - a, "above": b - y, "below": y - b}[where]
    assert gap >= 20 or gap <= 8, "ambiguous"
    return gap >= 20


def sentence_with_article(words):
    return f"{'An' if re.match(r'[aeio]|u(?!nicorn)|hour', words) else 'A'} {words}."


def phrase(obj):
    return sentence_with_article(f"{obj.color_name} {obj.name}" if obj.color_name else obj.name)


def beside(scene, obj, where):
    found = [other for other in scene.objects if other is not obj and holds(other, where, obj)]
    assert len(found) <= 1
    return found[0] if found else None


def only(found):
    assert len(found) == 1, found
    return next(iter(found))


def object_answer(scene, skill, question):
    match skill:
        case "name" if "object" in question or "shape" in question:
            return sentence_with_article(only(scene.objects).name)
        case "name" | "object":
            return phrase(only(scene.objects))
        case "colour":
            name = re.search(r"(?:colour is|colour does|colour of) the (.*?)( have)?\?$", question)[1]
            assert name in NAMES
            return f"{only({t.color_name for t in referents(scene, name)})}.".capitalize()
        case "find" | "shape":
            color = only([c for c in COLORS if re.search(rf"\b{c}\b", question)])
            pool = [t for t in scene.objects if t.color_name == color]
            if skill == "find":
                assert all(t.color_name for t in scene.objects)
            shapes = ("circle", "square", "triangle", "star", "heart", "diamond", "cross", "ring")
            pool = pool if skill == "find" else [t for t in pool if t.name in shapes]
            return sentence_with_article(only(pool).name)
        case "count":
            words = re.sub(r"^(How many|Count the) | (are there|do you see)\?$|\.$", "", question)
            if words == "things":
                return DIGITS[len(scene.objects)]
            return DIGITS[len(referents(scene, SINGULAR[words]))]
        case "exists":
            words = re.search(r"(?:there|see) (.*?)( in the picture)?\?$", question)[1]
            found = referents(scene, words)
            if not found:
                color, _, name = re.sub(r"^an? ", "", words).partition(" ")
                color, name = (color, name) if color in COLORS else ("", f"{color} {name}".strip())
                for obj in scene.objects:
                    other_colour = color and obj.color_name not in (None, color)
                    assert other_colour or not confusable(obj.name, name), (words, obj)
            return "Yes." if found else "No."
        case "beside":
            where, name = re.search(rf"{WHERE} the (.*)\?$", question).groups()
            found = beside(scene, only(referents(scene, name)), where)
            return phrase(found) if found else "Nothing."
        case "related":
            one, where, other = re.match(rf"Is the (.*) {WHERE} the (.*)\?$", question).groups()
            return "Yes." if holds(only(referents(scene, one)), where, only(referents(scene, other))) else "No."


def text_answer(scene, skill, question):
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


def follow_up_answer(scene, before, question):
    """Resolve "it" and "the other" from the turn before."""
    if onward := re.search(rf"{WHERE} it\?$", question):
        where, name = re.search(rf"{WHERE} the (.*)\?$", before.question).groups()
        return phrase(beside(scene, beside(scene, only(referents(scene, name)), where), onward[1]))
    if row := re.search(r"row (\w+)\?$", question):
        column = re.search(r"column (\w+)", before.question)[1]
        return text_answer(scene, "cell", f"What is in row {row[1]}, column {column}?")
    what = re.search(r"(?:And|about) the (.*)\?$", question)[1]
    if what.startswith("value of "):
        return text_answer(scene, "value", f"What is the {what}?")
    if before.skill == "colour":
        return object_answer(scene, "colour", f"What colour is the {what}?")
    return object_answer(scene, "count", f"How many {what} are there?")


def check_unanswerable(scene, question):
    if row := re.search(r"row (\w+)", question):
        assert row[1] not in [cells[0].word for cells in scene.cells]
    elif value := re.search(r"(?:value of|does|high is) ([A-Z0-9]+)( have)?\?", question):
        assert value[1] not in [bar.label.word for bar in scene.bars]
    elif re.match(r"Which (word|colour)|What colour|What is the colour|What (does the sign|is written)|Read", question):
        name = re.search(r"the ([a-z -]+?)( have)?\?$", question)
        assert not scene.written or (name and not referents(scene, name[1]))
    elif name := re.search(rf"{WHERE} the (.*)\?$", question):
        assert not referents(scene, name[2])


@pytest.mark.parametrize("kind", [*KINDS, *CROWDED_KINDS, *PAGE_KINDS])
@pytest.mark.parametrize("domain", [TRAINING, evaluation(*AXES), BASIC_DOMAIN], ids=["training", "unseen", "first"])
def test_every_answer_is_right(kind, domain):
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
                right = follow_up_answer(scene, before[-1], turn.question)
            else:
                right = object_answer(scene, turn.skill, turn.question)
                right = right or text_answer(scene, turn.skill, turn.question)
            assert turn.answer == right, where
            asked += 1
    assert asked > SEEDS


def test_descriptions_name_objects_from_left_to_right():
    for seed in range(SEEDS):
        scene = sample_scene(seed, "few")
        text = sample_caption(seed, "few").turns[0].answer
        parts = re.split(", | and ", re.sub(r"\b(fork|bow) and (knife|arrow)", r"\1 & \2", text.rstrip(".")))
        parts = [part.replace("&", "and") for part in parts]
        found = [referents(scene, part[0].lower() + part[1:]) for part in parts]
        objects = [only(named) if len(named) == 1 else named[0] for named in found]
        assert len(objects) == len(scene.objects)
        for one, other in pairwise(objects):
            (x, y), (a, b) = middle(one), middle(other)
            assert a - x >= 20 or (abs(a - x) <= 8 and b > y), (seed, text)


def test_captions_name_all_objects_and_text():
    for seed in range(100):
        for kind in (*KINDS, *CROWDED_KINDS, *PAGE_KINDS):
            dialog = sample_caption(seed, kind)
            scene, text = dialog.scenes[0], dialog.turns[0].answer
            assert all(sign.word in text for sign in scene.written)
            for name, number in Counter(obj.name for obj in scene.objects).items():
                assert (plural(name) if number > 1 and kind == "count" else name) in text.lower() or name[0].isupper()


@pytest.mark.parametrize("kind", PAIR_KINDS)
def test_answers_about_image_pairs_are_right(kind):
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
                    assert bool(referents(one, words)) != bool(referents(other, words))
                    right = "The first." if referents(one, words) else "The second."
            assert turn.answer == right, (seed, turn)


@pytest.mark.parametrize(
    ("kind", "skill"),
    [("few", "exists"), ("single", "exists"), ("few", "related"), ("more", "as_many"), ("changed", "same")],
)
def test_yes_and_no_are_balanced(kind, skill):
    said = Counter(
        turn.answer
        for seed in range(1000)
        for turn in sample_dialog(seed, kind, max_turns=30).turns
        if turn.skill == skill
    )
    assert set(said) == {"Yes.", "No."}
    assert abs(said["Yes."] / said.total() - 0.5) < 3 * 0.5 / said.total() ** 0.5


def test_absent_objects_are_often_similar_to_present_ones():
    """Absent objects often share the kin or color of a present one."""
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


def test_text_answers_cannot_be_copied_from_earlier_answers():
    for kind in ("sign", "words", *CROWDED_KINDS, *PAGE_KINDS):
        for seed in range(100):
            turns = sample_dialog(seed, kind).turns
            assert 1 <= len(turns) <= 5
            skills = [turn.skill for turn in turns]
            spelt = [i for i, skill in enumerate(skills) if skill in SPELLING_SKILLS]
            assert not spelt or not any(skill in READING_SKILLS for skill in skills[spelt[0] + 1 :])


def listed_on_page(scene, turn):
    """Return the expected names and texts of a list about a document."""
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
def test_documents_are_listed_completely_in_any_order(kind):
    orders = Counter()
    for seed in range(SEEDS):
        scene = sample_scene(seed, kind)
        turns = list_document(scene, np.random.default_rng(seed))
        if turns[0].skill == "describe":
            assert turns[0].answer == sample_caption(seed, kind).turns[0].answer
            continue
        texts = []
        for turn in turns:
            right = {name.lower(): text for name, text in listed_on_page(scene, turn).items()}
            said = dict(clause.split(" ", 1) for clause in re.split(", | and ", turn.answer.rstrip(".")))
            asked = re.findall(r"\w+", turn.question.lower())
            assert {name.lower(): text for name, text in said.items()} == right
            assert [word for word in asked if word in right] == [name.lower() for name in said]
            orders[list(right) == [name.lower() for name in said]] += 1
            texts += said.values()
        assert len(texts) == len(set(texts))
    assert orders[False] > SEEDS / 10


@pytest.mark.parametrize("kind", PAGE_KINDS)
def test_document_questions_cover_everything_once(kind):
    for seed in range(SEEDS):
        scene = sample_scene(seed, kind)
        turns = document_qa(scene, np.random.default_rng(seed))
        cells = max(len(scene.cells) - 1, 0) * (len(scene.cells[0]) - 1 if scene.cells else 0)
        assert len(turns) == (len(scene.lines) or len(scene.bars) or cells) > 0
        assert len({turn.answer for turn in turns}) == len(turns)
        for turn in turns:
            assert turn.answer == text_answer(scene, turn.skill, turn.question)


def test_one_turn_names_all_of_many_objects():
    for seed in range(60):
        dialog = sample_dialog(seed, "many")
        (scene,) = dialog.scenes
        assert 5 <= len(scene.objects) <= 8
        (texts,) = [turn.answer for turn in dialog.turns if turn.skill == "describe"]
        assert all(obj.name in texts.lower() for obj in scene.objects)


def test_conversations_repeat_nothing_and_keep_groups_together():
    for seed in range(SEEDS):
        scene = sample_scene(seed, "few")
        turns = conversation(scene, np.random.default_rng(seed), max_turns=6)
        assert len(turns) == len({(turn.question, turn.answer) for turn in turns}) <= 6
        for before, turn in zip([None, *turns], turns, strict=False):
            if turn.skill == "follow_up":
                assert turn.answer == follow_up_answer(scene, before, turn.question)


def test_unknown_pair_kinds_raise_an_error():
    with pytest.raises(ValueError, match=r"unknown kind of pair 'twins': choose from more"):
        sample_pair(0, "twins")
