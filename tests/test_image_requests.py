"""Requests for images: captions the generator knows, and edits that change exactly what they say."""

import re
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from minigemini.imagegen.captions import read_captions
from minigemini.modeling import messages as model_messages
from minigemini_models.image_generator.network import build_tokenizer
from minigemini_models.samples import request_phrases
from minigemini_models.samples.dataset import SyntheticReader, synthetic_dialog
from minigemini_models.samples.image_plans import (
    IMAGE_PX,
    PLACES,
    RELATION_OFFSETS,
    ImagePlan,
    PlanItem,
    compose_plan,
    sample_planned_image,
)
from minigemini_models.samples.image_requests import KINDS, sample_request
from minigemini_models.samples.plan_edits import add, add_copy, move, recolor, remove, rename
from minigemini_models.scenes.colors import COLORS
from minigemini_models.scenes.concepts import COLORED_NAMES
from minigemini_models.scenes.splits import evaluation


def captions(dialog):
    return [caption for turn in dialog.turns for caption in read_captions(turn.answer)[1]]


def parse_caption(caption: str) -> ImagePlan:
    """Parse a caption with independent rules."""
    relation = next((word for word in RELATION_OFFSETS if f" {word} " in caption), None)
    parts = caption.split(f" {relation} ") if relation else re.split(r", | and (?=an? |two |three |four )", caption)
    items = []
    for part in parts:
        place = next((place for place in sorted(PLACES, key=len, reverse=True) if part.endswith(place)), None)
        words = part.removesuffix(place or "").split()
        count = {"a": 1, "an": 1, "two": 2, "three": 3, "four": 4}[words[0]]
        color = words[1] if words[1] in COLORS else None
        singular = words[-1] if count == 1 else next(n for n in COLORED_NAMES if request_phrases.plural(n) == words[-1])
        items.append(PlanItem(singular, color, count, place))
    return ImagePlan(tuple(items), relation)


def test_phrases_cover_the_marker_places_relations_and_colors():
    assert request_phrases.DRAW == model_messages.DRAW
    assert set(request_phrases.PLACE_WORDS) == set(PLACES)
    assert set(request_phrases.RELATION_WORDS) == set(RELATION_OFFSETS)
    assert set(request_phrases.COLOR_COMPARISONS) == set(COLORS)
    assert set(request_phrases.PURPOSES) <= set(COLORED_NAMES)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "painted"])
def test_every_caption_is_in_the_vocabulary(kind):
    tokenizer, seen = build_tokenizer(), set()
    for seed in range(150):
        dialog = sample_request(seed, kind)
        assert dialog == sample_request(seed, kind)
        assert dialog.turns[-1].question.endswith(" <GEN>")
        assert [bool(read_captions(turn.answer)[1]) for turn in dialog.turns] == [
            turn.question.endswith("<GEN>") and kind != "unknown" for turn in dialog.turns
        ]
        for caption in captions(dialog):
            assert tokenizer.unk_token_id not in tokenizer(caption).input_ids
            plan = parse_caption(caption)
            assert plan.caption() == caption
            assert len(plan.units) <= 4
        seen |= {turn.question for turn in dialog.turns}
    assert len(seen) > (15 if kind == "seen" else 100)
    assert len(dialog.messages()) == 2 * len(dialog.turns)


def test_captions_agree_with_their_requests():
    """Every attribute in the caption occurs in the request, in some wording."""
    for seed in range(300):
        (turn,) = sample_request(seed, "request").turns
        plan = parse_caption(captions(sample_request(seed, "request"))[0])
        question = turn.question.lower()
        for item in plan.items:
            named = item.name if item.count == 1 else request_phrases.plural(item.name)
            assert named in question or request_phrases.PURPOSES[item.name] in question
            assert (
                item.color is None
                or item.color in question
                or request_phrases.COLOR_COMPARISONS[item.color] in question
            )
            assert item.count == 1 or str(item.count) in question or request_phrases.NUMBERS[item.count] in question
            assert item.place is None or any(words in question for words in request_phrases.PLACE_WORDS[item.place])
        assert plan.relation is None or any(
            words in question for words in request_phrases.RELATION_WORDS[plan.relation]
        )


def test_edits_change_one_item():
    rng, plan = (
        np.random.default_rng(0),
        ImagePlan((PlanItem("star", "red"), PlanItem("house", "blue"), PlanItem("star", "green"))),
    )
    for change in (recolor, rename, add, remove):
        for _ in range(60):
            result = change(rng, plan)
            if result is None:
                continue
            words, changed = result
            kept = [item for item in plan.items if item in changed.items]
            assert len(kept) == (3 if change is add else 2)
            assert len(changed.items) == len(plan.items) + {add: 1, remove: -1}.get(change, 0)
            for item in {*plan.items} - {*kept}:
                assert item.name in words
                assert item.name != "star" or item.color in words, "the color tells two stars apart"
            for item in {*changed.items} - {*kept}:
                mentioned = (
                    (item.name,) if change is rename else (item.color, request_phrases.COLOR_COMPARISONS[item.color])
                )
                assert any(word in words for word in mentioned)
            assert len({(item.name, item.color) for item in changed.items}) == len(changed.items)


def test_impossible_edits_return_none():
    rng = np.random.default_rng(0)
    one, related = (
        ImagePlan((PlanItem("star", "red"),)),
        ImagePlan((PlanItem("star", "red"), PlanItem("cup", "blue")), "above"),
    )
    assert remove(rng, one) is None
    assert move(rng, related) is None
    assert add(rng, related) is None
    assert add_copy(rng, related) is None
    assert add_copy(rng, ImagePlan((PlanItem("star", "red", 4),))) is None
    assert add_copy(rng, one)[1] == ImagePlan((PlanItem("star", "red", 2),))
    assert move(rng, one)[1].items[0].place in PLACES
    full = ImagePlan(
        tuple(PlanItem(name, "red", 1, place) for name, place in zip(COLORED_NAMES, list(PLACES)[:4], strict=False))
    )
    assert add(rng, full) is None


def test_every_edited_plan_can_be_composed():
    rng = np.random.default_rng(0)
    for seed in range(80):
        for caption in captions(sample_request(seed, "refine")):
            assert compose_plan(rng, parse_caption(caption)) is not None


def test_descriptions_of_generated_images_agree_with_their_plans():
    for seed in range(60):
        dialog = sample_request(seed, "painted")
        plan, scene = sample_planned_image(seed)
        assert dialog.scenes == (scene,)
        assert dialog.scenes[0].draw()[0].size == (IMAGE_PX, IMAGE_PX)
        answer = f" {dialog.turns[0].answer.lower()[:-1]} ".replace(",", " ,")
        assert all(item.color is None or f" {replace(item, place=None).phrase()} " in answer for item in plan.items)


def test_generated_images_are_shown_with_the_next_turn():
    for seed in range(60):
        dialog = sample_request(seed, "drawn")
        said = captions(dialog)
        shows = [len(question["content"]) - 1 for question in dialog.messages()[::2]]
        for scene, turn, caption in zip(dialog.scenes, dialog.shown, said, strict=False):
            assert f"<h>{caption}</h>" in dialog.turns[turn - 1].answer
            assert shows[turn] == 1
            assert Counter(obj.name for obj in scene.objects) == Counter(
                unit.name for unit in parse_caption(caption).units
            )
        assert (len(dialog.scenes), len(said), shows[0]) == (2, 3, 0)
    row = next(row for row in range(10) if synthetic_dialog("requests", row).shown)
    sample = SyntheticReader("requests", 10)[row]
    with_pictures = [n for n, message in enumerate(sample.messages) if message["content"][0]["type"] == "image"]
    assert with_pictures == [2 * turn for turn in synthetic_dialog("requests", row).shown]


def test_shown_objects_are_requested_and_unknown_ones_refused():
    for seed in range(40):
        dialog = sample_request(seed, "seen")
        (obj,) = dialog.scenes[0].objects
        (item,) = parse_caption(captions(dialog)[0]).items
        assert item.name == obj.name
        assert (item.color == obj.color_name) == ("in " not in dialog.turns[-1].question)
        (turn,) = sample_request(seed, "unknown").turns
        assert turn.answer.startswith("I cannot draw a")
        assert not [name for name in COLORED_NAMES if f" {name}." in turn.answer]
    with pytest.raises(ValueError, match="unknown kind of request 'order'"):
        sample_request(0, "order")
    assert sample_request(3, "request") != sample_request(3, "request", evaluation())
