"""Rounds that go through things by name: every clause is true of the scene."""

import re

import pytest

from minigemini.training.drawn import DRAWN, drawn_lesson
from minigemini.world.composing import sample_scene
from minigemini.world.concepts import plural, with_article
from minigemini.world.describing import NUMBERS
from minigemini.world.inventory import place
from minigemini.world.lessons import PAIR_KINDS, sample_inventory
from minigemini.world.material import TINTED_WORLD, evaluation
from minigemini.world.scene import Scene, Thing

SEEDS = 150


def clauses(answer: str) -> list[str]:
    return re.split(r"(?:, | and )(?=the |an? )", answer[0].lower() + answer[1:].rstrip("."))


@pytest.mark.parametrize(("kind", "material"), [("few", evaluation()), ("many", evaluation()), ("few", TINTED_WORLD)])
def test_every_clause_about_one_picture_is_true(kind: str, material):
    skills = set()
    for seed in range(SEEDS):
        lesson = sample_inventory(seed, kind, material)
        (scene,) = lesson.scenes
        assert scene == sample_scene(seed, kind, material)
        for turn in lesson.turns:
            skills.add(turn.skill)
            for clause in clauses(turn.answer):
                if turn.skill == "presence":
                    name, said = clause.rsplit(" ", 1)
                    there = {with_article(called) for thing in scene.things for called in names_of(thing)}
                    assert (name in there) == (said == "yes"), (turn, scene.things)
                else:
                    thing, said = found(scene, clause)
                    assert said == (place(thing, scene.size_px) if turn.skill == "where" else thing.colour_name)
    assert skills == {"presence", "where", "colours"}


def found(scene: Scene, clause: str) -> tuple[Thing, str]:
    """The one thing that a clause begins with, and what it says of it."""
    named = [thing for thing in scene.things if clause.startswith(f"the {thing.name} ")]
    thing = max(named, key=lambda thing: len(thing.name))
    assert [other.name for other in scene.things].count(thing.name) == 1
    return thing, clause.removeprefix(f"the {thing.name} ")


def names_of(thing: Thing) -> list[str]:
    return [thing.name] + ([f"{thing.colour_name} {thing.name}"] if thing.colour_name else [])


@pytest.mark.parametrize("kind", PAIR_KINDS)
def test_every_clause_about_two_pictures_is_true(kind: str):
    told = 0
    for seed in range(SEEDS):
        lesson = sample_inventory(seed, kind)
        for turn in lesson.turns:
            for clause in clauses(turn.answer):
                assert clause in expected(lesson.scenes, turn.skill), (turn, lesson.scenes)
                told += 1
    assert told >= SEEDS


def expected(scenes: tuple[Scene, ...], skill: str) -> set[str]:
    """Every true clause of the kind."""
    names = {thing.name for scene in scenes for thing in scene.things}
    here, there = (scene.things for scene in scenes)
    match skill:
        case "which_picture":
            return {f"the {name} {which}" for name in names for which in pictures_of(scenes, name)}
        case "colours":
            return {
                f"the {one.name} {one.colour_name} in the first, {other.colour_name} in the second"
                for one in here
                for other in there
                if one.name == other.name
            }
    counts = {name: [NUMBERS[sum(thing.name == name for thing in scene.things)] for scene in scenes] for name in names}
    return {f"the {plural(name)} {one} in the first, {other} in the second" for name, (one, other) in counts.items()}


def pictures_of(scenes: tuple[Scene, ...], name: str) -> list[str]:
    shown = [name in {thing.name for thing in scene.things} for scene in scenes]
    return [] if all(shown) else ["first" if shown[0] else "second"]


def test_places_are_thirds_and_nothing_between_two():
    def at(x: int, y: int) -> Thing:
        return Thing("star", (x - 20, y - 20, x + 20, y + 20), "red")

    assert place(at(40, 40), 256) == "top left"
    assert place(at(128, 128), 256) == "middle"
    assert place(at(220, 128), 256) == "right"
    assert place(at(128, 230), 256) == "bottom"
    assert place(at(86, 128), 256) is None
    assert place(at(128, 170), 256) is None


@pytest.mark.parametrize("what", ["inventories", "tinted-inventories", "colours", "tinted-quizzes", "pairs"])
def test_no_row_of_training_is_without_a_round(what: str):
    for row in range(len(DRAWN[what][1]) * 60):
        assert drawn_lesson(what, row).turns
