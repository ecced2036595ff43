"""Rounds that look things up by name: every answer is true of the picture, or of the two, in each of its forms."""

import re
from collections.abc import Callable

import numpy as np
import pytest
from clauses import clauses

from minigemini_models.samples.attribute_lookup import LOOKING_UP
from minigemini_models.samples.dataset import DRAWN, drawn_lesson
from minigemini_models.samples.dialogs import Lesson, sample_looking_up
from minigemini_models.samples.image_pairs import COMPARING
from minigemini_models.samples.object_qa import RELATIONS, stands
from minigemini_models.samples.spatial_relations import PLACING
from minigemini_models.samples.turns import CANNOT_TELL, Turn
from minigemini_models.scenes.colors import COLOURS
from minigemini_models.scenes.concepts import TINTED_NAMES, alike
from minigemini_models.scenes.layouts import centre
from minigemini_models.scenes.scene import SCENE_PX, Scene, Thing

SEEDS = 150
BEFORE_YES = {"^Say": "The {} ", "^Answer": "It is: ", ", yes or no": "So: ", ": yes or no": "So ", ": true": ": "}
PLACE_WORDS = (("left", "right"), ("above", "below"))
KINDS = [*LOOKING_UP, *PLACING, *COMPARING]


def named(turn: Turn) -> list[str]:
    """The names in a question, in their order."""
    return re.findall(rf"\b({'|'.join(TINTED_NAMES)})\b", turn.question)


def colour_is_true(lesson: Lesson, turn: Turn) -> bool:
    colours = {thing.name: thing.colour_name for thing in lesson.scenes[0].things}
    asked = {name: colours.get(name, "none") for name in named(turn)}
    if len(asked) > 1 or ": " in turn.answer or re.match(r"The \w+ (?!is)", turn.answer):
        return {re.sub(r"^the |:| is", "", clause) for clause in clauses(turn.answer)} == {
            f"{name} {colour}" for name, colour in asked.items()
        }
    ((name, colour),) = asked.items()
    unknown = [CANNOT_TELL] if colour == "none" else []
    return turn.answer in [f"The {name} is {colour}.", f"It is {colour}.", *(unknown or [f"{colour.capitalize()}."])]


def presence_is_true(lesson: Lesson, turn: Turn) -> bool:
    colours = {thing.name: thing.colour_name for thing in lesson.scenes[0].things}
    (name,) = named(turn)
    yes, colour = ("yes", colours[name]) if name in colours else ("no", "none")
    return turn.answer.lower() in (f"{yes}.", f"{colour}, {yes}.", f"{colour}.")


def place_is_true(lesson: Lesson, turn: Turn) -> bool:
    things = {thing.name: thing for thing in lesson.scenes[0].things}
    names = named(turn)
    axis = 0 if re.search("left|right", turn.question) else 1
    seen_from = re.search(rf"(?:left of|right of|above|below) the ({'|'.join(TINTED_NAMES)})[,?]", turn.question)
    middle = centre(things[names.pop()].box)[axis] if seen_from else SCENE_PX / 2
    if relation := re.search(r"are (left of|right of|above|below) the", turn.question):
        other = things[seen_from[1]]
        said = {name: "yes" if stands(things[name], relation[1], other) else "no" for name in names}
        if "and how" in turn.question:
            words, here = PLACE_WORDS[axis], centre(other.box)[axis]
            said = {name: f"{words[centre(things[name].box)[axis] > here]} {yes}" for name, yes in said.items()}
    else:
        words = PLACE_WORDS[axis] if seen_from or axis == 0 else ("up", "down")
        said = {name: words[centre(things[name].box)[axis] > middle] for name in names}
    return set(clauses(turn.answer)) == {f"the {name} {what}" for name, what in said.items()}


def relation_is_true(lesson: Lesson, turn: Turn) -> bool:
    things = {thing.name: thing for thing in lesson.scenes[0].things}
    one, other = (things[name] for name in named(turn))
    (relation,) = (relation for relation in RELATIONS if relation in turn.question)
    yes = "yes" if stands(one, relation, other) else "no"
    before = [said for asked, said in BEFORE_YES.items() if re.search(asked, turn.question)]
    if not before:
        return turn.answer == f"{yes.capitalize()}."
    return turn.answer == f"{before[0].format(one.name)}{yes}."


def which_is_true(lesson: Lesson, turn: Turn) -> bool:
    first, second = ({thing.name for thing in scene.things} for scene in lesson.scenes)
    shown = {name: ("second", "first")[name in first] for name in named(turn)}
    assert all((name in first) != (name in second) for name in shown)
    if len(shown) == 1 and not turn.question.startswith(("Which picture shows the", "In which pictures", "Where are")):
        ((name, which),) = shown.items()
        short = (f"The {which}.", f"In the {which}.", f"The {name} is in the {which}.", f"The {name}: {which}.")
        return turn.answer in short
    return {re.sub(r"^the |:| is| in the", "", clause) for clause in clauses(turn.answer)} == {
        f"{name} {which}" for name, which in shown.items()
    }


def change_is_true(lesson: Lesson, turn: Turn) -> bool:
    one, other = ({thing.name: thing.colour_name for thing in scene.things} for scene in lesson.scenes)
    names = named(turn) or [name for name in one if one[name] != other[name]]
    same = {name: one[name] == other[name] for name in names}
    if turn.skill == "same":
        return turn.answer == ("Yes." if all(same.values()) else "No.")
    if not named(turn):
        return turn.answer == f"The {names[0]}."
    verdict = {name: "again" if same[name] else "another" for name in names}
    if "first and then" in turn.question:
        said = {name: f"{one[name]} {'again' if same[name] else other[name]}" for name in names}
    elif "Which colours" in turn.question:
        said = {name: f"{one[name]} {verdict[name]}" for name in names}
    else:
        said = verdict
    return set(clauses(turn.answer)) == {f"the {name} {what}" for name, what in said.items()}


TRUE: dict[str, Callable[[Lesson, Turn], bool]] = {
    "colours": colour_is_true,
    "colour": colour_is_true,
    "exists": presence_is_true,
    "places": place_is_true,
    "related": relation_is_true,
    "which_picture": which_is_true,
    "changed": change_is_true,
    "same": change_is_true,
}


SKILLS = {
    "colours-told": {"colours"},
    "colours-repeated": {"colour"},
    "colours-asked": {"colour", "colours"},
    "absent-told": {"colours"},
    "absent-asked": {"colour", "colours"},
    "names-asked": {"exists"},
    "halves-told": {"places"},
    "places-told": {"places"},
    "related-told": {"places"},
    "related-asked": {"related"},
    "which-told": {"which_picture"},
    "which-asked": {"which_picture"},
    "changes-told": {"changed"},
    "changes-asked": {"changed", "same"},
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_answer_is_true(kind: str):
    said, skills = set(), set()
    for seed in range(SEEDS):
        lesson = sample_looking_up(seed, kind)
        assert lesson == sample_looking_up(seed, kind)
        assert len({turn.question for turn in lesson.turns}) == len(lesson.turns) > 0
        for scene in lesson.scenes:
            assert not any(alike(a.name, b.name) for a in scene.things for b in scene.things if a is not b)
        for turn in lesson.turns:
            assert TRUE[turn.skill](lesson, turn), (turn, lesson.scenes)
            said.add(turn.answer)
            skills.add(turn.skill)
    assert len(said) > 3
    assert skills == SKILLS[kind]


def test_where_each_colour_is_asked_once_none_can_be_copied():
    for seed in range(SEEDS):
        lesson = sample_looking_up(seed, "colours-asked")
        assert len(lesson.turns) == len(lesson.scenes[0].things)


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        ("absent-told", "|".join(COLOURS), "none"),
        ("names-asked", "yes", "no"),
        ("related-asked", "yes", "no"),
        ("which-told", "first", "second"),
        ("changes-told", "again", "another"),
        ("changes-asked", "yes", "no"),
    ],
)
def test_about_half_of_what_could_be_either_is(kind: str, one: str, other: str):
    said = " ".join(turn.answer.lower() for seed in range(SEEDS) for turn in sample_looking_up(seed, kind).turns)
    ones, others = (len(re.findall(rf"\b(?:{words})\b", said)) for words in (one, other))
    assert 0.4 < ones / (ones + others) < 0.65


def test_what_nothing_can_be_asked_about_is_drawn_again():
    alone = Scene("few", (255, 255, 255), (Thing("hat", (100, 100, 156, 156), "red"),))
    assert PLACING["halves-told"](alone, np.random.default_rng(0)) == []
    assert all(sample_looking_up(seed, "halves-told").turns for seed in range(SEEDS))


@pytest.mark.parametrize("kind", KINDS)
def test_training_draws_them(kind: str):
    for row in range(20):
        assert drawn_lesson(kind, row).turns
    assert set(DRAWN[kind][1]) <= set(KINDS)
