"""Plain shapes and colored things: questions in many wordings on shape, color, place, size and number."""

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from ...samples.descriptions import NUMBERS, full_name, sentence
from ...samples.turns import Turn
from ...scenes.colors import COLORS, pick
from ...scenes.composition import sample_scene
from ...scenes.concepts import SHAPE_NAMES, plural, with_article
from ...scenes.layouts import center
from ...scenes.scene import SCENE_PX, Scene, SceneObject
from ...scenes.splits import COLORED_DOMAIN
from ..lesson import Lesson
from .scenes import SCALE

STREAM = 104
KINDS = ("few", "count", "single", "few", "count")
_MAX_TURNS = 8
_TRIES = 8
"""Maximum number of scenes that are sampled to find one of shapes alone."""
_CORNERS = {"triangle": "Three", "square": "Four", "diamond": "Four", "circle": "None"}
_FAR_PX = 24
"""An object is on a side of the picture if its center is at least this far from the middle, of 256 pixels."""
_SIZE_RATIO = 1.25
"""One object is larger than another if its side is at least this many times as long."""

Ask = Callable[[np.random.Generator, Scene], Turn | None]


def sample(number: int) -> Lesson:
    """Sample a scene of shapes in named colors, and up to eight questions about it."""
    rng = np.random.default_rng([STREAM, number])
    scene = _scene(number)
    turns: dict[str, Turn] = {}
    for ask in (_ASKS[i] for i in rng.permutation(len(_ASKS))):
        turn = ask(rng, scene)
        if turn is not None and len(turns) < _MAX_TURNS:
            turns[turn.question] = turn
    return Lesson(tuple(turns.values()), picture=scene.scaled(SCALE).draw()[0], separate=True)


def _scene(number: int) -> Scene:
    """Sample a scene of colored things; for even numbers mostly one of plain shapes alone."""
    seeds = range(_TRIES * number, _TRIES * (number + 1))
    scenes = (sample_scene(seed, KINDS[number % len(KINDS)], COLORED_DOMAIN) for seed in seeds)
    plain = (scene for scene in scenes if all(obj.name in SHAPE_NAMES for obj in scene.objects))
    scene = next(plain, None) if number % 2 == 0 else None
    return scene or sample_scene(seeds[0], KINDS[number % len(KINDS)], COLORED_DOMAIN)


def _unique(
    rng: np.random.Generator, objects: Sequence[SceneObject], key: Callable[[SceneObject], object]
) -> SceneObject | None:
    """An object that is the only one with its key."""
    counts = Counter(key(obj) for obj in objects)
    alone = [obj for obj in objects if counts[key(obj)] == 1]
    return pick(rng, alone) if alone else None


def _color(obj: SceneObject) -> str:
    return obj.color_name or ""


def color_of(rng: np.random.Generator, scene: Scene) -> Turn | None:
    obj = _unique(rng, scene.objects, lambda each: each.name)
    if obj is None:
        return None
    forms = (
        "What color is the {}?", "What colour is the {}?", "Which color does the {} have?", "The {} is which color?",
        "Tell me the color of the {}.", "In which color is the {} drawn?", "What is the {}'s color?",
        "Color of the {}?",
    )  # fmt: skip
    name = obj.name if obj.name not in SHAPE_NAMES or rng.random() < 0.7 or len(scene.objects) > 1 else "shape"
    return Turn("color", pick(rng, forms).format(name), sentence(_color(obj)))


def color_of_all(rng: np.random.Generator, scene: Scene) -> Turn | None:
    """Ask for the color of several things with one name, or of the only thing as "it"."""
    colors = {obj.name: {_color(each) for each in scene.objects if each.name == obj.name} for obj in scene.objects}
    counts = Counter(obj.name for obj in scene.objects)
    if len(scene.objects) == 1:
        forms = ("What color is it?", "Which color does it have?", "What color is the shape?", "What color is this?")
        return Turn("color-of-all", pick(rng, forms), sentence(_color(scene.objects[0])))
    names = [name for name, seen in colors.items() if len(seen) == 1 and counts[name] > 1]
    if not names:
        return None
    name = pick(rng, names)
    forms = (
        "What color are the {}?",
        "What colour are the {}?",
        "Which color do the {} have?",
        "The {} are what color?",
    )
    return Turn("color-of-all", pick(rng, forms).format(plural(name)), sentence(*colors[name]))


def corners(rng: np.random.Generator, scene: Scene) -> Turn | None:
    if len(scene.objects) > 1 or scene.objects[0].name not in _CORNERS:
        return None
    forms = (
        "How many corners does the shape have?",
        "How many corners does it have?",
        "How many corners do you count?",
    )
    return Turn("corners", pick(rng, forms), sentence(_CORNERS[scene.objects[0].name]))


def shape_of(rng: np.random.Generator, scene: Scene) -> Turn | None:
    obj = _unique(rng, scene.objects, _color)
    if obj is None:
        return None
    kind = "shape" if obj.name in SHAPE_NAMES else "thing"
    forms: tuple[str, ...] = (
        "What shape is the {} thing?", "Which shape is {}?", "What {kind} is {}?", "Which {kind} is {}?", "What is {}?",
        "Name the {} {kind}.", "What is the {} {kind}?", "Tell me which {kind} is {}.",
        "What kind of {kind} is the {} one?",
    )  # fmt: skip
    if len(scene.objects) == 1:
        forms = (
            *forms,
            "What shape is this?",
            "What shape is shown here?",
            "Which shape do you see?",
            "What is drawn here?",
        )
    form = pick(rng, forms)
    if kind == "thing" and "shape" in form:
        return None
    return Turn("shape", form.format(_color(obj), kind=kind), sentence(with_article(obj.name)))


def place_of(rng: np.random.Generator, scene: Scene) -> Turn | None:
    obj = _unique(rng, scene.objects, full_name)
    if obj is None:
        return None
    axis = int(rng.integers(2))
    offset = center(obj.box)[axis] - SCENE_PX / 2
    if abs(offset) < _FAR_PX:
        return None
    words = (("left", "right"), ("top", "bottom"))[axis]
    side = words[int(offset > 0)]
    at = "on the" if axis == 0 else "at the"
    forms = (
        "Where is the {name}, {a} or {b}?", "Is the {name} {at} {a} or {at} {b}?",
        "Is the {name} {at} {b} or {at} {a}?",
        "On which side is the {name}, {a} or {b}?", "Where is the {name}: {b} or {a}?",
    )  # fmt: skip
    first, second = words
    name = (
        full_name(obj) if [each.name for each in scene.objects].count(obj.name) > 1 or rng.random() < 0.5 else obj.name
    )
    return Turn("where", pick(rng, forms).format(name=name, a=first, b=second, at=at), f"The {name} is {at} {side}.")


def larger(rng: np.random.Generator, scene: Scene) -> Turn | None:
    named = [obj for obj in scene.objects if [full_name(o) for o in scene.objects].count(full_name(obj)) == 1]
    if len(named) < 2:
        return None
    one, other = (named[i] for i in rng.permutation(len(named))[:2])
    sides = [obj.box[2] - obj.box[0] for obj in (one, other)]
    if max(sides) < _SIZE_RATIO * min(sides):
        return None
    big, small = (one, other) if sides[0] > sides[1] else (other, one)
    if one.name == other.name:
        names = [f"the {_color(one)} one", f"the {_color(other)} one"]
    elif len({obj.name for obj in scene.objects}) == len(scene.objects) and rng.random() < 0.6:
        names = [f"the {one.name}", f"the {other.name}"]
    else:
        names = [f"the {full_name(one)}", f"the {full_name(other)}"]
    ask_big = rng.random() < 0.6
    words = ("larger", "bigger", "the larger one", "the bigger one") if ask_big else ("smaller", "the smaller one")
    noun = one.name if one.name == other.name else "one"
    forms = ("Which is {}, {} or {}?", "What is {}: {} or {}?", f"Which {noun} is {{}}, {{}} or {{}}?")
    word = pick(rng, words)
    return Turn("larger", pick(rng, forms).format(word, *names), f"The {full_name(big if ask_big else small)}.")


def how_many(rng: np.random.Generator, scene: Scene) -> Turn | None:
    names = Counter(obj.name for obj in scene.objects)
    several = [name for name, count in names.items() if count > 1]
    name = pick(rng, several if several and rng.random() < 0.7 else list(names))
    count, asked = names[name], plural(name)
    if rng.random() < 0.3:
        count, asked = len(scene.objects), pick(rng, ("shapes", "things", "objects"))
    if asked == "shapes" and any(obj.name not in SHAPE_NAMES for obj in scene.objects):
        return None
    colors = Counter(_color(obj) for obj in scene.objects)
    if rng.random() < 0.2:
        color = pick(rng, list(colors))
        count, asked = colors[color], f"{color} {pick(rng, ('things', 'shapes', 'objects'))}"
    if asked == "circles" and rng.random() < 0.4:
        asked = "dots"
    forms = (
        "How many {} are there?", "How many {} do you see?", "Count the {}.", "How many {} are in the picture?",
        "What is the number of {}?", "How many {} can you count?", "Number of {}?", "How many {} are drawn here?",
    )  # fmt: skip
    return Turn("count", pick(rng, forms).format(asked), sentence(NUMBERS[count]))


def more_than(rng: np.random.Generator, scene: Scene) -> Turn | None:
    counts = Counter(obj.name for obj in scene.objects).most_common()
    if len(counts) < 2 or counts[0][1] == counts[1][1]:
        return None
    (most, _), (fewer, _) = counts[0], counts[1]
    a, b = (most, fewer) if rng.random() < 0.5 else (fewer, most)
    if rng.random() < 0.5:
        compared = ("Are there more {} than {}?", "Do you see more {} than {}?")
        return Turn("more", pick(rng, compared).format(plural(a), plural(b)), "Yes." if a == most else "No.")
    forms = ("Are there more {} or more {}?", "Which are more, {} or {}?", "What is there more of, {} or {}?")
    return Turn("more", pick(rng, forms).format(plural(a), plural(b)), f"There are more {plural(most)}.")


def is_there(rng: np.random.Generator, scene: Scene) -> Turn | None:
    forms = (
        "Is there {} in the picture?",
        "Do you see {}?",
        "Is there {}?",
        "Can you see {} here?",
        "Does the picture have {}?",
    )
    if rng.random() < 0.5:
        obj = pick(rng, scene.objects)
        name = full_name(obj) if rng.random() < 0.5 else obj.name
        return Turn("exists", pick(rng, forms).format(with_article(name)), f"Yes, there is {with_article(name)}.")
    color, name = pick(rng, list(COLORS)), pick(rng, SHAPE_NAMES)
    asked = f"{color} {name}" if rng.random() < 0.5 else name
    if any(asked in (obj.name, full_name(obj)) for obj in scene.objects):
        return None
    return Turn("exists", pick(rng, forms).format(with_article(asked)), f"No, I do not see {with_article(asked)}.")


_ASKS: tuple[Ask, ...] = (
    color_of,
    shape_of,
    place_of,
    larger,
    how_many,
    how_many,
    more_than,
    is_there,
    color_of_all,
    corners,
    color_of,
    shape_of,
)
