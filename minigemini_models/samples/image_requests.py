"""Teach writing captions for the image generator: requests for images, as in the paper's generation data.

Re-caption: one loosely worded request becomes a caption. In context: the caption follows from what was said, generated
or shown before.
"""

from zlib import crc32

import numpy as np

from ..scenes.colors import COLORS, pick
from ..scenes.composition import colored_object, compose_scene
from ..scenes.concepts import COLORED_NAMES, ICON_NAMES, confusable, with_article
from ..scenes.splits import TRAINING, SceneDomain
from .conversations import conversation
from .descriptions import describe, phrase, sentence
from .dialogs import Dialog
from .image_plans import ImagePlan, PlanItem, compose_plan, sample_plan, sample_planned_image
from .plan_edits import sample_edit
from .request_phrases import DRAW, paraphrase_plan, request_text
from .turns import Turn, ask

KINDS = ("request", "refine", "mention", "seen", "painted", "drawn", "unknown")
"""A loosely worded request · an image edited once or twice · an object mentioned before · an object in a given image ·
questions about a generated image · such questions between a request and edits, with each generated image shown · an
object that the generator does not know."""

TRAINING_KINDS = ("request", "refine", "request", "mention", "request", "seen", "painted", "unknown", "drawn", "drawn")
"""The kinds as training alternates them."""


def generation_answer(plan: ImagePlan) -> str:
    """Return the model's answer to a request; the caption between the tags goes to the image generator."""
    return f"Here it is. <h>{plan.caption()}</h>"


def sample_request(seed: int, kind: str, domain: SceneDomain = TRAINING) -> Dialog:
    """Sample a dialog that requests images; `seen` and `painted` show one image, `drawn` two.

    Args:
        seed: seed of the dialog and its images.
        kind: one of `KINDS`.
        domain: the domain of the images shown.

    Raises:
        ValueError: `kind` is not one of `KINDS`.
    """
    if kind not in KINDS:
        raise ValueError(f"unknown kind of request {kind!r}: choose from {', '.join(KINDS)}")
    rng = np.random.default_rng([domain.stream, seed, crc32(b"request"), crc32(kind.encode())])
    match kind:
        case "request":
            return Dialog((), _plain_request(rng))
        case "refine":
            return Dialog((), _edited_image(rng))
        case "mention":
            return Dialog((), _mentioned_object(rng))
        case "unknown":
            return Dialog((), _unknown_object(rng))
        case "seen":
            return _shown_object(rng, domain, seed)
        case "painted":
            return _describe_generated(rng, domain, seed)
        case _:
            return _generate_and_edit(rng)


def _plain_request(rng: np.random.Generator) -> tuple[Turn, ...]:
    plan, text = _sample_plan_and_text(rng)
    return (Turn("draw_request", text, generation_answer(plan)),)


def _sample_plan_and_text(rng: np.random.Generator, kind: str | None = None) -> tuple[ImagePlan, str]:
    plan = sample_plan(rng, kind)
    return plan, request_text(rng, paraphrase_plan(rng, plan))


def _unknown_object(rng: np.random.Generator) -> tuple[Turn, ...]:
    """Request an object that the generator does not know; the answer says so."""
    while True:
        name = pick(rng, ICON_NAMES)
        if not any(confusable(name, other) for other in COLORED_NAMES):
            return (
                Turn("draw_unknown", request_text(rng, with_article(name)), f"I cannot draw {with_article(name)}."),
            )


def _mentioned_object(rng: np.random.Generator) -> tuple[Turn, ...]:
    """Mention an object, and then request it by a pronoun."""
    name, color = pick(rng, COLORED_NAMES), pick(rng, tuple(COLORS))
    plan = ImagePlan((PlanItem(name, color),))
    if rng.random() < 0.5:
        obj = with_article(f"{color} {name}")
        statement = pick(rng, (f"I have {obj}.", f"My {name} is {color}.", f"I saw {obj}."))
        before = [Turn("draw_talk", statement, "How nice.")]
    else:
        before = [
            Turn("draw_talk", f"I have {with_article(name)}.", "How nice."),
            Turn("draw_talk", f"It is {color}.", "I see."),
        ]
    request = pick(rng, ("Draw it.", "Can you draw it?", "Show me what it looks like.", "Paint it, please."))
    return (*before, Turn("draw_context", f"{request} {DRAW}", generation_answer(plan)))


def _edited_image(rng: np.random.Generator) -> tuple[Turn, ...]:
    """Request an image, and edit it once or twice; everything not mentioned stays."""
    plan = sample_plan(rng, pick(rng, ("one", "placed", "several", "counted", "loose", "related")))
    turns = [Turn("draw_request", request_text(rng, paraphrase_plan(rng, plan)), generation_answer(plan))]
    for _ in range(int(rng.integers(1, 3))):
        instruction, plan = sample_edit(rng, plan)
        turns.append(Turn("draw_refine", f"{instruction} {DRAW}", generation_answer(plan)))
    return tuple(turns)


def sample_plain_request(seed: int, kind: str, domain: SceneDomain) -> tuple[ImagePlan, str]:
    """Sample a plan of one of `image_plans.KINDS` and a user turn that requests it, for evaluation."""
    return _sample_plan_and_text(
        np.random.default_rng([domain.stream, seed, crc32(b"wish"), crc32(kind.encode())]), kind
    )


def _shown_object(rng: np.random.Generator, domain: SceneDomain, seed: int) -> Dialog:
    """Show an object, and request it unchanged or in another color."""
    obj = colored_object(rng, pick(rng, COLORED_NAMES), pick(rng, tuple(COLORS)))
    scene = compose_scene(rng, "single", [obj], domain, seed)
    named = Turn("name", pick(rng, ("What is this?", "What is shown here?")), sentence(phrase(obj)))
    color = pick(rng, [name for name in COLORS if name != obj.color_name])
    same = rng.random() < 0.4
    requests = ("Draw one like this.", "Draw it.") if same else (f"Draw it in {color}.", f"Draw the same in {color}.")
    plan = ImagePlan((PlanItem(obj.name, obj.color_name if same else color),))
    request = Turn("draw_seen", f"{pick(rng, requests)} {DRAW}", generation_answer(plan))
    return Dialog((scene,), (named, request) if rng.random() < 0.5 else (request,))


def _describe_generated(rng: np.random.Generator, domain: SceneDomain, seed: int) -> Dialog:
    """Describe a generated image, with up to two more turns."""
    _, scene = sample_planned_image(seed, stream=domain.stream)
    turns = [turn for turn in conversation(scene, rng, max_turns=3) if turn.skill != "describe"]
    return Dialog((scene,), (ask(rng, "describe", describe(scene)), *turns[:2]))


def _generate_and_edit(rng: np.random.Generator) -> Dialog:
    """Request an image, show it, ask up to two questions and edit it; then do the same with the second image."""
    plan, text = _sample_plan_and_text(rng)
    scenes, turns, shown = [], [Turn("draw_request", text, generation_answer(plan))], []
    for _ in range(2):
        scenes.append(compose_plan(rng, plan))
        shown.append(len(turns))
        turns += conversation(scenes[-1], rng, max_turns=2)[: int(rng.integers(3))]
        instruction, plan = sample_edit(rng, plan)
        turns.append(Turn("draw_refine", f"{instruction} {DRAW}", generation_answer(plan)))
    return Dialog(tuple(scenes), tuple(turns), tuple(shown))
