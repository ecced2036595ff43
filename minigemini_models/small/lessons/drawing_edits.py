"""Edits of a requested picture: what the user says, what the answer says, and what the picture shows afterwards.

Everything that an edit does not name stays.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np

from ...scenes.colors import pick
from ...scenes.concepts import with_article
from . import drawing_words as words
from .drawing_plans import (
    LANDSCAPE_KIND,
    MAX_CLOTHES,
    MAX_OBJECTS,
    CaptionPlan,
    bare,
    base_of,
    changed,
    sample_item,
    sample_plan,
    sample_quality,
    sample_slots,
    sample_value,
    styled,
    with_quality,
)


@dataclass(frozen=True)
class Edit:
    """One change of a picture.

    Attributes:
        instruction: what the user says.
        shown: what the answer says that the picture shows now, such as "a happy cat in the rain".
        plan: the picture afterwards.
    """

    instruction: str
    shown: str
    plan: CaptionPlan


Sampler = Callable[[np.random.Generator, CaptionPlan], Edit | None]


def sample_edit(rng: np.random.Generator, plan: CaptionPlan) -> Edit:
    """Sample an edit that suits the plan; one in eight makes two changes at once."""
    first = _sample_one(rng, plan)
    if rng.random() > 1 / 8 or not first.instruction.endswith("."):
        return first
    second = _sample_one(rng, first.plan)
    changes = _changed_parts(plan, first.plan), _changed_parts(first.plan, second.plan)
    if changes[0] & changes[1] or "building" in changes[1]:  # it may undo the first
        return first
    also = (second.instruction[0].lower() + second.instruction[1:]).removeprefix("and ")
    return Edit(f"{first.instruction.removesuffix('.')}, and {also}", second.shown, second.plan)


def _changed_parts(before: CaptionPlan, after: CaptionPlan) -> set[str]:
    return {field.name for field in fields(before) if getattr(before, field.name) != getattr(after, field.name)}


def _sample_one(rng: np.random.Generator, plan: CaptionPlan) -> Edit:
    while True:
        edit = pick(rng, _SAMPLERS)(rng, plan)
        if edit is not None and edit.plan != plan:
            return edit


def _say(rng: np.random.Generator, plan: CaptionPlan, templates: tuple[str, ...], **values: str) -> str:
    he, him, his, be, have = plan.pronouns
    text = pick(rng, templates).format(he=he, him=him, his=his, be=be, have=have, noun=plan.noun, **values)
    return text[0].upper() + text[1:]


def _more(rng: np.random.Generator, plan: CaptionPlan) -> Edit | None:
    able = [quality for quality in plan.qualities if base_of(quality) not in words.NO_DEGREES]
    if not able:
        return None
    quality = pick(rng, able)
    base = base_of(quality)
    more = words.COMPARATIVES.get(base, f"more {base}")
    templates: tuple[str, ...] = (
        "Make {him} {more}.", "Even {more}.", "{more}!", "Can {he} be {more}?", "Much {more}, please.",
        "I want {him} {more}.", "{he} should be {more}.", "{more}, please.", "Not {base} enough.",
        "{he} could be {more}.",
        "Now {more}.", "A bit {more}.",
    )  # fmt: skip
    raised = {"slightly": base, base: f"very {base}", "very": f"extremely {base}"}.get(quality.split()[0])
    if raised is None:
        return None
    new = _with_degree(plan, quality, raised)
    return Edit(_say(rng, plan, templates, more=more, base=base), new.headline, new)


def _less(rng: np.random.Generator, plan: CaptionPlan) -> Edit | None:
    able = [quality for quality in plan.qualities if base_of(quality) not in words.NO_DEGREES]
    if not able:
        return None
    quality = pick(rng, able)
    base = base_of(quality)
    templates: tuple[str, ...] = (
        "Less {base}, please.", "Not so {base}.", "A little less {base}.", "Make {him} less {base}.",
        "That is too {base}.", "{he} {be} too {base}.", "Not that {base}.",
    )  # fmt: skip
    lowered = {base: f"slightly {base}", "very": base, "extremely": f"very {base}"}.get(quality.split()[0])
    if lowered is None:
        return None
    new = _with_degree(plan, quality, lowered)
    return Edit(_say(rng, plan, templates, base=base), new.headline, new)


def _with_degree(plan: CaptionPlan, old: str, new: str) -> CaptionPlan:
    replaced = [new if quality == old else quality for quality in plan.qualities]
    return changed(
        plan, qualities=tuple(sorted(replaced, key=lambda quality: " " not in quality))
    )  # "very" stands first


def _quality(rng: np.random.Generator, plan: CaptionPlan) -> Edit | None:
    quality = sample_quality(rng, plan)
    templates: tuple[str, ...] = (
        "Make {him} {quality}.", "{he} should look {quality}.", "Now {he} {be} {quality}.", "I want {him} {quality}.",
        "Can {he} be {quality}?", "{quality}, please.", "Let {him} look {quality}.",
        "Change {him}: {he} {be} {quality}.", "What if {he} were {quality}?", "The {noun} should be {quality}.",
    )  # fmt: skip
    new = with_quality(plan, quality)
    return Edit(_say(rng, plan, templates, quality=quality), new.headline, new)


def _color(rng: np.random.Generator, plan: CaptionPlan) -> Edit | None:
    if plan.kind in ("person", LANDSCAPE_KIND):
        return None
    color = sample_value(rng, plan, "color")
    templates: tuple[str, ...] = (
        "Make {him} {color}.", "Paint {him} {color}.", "In {color}, please.", "I want {him} in {color}.",
        "{color} would be nicer.", "Change the color to {color}.", "The same in {color}.",
        "The {noun} should be {color}.",
    )  # fmt: skip
    new = changed(plan, color=color)
    return Edit(_say(rng, plan, templates, color=color), new.headline, new)


def _add_clothes(rng: np.random.Generator, plan: CaptionPlan) -> Edit | None:
    if not plan.is_alive or len(plan.clothes) >= MAX_CLOTHES:
        return None
    item = sample_item(rng, plan, "clothes")
    templates: tuple[str, ...] = (
        "Give {him} {item}.", "Dress {him} in {item}.", "{he} should wear {item}.", "Add {item}.",
        "Put {item} on {him}.",
        "And {item}, please.", "Let {him} wear {item}.", "{he} {be} wearing {item} now.",
        "I want {him} to wear {item}.",
    )  # fmt: skip
    new = changed(plan, clothes=(*plan.clothes, item))
    return Edit(_say(rng, plan, templates, item=item), f"{new.headline} wearing {item}", new)


def _add_object(rng: np.random.Generator, plan: CaptionPlan) -> Edit | None:
    if len(plan.objects) >= MAX_OBJECTS:
        return None
    item = sample_item(rng, plan, "objects")
    templates: tuple[str, ...] = (
        "Add {item}.", "With {item}.", "Now with {item}.", "And {item}, please.", "Put {item} next to {him}.",
        "I would like {item} in it.", "There should be {item}, too.", "Can you add {item}?", "I miss {item}.",
        "Include {item}.", "Place {item} in the picture.",
    )  # fmt: skip
    if plan.is_alive:
        templates += (
            "Give {him} {item}.",
            "{he} {have} {item} now.",
            "{he} found {item}.",
            "{he} got {item} as a gift.",
        )
    new = changed(plan, objects=(*plan.objects, item))
    return Edit(_say(rng, plan, templates, item=item), f"{new.headline} with {item}", new)


def _remove(rng: np.random.Generator, plan: CaptionPlan) -> Edit | None:
    name = pick(rng, ("clothes", "objects"))
    present = getattr(plan, name)
    if not present:
        return None
    item = pick(rng, present)
    templates: tuple[str, ...] = (
        "Remove the {item}.", "Without the {item}.", "No {item}, please.", "Take away the {item}.", "Drop the {item}.",
        "Leave out the {item}.", "I do not want the {item}.", "The {item} should go.", "Get rid of the {item}.",
    )  # fmt: skip
    if name == "clothes":
        templates += ("Take off the {item}.",)
    elif plan.is_alive:
        templates += ("{he} lost the {item}.", "{he} gave the {item} away.", "Someone stole the {item}.")
    new = changed(plan, **{name: tuple(one for one in present if one != item)})
    return Edit(_say(rng, plan, templates, item=bare(item)), f"{new.headline} without the {bare(item)}", new)


def _swap(rng: np.random.Generator, plan: CaptionPlan) -> Edit | None:
    name = pick(rng, ("clothes", "objects"))
    present = getattr(plan, name)
    if not present:
        return None
    old, item = pick(rng, present), sample_item(rng, plan, name)
    templates: tuple[str, ...] = (
        "Replace the {old} by {item}.", "{item} instead of the {old}.", "Swap the {old} for {item}.",
        "Change the {old} into {item}.", "Not the {old} but {item}.", "I would rather have {item} than the {old}.",
    )  # fmt: skip
    new = changed(plan, **{name: tuple(item if one == old else one for one in present)})
    joined = "wearing" if name == "clothes" else "with"
    return Edit(_say(rng, plan, templates, old=bare(old), item=item), f"{new.headline} {joined} {item}", new)


def _subject(rng: np.random.Generator, plan: CaptionPlan) -> Edit | None:
    other = sample_plan(rng, plan.kind, details=0)
    if other.subject == plan.subject or plan.building:
        return None
    templates: tuple[str, ...] = (
        "Make it {a_new} instead.", "{a_new} instead of the {noun}.", "The same, but {a_new} instead.",
        "Replace the {noun} by {a_new}.", "Now {a_new} in its place.", "I would rather see {a_new}.",
        "Turn the {noun} into {a_new}.", "Not {a_old}, {a_new}.", "Keep everything, but make the {noun} {a_new}.",
    )  # fmt: skip
    new = changed(plan, subject=other.subject, pronoun=other.pronoun)
    text = _say(rng, plan, templates, a_new=_counted(new), a_old=_counted(plan))
    return Edit(text, new.headline, new)


def _counted(plan: CaptionPlan) -> str:
    return with_article(plan.subject) if plan.count == 1 else f"{words.NUMBERS[plan.count]} {plan.noun}"


def _count(rng: np.random.Generator, plan: CaptionPlan) -> Edit | None:
    if plan.kind == LANDSCAPE_KIND or plan.building:
        return None
    count = pick(rng, [number for number in (1, 2, 3, 4, 5) if number != plan.count])
    new = changed(plan, count=count)
    templates: tuple[str, ...] = (
        "Make it {number}.", "Draw {number} of them.", "{number} of them, please.", "I want {number} {many}.",
        "There should be {number} {many}.", "Now {number} {many}.", "{number} instead of {old}.",
    )  # fmt: skip
    if count == 1:
        templates = (
            "Only one, please.",
            "Just one {many}.",
            "One is enough.",
            "I want only one {many}.",
        )
    number, old = words.NUMBERS[count], words.NUMBERS[plan.count]
    return Edit(_say(rng, plan, templates, number=number, many=new.noun, old=old), new.headline, new)


def _action(rng: np.random.Generator, plan: CaptionPlan) -> Edit | None:
    if not plan.is_alive or plan.building:
        return None
    action = sample_value(rng, plan, "action")
    templates: tuple[str, ...] = (
        "Now {he} {be} {action}.", "Show {him} {action}.", "{he} should be {action}.", "Make {him} look like {action}.",
        "I want to see {him} {action}.", "What about {him} {action}?", "Draw {him} {action}.", "{action}, please.",
        "The same {noun}, but {action}.",
    )  # fmt: skip
    new = changed(plan, action=action)
    return Edit(_say(rng, plan, templates, action=action), f"{new.headline} {action}", new)


def _where_and_when(rng: np.random.Generator, plan: CaptionPlan) -> Edit | None:
    name = pick(rng, ("place", "place", "time", "season", "weather"))
    if name not in sample_slots(rng, plan, 99) or (plan.building and name == "place"):
        return None
    value = sample_value(rng, plan, name)
    templates: tuple[str, ...] = (
        "Now {value}.", "The same {value}.", "Let it be {value}.", "{value}, please.", "I want to see {him} {value}.",
        "What would {he} look like {value}?", "Draw {him} {value}.", "Change the scene: {value}.", "How about {value}?",
    )  # fmt: skip
    if name == "place":
        templates += ("Put {him} {value}.", "Move {him}: {value}.", "{he} {be} {value} now.", "Place {him} {value}.")
    elif value.startswith("in ") and name == "season":
        templates += (f"Make it {value[3:]}.", f"Now it is {value[3:]}.", f"Change the season to {value[3:]}.")
    elif value in ("at night", "at noon", "at midnight", "at dusk", "at dawn"):
        templates += (f"Make it {value[3:]}.", f"Now it is {value[3:]}.")
    elif value in ("in the rain", "in the snow"):
        templates += (f"Let it {value[7:]}.", f"It should {value[7:]}.", f"Make it {value[7:]}.")
    new = changed(plan, **{name: value})
    return Edit(_say(rng, plan, templates, value=value), f"{new.headline} {value}", new)


def _style(rng: np.random.Generator, plan: CaptionPlan) -> Edit | None:
    style = sample_value(rng, plan, "style")
    templates: tuple[str, ...] = (
        "As {a_style}.", "Make it {a_style}.", "Change the style to {style}.", "Now as {a_style}.", "Style: {style}.",
        "I would like it as {a_style}.", "Can you turn it into {a_style}?", "The same as {a_style}.",
        "Redo it as {a_style}.", "It should look like {a_style}.",
    )  # fmt: skip
    new = changed(plan, style=style)
    text = _say(rng, plan, templates, style=style, a_style=styled(style))
    return Edit(text, f"{new.headline} as {styled(style)}", new)


def _story(rng: np.random.Generator, plan: CaptionPlan) -> Edit | None:
    if not plan.is_alive or plan.count > 1 or plan.building:
        return None
    story = pick(rng, words.STORIES)
    if story.place and story.place == plan.place:
        return None
    subject = pick(rng, (plan.pronouns[0], f"the {plan.noun}"))
    text = (
        f"{pick(rng, ('', '', 'Now ', 'But then ', 'Oh no, ', 'Guess what: '))}{subject} {pick(rng, story.tellings)}."
    )
    new = with_quality(plan, story.quality) if story.quality else plan
    objects = () if story.loses else plan.objects[: MAX_OBJECTS - 1]
    clothes = plan.clothes[: MAX_CLOTHES - 1] if story.wearing else plan.clothes
    new = changed(
        new,
        qualities=(story.quality,) if story.loses else new.qualities,
        clothes=(*clothes, story.wearing) if story.wearing else clothes,
        objects=(*objects, story.thing) if story.thing else objects,
        action=story.action or plan.action,
        place=story.place or plan.place,
    )
    told = next(
        iter([f"with {story.thing}"] if story.thing else [story.action or story.place or f"wearing {story.wearing}"])
    )
    return Edit(text[0].upper() + text[1:], f"{new.headline} {told}", new)


def _building(rng: np.random.Generator, plan: CaptionPlan) -> Edit | None:
    if not plan.is_alive or plan.count > 1 or plan.building:
        return None
    goods = pick(rng, tuple(words.GOODS))
    building = pick(rng, (f"{goods} shop", f"{goods} shop", "house", "garden", "bedroom", "kitchen", "boat", "office"))
    templates: tuple[str, ...] = (
        "Now show me {his} {building}.", "What does {his} {building} look like?", "Draw {his} {building}.",
        "And {his} {building}?", "I want to see {his} {building}.", "{he} {have} {a_building}. Show it.",
    )  # fmt: skip
    if building.endswith("shop"):
        templates += (
            "{he} opens {a_building}.",
            "{he} runs {a_building} now.",
            "{he} started selling " + words.GOODS[goods] + ".",
        )
    new = changed(plan, building=building, clothes=(), action="", place="")
    text = _say(rng, plan, templates, building=building, a_building=with_article(building))
    return Edit(text, new.headline, new)


_SAMPLERS: tuple[Sampler, ...] = (
    _more, _more, _less, _quality, _quality, _color, _add_clothes, _add_clothes, _add_object, _add_object, _remove,
    _remove, _swap, _subject, _subject, _count, _action, _where_and_when, _where_and_when, _where_and_when, _style,
    _style, _story, _story, _story, _building,
)  # fmt: skip
