"""Captions for drawing: a user asks for a picture, from words or from a photograph, and changes it over rounds.

Each answer to a turn that ends with `<GEN>` is a sentence and one caption; a turn without it gets no caption.
"""

import numpy as np

from minigemini.imagegen.captions import with_captions

from ...samples.request_phrases import DRAW
from ...samples.turns import Turn
from ...scenes.colors import pick
from ...scenes.concepts import with_article
from ..lesson import Lesson
from . import drawing_words as words
from .conversation_answers import SMALL_TALK
from .drawing_edits import sample_edit
from .drawing_plans import (
    LANDSCAPE_KIND,
    CaptionPlan,
    changed,
    filled,
    plural_of,
    request_text,
    sample_plan,
    sample_slots,
    styled,
)
from .photographs import words_of

STREAM = 2501
MAX_CHARACTERS = 600
"""Of questions and answers together: about 200 tokens."""
_SHARES = {
    "request": 0.2,
    "rounds": 0.38,
    "interrupted": 0.16,
    "mentioned": 0.08,
    "photograph": 0.12,
    "nothing": 0.02,
    "free": 0.04,
}


def sample(number: int) -> Lesson:
    """Return the lesson of a number."""
    rng = np.random.default_rng([STREAM, number])
    match str(rng.choice(list(_SHARES), p=list(_SHARES.values()))):
        case "request":
            return Lesson(_short(_request(rng, sample_plan(rng))[:1]))
        case "rounds":
            return Lesson(_short(_request(rng, sample_plan(rng), int(rng.integers(1, 5)))))
        case "interrupted":
            return Lesson(_short(_request(rng, sample_plan(rng), int(rng.integers(1, 4)), interrupted=True)))
        case "mentioned":
            return Lesson(_short(_mentioned(rng)))
        case "photograph":
            return _photograph(rng)
        case "nothing":
            return Lesson((_turn(pick(rng, _NO_REFERENT), pick(rng, _NO_REFERENT_ANSWERS)),))
        case _:
            plan = sample_plan(rng, details=3)
            opening = _turn(pick(rng, _FREE), drawing_answer(plan.headline, plan))
            return Lesson(_short((opening, *_edits(rng, plan, int(rng.integers(3))))))


def drawing_answer(shown: str, plan: CaptionPlan) -> str:
    """Return the answer to a request: what the picture shows in a few words, and its caption."""
    are = "are" if plan.count > 1 and not plan.building else "is"
    return with_captions(f"Here {are} {shown}.", [plan.caption()])


def _turn(question: str, answer: str) -> Turn:
    return Turn("draw", f"{question} {DRAW}", answer)


def _short(turns: tuple[Turn, ...]) -> tuple[Turn, ...]:
    """Leave out the last turns of a long conversation."""
    while len(turns) > 1 and sum(len(turn.question) + len(turn.answer) for turn in turns) > MAX_CHARACTERS:
        turns = turns[:-1]
    return turns


def _request(
    rng: np.random.Generator, plan: CaptionPlan, edits: int = 0, interrupted: bool = False
) -> tuple[Turn, ...]:
    first = _turn(request_text(rng, plan), drawing_answer(plan.headline, plan))
    return (first, *_edits(rng, plan, edits, interrupted))


def _edits(rng: np.random.Generator, plan: CaptionPlan, number: int, interrupted: bool = False) -> tuple[Turn, ...]:
    turns: list[Turn] = []
    plans = [plan]
    for _ in range(number):
        if interrupted:
            turns.append(_text_turn(rng, plans[-1]))
        if len(plans) > 2 and rng.random() < 0.15:
            text, plan = _earlier(rng, plans)
            turns.append(_turn(text, drawing_answer(plan.headline, plan)))
        else:
            edit = sample_edit(rng, plans[-1])
            plan = edit.plan
            turns.append(_turn(edit.instruction, drawing_answer(edit.shown, plan)))
        plans.append(plan)
    if interrupted and rng.random() < 0.4:
        turns.append(_text_turn(rng, plans[-1]))
    return tuple(turns)


def _earlier(rng: np.random.Generator, plans: list[CaptionPlan]) -> tuple[str, CaptionPlan]:
    if rng.random() < 0.5:
        return pick(rng, _BACK_TO_FIRST), plans[0]
    return pick(rng, _BACK_ONE), plans[-2]


def _text_turn(rng: np.random.Generator, plan: CaptionPlan) -> Turn:
    """Sample a turn that asks for no picture: about the last one, or something else."""
    way = rng.random()
    if way < 0.4:
        return Turn("talk", *_question_about(rng, plan))
    if way < 0.55:
        he, _, his, be, _ = plan.pronouns
        told = {"he": he, "his": his, "be": be, "noun": plan.noun}
        return Turn("talk", pick(rng, _UNKNOWABLE).format(**told), "I cannot tell.")
    return Turn("talk", *pick(rng, SMALL_TALK))


def _question_about(rng: np.random.Generator, plan: CaptionPlan) -> tuple[str, str]:
    he, _, _, be, _ = plan.pronouns
    choices = [(question, f"I drew {plan.headline}.") for question in ("What did you draw?", "What is in the picture?")]
    if plan.place:
        choices.append((f"Where {be} {he}?", f"{he.capitalize()} {be} {plan.place}."))
    if plan.action and plan.is_alive:
        choices.append((f"What {be} {he} doing?", f"{he.capitalize()} {be} {plan.action}."))
    if plan.clothes:
        choices.append((f"What {be} {he} wearing?", f"{he.capitalize()} {be} wearing {' and '.join(plan.clothes)}."))
    if plan.style:
        choices.append(("Which style is it?", f"It is {styled(plan.style)}."))
    if plan.color:
        choices.append((f"What color {be} {he}?", f"{he.capitalize()} {be} {plan.color}."))
    return pick(rng, choices)


def _mentioned(rng: np.random.Generator) -> tuple[Turn, ...]:
    """Speak of something first, and then ask for a picture of it by a pronoun."""
    plan = sample_plan(rng, pick(rng, ("animal", "animal", "person", "thing")), details=0)
    for name in sample_slots(rng, plan, 1):
        plan = filled(rng, plan, name) if name in ("qualities", "color") else plan
    him = plan.pronouns[1]
    told, asked = pick(rng, _MENTIONS if plan.kind != "person" else _MENTIONS_OF_PEOPLE)
    before = [Turn("talk", told.format(a=plan.head, noun=plan.subject, many=plural_of(plan.subject)), asked)]
    plan = filled(
        rng, plan, pick(rng, [name for name in sample_slots(rng, plan, 99) if name not in ("count", "qualities")])
    )
    around = " ".join(plan.parts) if plan.parts else plan.color
    request = pick(rng, ("Draw {him} {around}.", "Show me {him} {around}.", "Paint {him} {around}, please.",
                         "Can you draw {him} {around}?", "Make a picture of {him} {around}."))  # fmt: skip
    if plan.parts and plan.parts[-1] == plan.style:
        around = f"as {styled(plan.style)}"
    elif not plan.parts:
        around = f"in {plan.color}"
    first = _turn(request.format(him=him, around=around), drawing_answer(plan.headline, plan))
    return (*before, first, *_edits(rng, plan, int(rng.integers(2))))


def _photograph(rng: np.random.Generator) -> Lesson:
    """Ask for a picture of what a photograph shows."""
    is_animal = rng.random() < 0.65
    index, name = pick(rng, tuple((words.PHOTOGRAPHED_ANIMALS if is_animal else words.PHOTOGRAPHED_THINGS).items()))
    kind = "animal" if is_animal else LANDSCAPE_KIND if name == "volcano" else "thing"
    plan = CaptionPlan(kind, name)
    slot = pick(rng, [name for name in sample_slots(rng, plan, 99) if name != "count"])
    if rng.random() < 0.4:
        slot = "style"
    plan = filled(rng, plan, slot)
    this = pick(rng, ("this animal", "this animal", "it", "the animal") if is_animal else ("this", "this", "it"))
    told = {
        "style": f"as {styled(plan.style)}" if plan.style else "",
        "qualities": f"so that it looks {plan.qualities[0]}" if plan.qualities else "",
        "color": f"in {plan.color}",
    }.get(slot, plan.parts[0] if plan.parts else "")
    if rng.random() < 0.12:
        plan, told = changed(CaptionPlan(kind, name)), ""
    request = pick(rng, _FROM_PHOTOGRAPH).format(this=this, told=told).replace(" .", ".").replace(" ?", "?")
    turns = [_turn(request, drawing_answer(plan.headline, plan)), *_edits(rng, plan, int(rng.integers(3)))]
    if rng.random() < 0.35:
        question = pick(rng, ("What is this?", "What do you see?", "What is in the picture?"))
        turns.insert(0, Turn("name", question, f"This is {with_article(name)}."))
    return Lesson(_short(tuple(turns)), classes=words_of(rng, index))


_FROM_PHOTOGRAPH = (
    "Draw {this} {told}.", "Can you draw {this} {told}?", "Show me {this} {told}.", "Paint {this} {told}.",
    "Make a picture of {this} {told}.", "I would like {this} {told}.", "Now draw {this} {told}.",
    "Take what is in the photo and draw it {told}.", "Turn it into a new picture: the same {told}.",
    "Draw the same {told}.", "Draw what you see {told}.",
)  # fmt: skip
_MENTIONS = (
    ("I have {a}.", "How nice!"), ("I saw {a} today.", "How nice!"), ("My favorite is {a}.", "I see."),
    ("My son wants {a}.", "I see."), ("Do you know what {a} is?", "Yes, I do."), ("Yesterday I found {a}.",
    "How nice!"),
    ("I read a story about {a}.", "That sounds interesting."), ("There is {a} in our garden.", "How nice!"),
    ("I would love to have {a}.", "I see."), ("Let us talk about {a}.", "Gladly."), ("I dreamed of {a}.",
    "That sounds interesting."),
)  # fmt: skip
_MENTIONS_OF_PEOPLE = (
    ("My neighbor is {a}.", "How nice!"), ("I met {a} today.", "How nice!"), ("I read a story about {a}.",
    "That sounds interesting."),
    ("I am writing about {a}.", "That sounds interesting."), ("Let us talk about {a}.", "Gladly."),
    ("I know {a}.", "I see."), ("I dreamed of {a}.", "That sounds interesting."), ("In my book there is {a}.",
    "That sounds interesting."),
)  # fmt: skip
_BACK_TO_FIRST = (
    "Go back to the first one.", "The first picture was better.", "Let us return to the first version.",
    "Forget the changes, the first one please.", "Start again from the first picture.",
)  # fmt: skip
_BACK_ONE = (
    "Undo that.", "Go back one step.", "The one before was better.", "No, as it was before.", "Take that back.",
    "I liked the previous one more.", "Undo the last change.",
)  # fmt: skip
_UNKNOWABLE = (
    "What is {his} name?", "How old {be} {he}?", "Who taught you to draw?", "What does the {noun} think?",
    "How much would this cost?", "Who will buy the picture?", "What happened the day before?", "Where was {he} born?",
)  # fmt: skip
_NO_REFERENT = (
    "Make it bigger.", "Make it blue.", "Now at night.", "Add a hat.", "Undo that.", "The same in winter.",
    "More, please.",
    "Draw it again.", "Remove the tree.", "Make them smile.", "Change the style.", "Make it nicer.",
)  # fmt: skip
_NO_REFERENT_ANSWERS = ("There is no picture yet. What should I draw?",)
_FREE = (
    "Surprise me.", "Draw something.", "Draw anything you like.", "Something that cheers me up.",
    "Make a funny picture.",
    "Draw something for a child.", "I am bored. Draw something.", "Something beautiful, please.",
    "Show me what you can draw.",
    "Make me laugh.", "Paint something for my wall.", "Draw whatever you want.", "I need a gift. Draw something.",
)  # fmt: skip
