"""Requests for pictures, each answered with the painter's caption: the paper's two kinds of generation data.

Re-caption: one loose request becomes a caption. In context: what to draw follows from what was said, drawn or shown.
"""

from dataclasses import replace
from zlib import crc32

import numpy as np

from ..scenes.colors import COLORS, pick
from ..scenes.composition import colored_object, compose_scene
from ..scenes.concepts import COLORED_NAMES, ICON_NAMES, confusable, plural, with_article
from ..scenes.splits import TRAINING, SceneDomain
from .conversations import conversation
from .descriptions import describe, phrase, sentence
from .dialogs import Dialog
from .image_plans import PLACES, ImagePlan, PlanItem, compose_plan, sample_plan, sample_planned_image
from .request_phrases import DRAW, PLACE_WORDS, paraphrase_item, paraphrase_plan, request_text
from .turns import Turn, ask

KINDS = ("request", "refine", "mention", "seen", "painted", "drawn", "unknown")
"""A loose request · a picture changed, once or twice · something mentioned before · something in a picture that is
shown · questions about what a painter drew · the same in between request and changes, each picture shown once it is
drawn · something that the painter cannot draw."""


def generation_answer(plan: ImagePlan) -> str:
    """What is said to a request: the caption is for the painter."""
    return f"Here it is. <h>{plan.caption()}</h>"


def sample_request(seed: int, kind: str | None = None, domain: SceneDomain = TRAINING) -> Dialog:
    """Rounds that ask for pictures; `seen` and `painted` show one, `drawn` two. The kind is drawn when not given.

    Raises:
        ValueError: `kind` is none of `KINDS`.
    """
    kind = kind or pick(np.random.default_rng([domain.stream, seed, crc32(b"request")]), KINDS)
    if kind not in KINDS:
        raise ValueError(f"unknown kind of request {kind!r}: choose from {', '.join(KINDS)}")
    rng = np.random.default_rng([domain.stream, seed, crc32(b"request"), crc32(kind.encode())])
    match kind:
        case "request":
            return Dialog((), _request(rng))
        case "refine":
            return Dialog((), _refine(rng))
        case "mention":
            return Dialog((), _mention(rng))
        case "unknown":
            return Dialog((), _unknown(rng))
        case "seen":
            return _seen(rng, domain, seed)
        case "painted":
            return _painted(rng, domain, seed)
        case _:
            return _drawn(rng)


def _request(rng: np.random.Generator) -> tuple[Turn, ...]:
    plan, asked = _wished(rng)
    return (Turn("draw_request", asked, generation_answer(plan)),)


def _wished(rng: np.random.Generator, kind: str | None = None) -> tuple[ImagePlan, str]:
    plan = sample_plan(rng, kind)
    return plan, request_text(rng, paraphrase_plan(rng, plan))


def _unknown(rng: np.random.Generator) -> tuple[Turn, ...]:
    """Something the painter never learnt: better said than drawn as something else."""
    while True:
        name = pick(rng, ICON_NAMES)
        if not any(confusable(name, other) for other in COLORED_NAMES):
            return (
                Turn("draw_unknown", request_text(rng, with_article(name)), f"I cannot draw {with_article(name)}."),
            )


def _mention(rng: np.random.Generator) -> tuple[Turn, ...]:
    """Something is talked about, and then asked for by a pronoun."""
    name, color = pick(rng, COLORED_NAMES), pick(rng, tuple(COLORS))
    plan = ImagePlan((PlanItem(name, color),))
    if rng.random() < 0.5:
        obj = with_article(f"{color} {name}")
        told = pick(rng, (f"I have {obj}.", f"My {name} is {color}.", f"I saw {obj}."))
        before = [Turn("draw_talk", told, "How nice.")]
    else:
        before = [
            Turn("draw_talk", f"I have {with_article(name)}.", "How nice."),
            Turn("draw_talk", f"It is {color}.", "I see."),
        ]
    asked = pick(rng, ("Draw it.", "Can you draw it?", "Show me what it looks like.", "Paint it, please."))
    return (*before, Turn("draw_context", f"{asked} {DRAW}", generation_answer(plan)))


def _refine(rng: np.random.Generator) -> tuple[Turn, ...]:
    """A picture is drawn, and changed once or twice: what is not mentioned stays."""
    plan = sample_plan(rng, pick(rng, ("one", "placed", "several", "counted", "loose", "related")))
    turns = [Turn("draw_request", request_text(rng, paraphrase_plan(rng, plan)), generation_answer(plan))]
    for _ in range(int(rng.integers(1, 3))):
        words, plan = _change(rng, plan)
        turns.append(Turn("draw_refine", f"{words} {DRAW}", generation_answer(plan)))
    return tuple(turns)


def _change(rng: np.random.Generator, plan: ImagePlan) -> tuple[str, ImagePlan]:
    """One way to change a plan, in words and in deed."""
    while True:
        changed = pick(rng, _CHANGES)(rng, plan)
        if changed is not None:
            return changed


Change = tuple[str, ImagePlan] | None


def _recolor(rng: np.random.Generator, plan: ImagePlan) -> Change:
    which = int(rng.integers(len(plan.items)))
    item = plan.items[which]
    color = pick(rng, [name for name in COLORS if name != item.color])
    changed = _with(plan, which, replace(item, color=color))
    return None if changed is None else (f"Make {_reference(plan, which)} {color}.", changed)


def _rename(rng: np.random.Generator, plan: ImagePlan) -> Change:
    which = int(rng.integers(len(plan.items)))
    item = plan.items[which]
    name = pick(rng, [name for name in COLORED_NAMES if name != item.name])
    changed = _with(plan, which, replace(item, name=name))
    named = with_article(name) if item.count == 1 else plural(name)
    return None if changed is None else (f"Turn {_reference(plan, which)} into {named}.", changed)


def _move(rng: np.random.Generator, plan: ImagePlan) -> Change:
    if len(plan.items) != 1 or plan.items[0].count > 1:
        return None
    place = pick(rng, [place for place in PLACES if place != plan.items[0].place])
    asked = pick(rng, ("Put it {}.", "Move it so that it is {}.", "I want it {}."))
    return asked.format(pick(rng, PLACE_WORDS[place])), ImagePlan((replace(plan.items[0], place=place),))


def _add(rng: np.random.Generator, plan: ImagePlan) -> Change:
    """One thing more, as far as the painter's captions go."""
    placed = all(item.place for item in plan.items)
    counted = any(item.count > 1 for item in plan.items)
    if plan.relation or len(plan.units) > 3 or len(plan.items) > (3 if placed else 1 if counted else 2):
        return None
    taken = [item.place for item in plan.items]
    place = pick(rng, [place for place in PLACES if place not in taken]) if placed else None
    new = PlanItem(pick(rng, COLORED_NAMES), pick(rng, tuple(COLORS)), 1, place)
    changed = _sound(ImagePlan((*plan.items, new)))
    asked = pick(rng, ("Add {}.", "Add {} too.", "Make it richer: add {}.", "And now with {}."))
    return None if changed is None else (asked.format(paraphrase_item(rng, new)), changed)


def _remove(rng: np.random.Generator, plan: ImagePlan) -> Change:
    if len(plan.items) < 2:
        return None
    which = int(rng.integers(len(plan.items)))
    left = tuple(item for number, item in enumerate(plan.items) if number != which)
    return pick(rng, ("Take {} away.", "Leave {} out.")).format(_reference(plan, which)), ImagePlan(left)


def _one_more(rng: np.random.Generator, plan: ImagePlan) -> Change:
    (item, *others) = plan.items
    if others or item.place or item.count > 3:
        return None
    asked = pick(rng, ("One more.", "Draw one more.", "And one more of them."))
    return asked, ImagePlan((replace(item, count=item.count + 1),))


_CHANGES = (_recolor, _rename, _move, _add, _remove, _one_more)


def _reference(plan: ImagePlan, which: int) -> str:
    """What to call one of the items: "it" where there is one, else its name, with its colour where that is needed."""
    item = plan.items[which]
    if len(plan.items) == 1:
        return "it" if item.count == 1 else "them"
    name = item.name if item.count == 1 else plural(item.name)
    alone = sum(other.name == item.name for other in plan.items) == 1
    return f"the {name}" if alone else f"the {item.color} {name}"


def _with(plan: ImagePlan, which: int, item: PlanItem) -> ImagePlan | None:
    items = tuple(item if number == which else other for number, other in enumerate(plan.items))
    return _sound(replace(plan, items=items))


def _sound(plan: ImagePlan) -> ImagePlan | None:
    """The plan, if no two of its items could be taken for each other."""
    looks = [(item.name, item.color) for item in plan.items]
    clashing = any(
        a[0] == b[0] and (None in (a[1], b[1]) or a[1] == b[1]) for n, a in enumerate(looks) for b in looks[:n]
    )
    return None if clashing else plan


def sample_plain_request(seed: int, kind: str, domain: SceneDomain = TRAINING) -> tuple[ImagePlan, str]:
    """A plan of one of `painting.KINDS`, and a user's turn that asks for it: what a picture can be held to."""
    return _wished(np.random.default_rng([domain.stream, seed, crc32(b"wish"), crc32(kind.encode())]), kind)


def _seen(rng: np.random.Generator, domain: SceneDomain, seed: int) -> Dialog:
    """A thing is shown and named; then it is to be drawn, as it is or in another colour."""
    obj = colored_object(rng, pick(rng, COLORED_NAMES), pick(rng, tuple(COLORS)))
    scene = compose_scene(rng, "single", [obj], domain, seed)
    named = Turn("name", pick(rng, ("What is this?", "What is shown here?")), sentence(phrase(obj)))
    color = pick(rng, [name for name in COLORS if name != obj.color_name])
    same = rng.random() < 0.4
    asked = ("Draw one like this.", "Draw it.") if same else (f"Draw it in {color}.", f"Draw the same in {color}.")
    plan = ImagePlan((PlanItem(obj.name, obj.color_name if same else color),))
    wished = Turn("draw_seen", f"{pick(rng, asked)} {DRAW}", generation_answer(plan))
    return Dialog((scene,), (named, wished) if rng.random() < 0.5 else (wished,))


def _painted(rng: np.random.Generator, domain: SceneDomain, seed: int) -> Dialog:
    """What is in a painting, and up to two rounds more."""
    _, scene = sample_planned_image(seed, stream=domain.stream)
    rounds = [turn for turn in conversation(scene, rng, max_turns=3) if turn.skill != "describe"]
    return Dialog((scene,), (ask(rng, "describe", describe(scene)), *rounds[:2]))


def _drawn(rng: np.random.Generator) -> Dialog:
    """A picture is asked for, shown, maybe asked about and changed; so is the next one."""
    plan, asked = _wished(rng)
    scenes, turns, shown = [], [Turn("draw_request", asked, generation_answer(plan))], []
    for _ in range(2):
        scenes.append(compose_plan(rng, plan))
        shown.append(len(turns))
        turns += conversation(scenes[-1], rng, max_turns=2)[: int(rng.integers(3))]
        words, plan = _change(rng, plan)
        turns.append(Turn("draw_refine", f"{words} {DRAW}", generation_answer(plan)))
    return Dialog(tuple(scenes), tuple(turns), tuple(shown))
