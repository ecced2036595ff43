"""Rounds that look things up by name: every answer is true of the scene, in each of its forms."""

import re

import pytest
from clauses import clauses

from minigemini.training.drawn import DRAWN, drawn_lesson
from minigemini.world.concepts import alike
from minigemini.world.lessons import sample_looking_up
from minigemini.world.looking_up import LOOKING_UP
from minigemini.world.scene import Scene
from minigemini.world.turns import Turn

SEEDS = 150


def true_of(scene: Scene, turn: Turn) -> bool:
    colours = {thing.name: thing.colour_name for thing in scene.things}
    asked = [name for name in colours if re.search(rf"\b{name}\b", turn.question)]
    match turn.skill:
        case "presence":
            said = dict(clause.removeprefix("the ").rsplit(" ", 1) for clause in clauses(turn.answer))
            return all((name in colours) == (answer == "yes") for name, answer in said.items())
        case "exists":
            return turn.answer == ("Yes." if asked else "No.")
        case "colour":
            return turn.answer == f"{colours[asked[0]].capitalize()}."
    if turn.answer.startswith("It is "):
        return turn.answer == f"It is {colours[asked[0]]}."
    told = {re.sub(r"^the |:| is", "", clause) for clause in clauses(turn.answer)}
    return told == {f"{name} {colours[name]}" for name in asked}


@pytest.mark.parametrize("kind", LOOKING_UP)
def test_every_answer_is_true(kind: str):
    forms = set()
    for seed in range(SEEDS):
        lesson = sample_looking_up(seed, kind)
        (scene,) = lesson.scenes
        assert lesson == sample_looking_up(seed, kind)
        assert len({turn.question for turn in lesson.turns}) == len(lesson.turns) > 0
        assert not any(alike(a.name, b.name) for a in scene.things for b in scene.things if a is not b)
        for turn in lesson.turns:
            assert true_of(scene, turn), (turn, scene.things)
            forms.add(turn.skill)
    assert forms == {"told": {"colours"}, "repeated": {"colour"}, "asked": {"colour", "colours"}}.get(
        kind, {"presence", "exists"}
    )


def test_where_each_colour_is_asked_once_none_can_be_copied():
    for seed in range(SEEDS):
        lesson = sample_looking_up(seed, "asked")
        assert len(lesson.turns) == len(lesson.scenes[0].things)


@pytest.mark.parametrize("what", ["colours-told", "colours-asked", "names-asked"])
def test_training_draws_them(what: str):
    for row in range(20):
        assert drawn_lesson(what, row).turns
    assert set(DRAWN[what][1]) <= set(LOOKING_UP)
