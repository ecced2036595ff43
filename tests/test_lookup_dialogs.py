"""Lookups of attributes, relations and image pairs by name: every answer is true, in each of its forms."""

import re
from collections.abc import Callable

import numpy as np
import pytest
from answer_clauses import clauses

from minigemini_models.samples import attribute_lookup, image_pairs, spatial_relations
from minigemini_models.samples.attribute_lookup import sample_colored
from minigemini_models.samples.dialogs import Dialog
from minigemini_models.samples.object_qa import RELATIONS, has_relation
from minigemini_models.samples.turns import CANNOT_TELL, Turn
from minigemini_models.scenes.colors import COLORS
from minigemini_models.scenes.concepts import COLORED_NAMES, confusable
from minigemini_models.scenes.layouts import center
from minigemini_models.scenes.scene import SCENE_PX, Scene, SceneObject
from minigemini_models.scenes.splits import TRAINING

SEEDS = 150
YES_NO_PREFIXES = {"^Say": "The {} ", "^Answer": "It is: ", ", yes or no": "So: ", ": yes or no": "So ", ": true": ": "}
PLACE_WORDS = (("left", "right"), ("above", "below"))
OF_SCENES = {
    "color lists": attribute_lookup.list_colors,
    "repeated colors": attribute_lookup.repeated_color_qa,
    "colors": attribute_lookup.color_qa,
    "absent lists": attribute_lookup.list_absent,
    "absent": attribute_lookup.absent_qa,
    "presence": attribute_lookup.presence_qa,
    "halves": spatial_relations.list_halves,
    "positions": spatial_relations.list_positions,
    "relation lists": spatial_relations.list_relations,
    "relations": spatial_relations.relation_qa,
}
OF_PAIRS = {
    "which image lists": image_pairs.list_which_image,
    "which image": image_pairs.which_image_qa,
    "change lists": image_pairs.list_changes,
    "changes": image_pairs.change_qa,
}
KINDS = [*OF_SCENES, *OF_PAIRS]


def looked_up(seed: int, kind: str) -> Dialog:
    """Return a scene or a pair with the turns of a kind, which may be none."""
    if kind in OF_PAIRS:
        scenes, turns = OF_PAIRS[kind](seed, TRAINING)
        return Dialog(scenes, tuple(turns))
    rng, scene = sample_colored(seed, TRAINING)
    return Dialog((scene,), tuple(OF_SCENES[kind](scene, rng)))


def names_in_question(turn: Turn) -> list[str]:
    """Return the object names in a question, in order."""
    return re.findall(rf"\b({'|'.join(COLORED_NAMES)})\b", turn.question)


def color_is_true(dialog: Dialog, turn: Turn) -> bool:
    colors = {obj.name: obj.color_name for obj in dialog.scenes[0].objects}
    asked = {name: colors.get(name, "none") for name in names_in_question(turn)}
    if len(asked) > 1 or ": " in turn.answer or re.match(r"The \w+ (?!is)", turn.answer):
        return {re.sub(r"^the |:| is", "", clause) for clause in clauses(turn.answer)} == {
            f"{name} {color}" for name, color in asked.items()
        }
    ((name, color),) = asked.items()
    unknown = [CANNOT_TELL] if color == "none" else []
    return turn.answer in [f"The {name} is {color}.", f"It is {color}.", *(unknown or [f"{color.capitalize()}."])]


def presence_is_true(dialog: Dialog, turn: Turn) -> bool:
    colors = {obj.name: obj.color_name for obj in dialog.scenes[0].objects}
    (name,) = names_in_question(turn)
    yes, color = ("yes", colors[name]) if name in colors else ("no", "none")
    return turn.answer.lower() in (f"{yes}.", f"{color}, {yes}.", f"{color}.")


def position_is_true(dialog: Dialog, turn: Turn) -> bool:
    objects = {obj.name: obj for obj in dialog.scenes[0].objects}
    names = names_in_question(turn)
    axis = 0 if re.search("left|right", turn.question) else 1
    seen_from = re.search(rf"(?:left of|right of|above|below) the ({'|'.join(COLORED_NAMES)})[,?]", turn.question)
    middle = center(objects[names.pop()].box)[axis] if seen_from else SCENE_PX / 2
    if relation := re.search(r"are (left of|right of|above|below) the", turn.question):
        other = objects[seen_from[1]]
        said = {name: "yes" if has_relation(objects[name], relation[1], other) else "no" for name in names}
        if "and how" in turn.question:
            words, here = PLACE_WORDS[axis], center(other.box)[axis]
            said = {name: f"{words[center(objects[name].box)[axis] > here]} {yes}" for name, yes in said.items()}
    else:
        words = PLACE_WORDS[axis] if seen_from or axis == 0 else ("up", "down")
        said = {name: words[center(objects[name].box)[axis] > middle] for name in names}
    return set(clauses(turn.answer)) == {f"the {name} {what}" for name, what in said.items()}


def relation_is_true(dialog: Dialog, turn: Turn) -> bool:
    objects = {obj.name: obj for obj in dialog.scenes[0].objects}
    one, other = (objects[name] for name in names_in_question(turn))
    (relation,) = (relation for relation in RELATIONS if relation in turn.question)
    yes = "yes" if has_relation(one, relation, other) else "no"
    before = [said for asked, said in YES_NO_PREFIXES.items() if re.search(asked, turn.question)]
    if not before:
        return turn.answer == f"{yes.capitalize()}."
    return turn.answer == f"{before[0].format(one.name)}{yes}."


def which_is_true(dialog: Dialog, turn: Turn) -> bool:
    first, second = ({obj.name for obj in scene.objects} for scene in dialog.scenes)
    shown = {name: ("second", "first")[name in first] for name in names_in_question(turn)}
    assert all((name in first) != (name in second) for name in shown)
    if len(shown) == 1 and not turn.question.startswith(("Which picture shows the", "In which pictures", "Where are")):
        ((name, which),) = shown.items()
        short = (f"The {which}.", f"In the {which}.", f"The {name} is in the {which}.", f"The {name}: {which}.")
        return turn.answer in short
    return {re.sub(r"^the |:| is| in the", "", clause) for clause in clauses(turn.answer)} == {
        f"{name} {which}" for name, which in shown.items()
    }


def change_is_true(dialog: Dialog, turn: Turn) -> bool:
    one, other = ({obj.name: obj.color_name for obj in scene.objects} for scene in dialog.scenes)
    names = names_in_question(turn) or [name for name in one if one[name] != other[name]]
    same = {name: one[name] == other[name] for name in names}
    if turn.skill == "same":
        return turn.answer == ("Yes." if all(same.values()) else "No.")
    if not names_in_question(turn):
        return turn.answer == f"The {names[0]}."
    verdict = {name: "again" if same[name] else "another" for name in names}
    if "first and then" in turn.question:
        said = {name: f"{one[name]} {'again' if same[name] else other[name]}" for name in names}
    elif "Which colours" in turn.question:
        said = {name: f"{one[name]} {verdict[name]}" for name in names}
    else:
        said = verdict
    return set(clauses(turn.answer)) == {f"the {name} {what}" for name, what in said.items()}


TRUE: dict[str, Callable[[Dialog, Turn], bool]] = {
    "colours": color_is_true,
    "colour": color_is_true,
    "exists": presence_is_true,
    "places": position_is_true,
    "related": relation_is_true,
    "which_picture": which_is_true,
    "changed": change_is_true,
    "same": change_is_true,
}


SKILLS = {
    "color lists": {"colours"},
    "repeated colors": {"colour"},
    "colors": {"colour", "colours"},
    "absent lists": {"colours"},
    "absent": {"colour", "colours"},
    "presence": {"exists"},
    "halves": {"places"},
    "positions": {"places"},
    "relation lists": {"places"},
    "relations": {"related"},
    "which image lists": {"which_picture"},
    "which image": {"which_picture"},
    "change lists": {"changed"},
    "changes": {"changed", "same"},
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_answer_is_true(kind: str):
    said, skills = set(), set()
    for seed in range(SEEDS):
        dialog = looked_up(seed, kind)
        assert dialog == looked_up(seed, kind)
        assert len({turn.question for turn in dialog.turns}) == len(dialog.turns)
        for scene in dialog.scenes:
            assert not any(confusable(a.name, b.name) for a in scene.objects for b in scene.objects if a is not b)
        for turn in dialog.turns:
            assert TRUE[turn.skill](dialog, turn), (turn, dialog.scenes)
            said.add(turn.answer)
            skills.add(turn.skill)
    assert len(said) > 3
    assert skills == SKILLS[kind]


def test_color_questions_ask_for_each_color_once():
    for seed in range(SEEDS):
        dialog = looked_up(seed, "colors")
        assert len(dialog.turns) == len(dialog.scenes[0].objects)


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        ("absent lists", "|".join(COLORS), "none"),
        ("presence", "yes", "no"),
        ("relations", "yes", "no"),
        ("which image lists", "first", "second"),
        ("change lists", "again", "another"),
        ("changes", "yes", "no"),
    ],
)
def test_binary_answers_are_balanced(kind: str, one: str, other: str):
    said = " ".join(turn.answer.lower() for seed in range(SEEDS) for turn in looked_up(seed, kind).turns)
    ones, others = (len(re.findall(rf"\b(?:{words})\b", said)) for words in (one, other))
    assert 0.4 < ones / (ones + others) < 0.65


def test_objects_in_the_middle_are_in_no_half():
    alone = Scene("few", (255, 255, 255), (SceneObject("hat", (100, 100, 156, 156), "red"),))
    assert spatial_relations.list_halves(alone, np.random.default_rng(0)) == []
