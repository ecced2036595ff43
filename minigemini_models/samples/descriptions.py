"""How things and whole pictures are put into words: short, and always in the same way."""

from collections.abc import Callable, Sequence

from ..scenes.concepts import plural, with_article
from ..scenes.scene import Scene, Thing

NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def describe(scene: Scene) -> str:
    """One sentence that names everything: signs first, things from left to right. It is the picture's caption too."""
    match scene.kind:
        case "words":
            return f"The words {written(scene)}." if scene.signs else "Nothing."
        case "lines" | "text":
            return f"The text {written(scene)}."
        case "chart":
            return f"A bar chart: {enumerate_words([f'{bar.label.word} {bar.value.word}' for bar in scene.bars])}."
        case "table":
            return f"A table: {'; '.join(' '.join(cell.word for cell in row) for row in scene.cells)}."
    parts = [f"a sign that says {sign.word}" for sign in scene.signs]
    match scene.kind:
        case "count":
            parts += _alike(scene.things, lambda thing: thing.name)
        case "painting":
            parts += _alike(scene.things, full_name)
        case _:
            parts += [phrase(thing) for thing in scene.things]
    return sentence(enumerate_words(parts)) if parts else "Nothing."


def written(scene: Scene) -> str:
    """All words of a picture of words or lines, from top to bottom."""
    return " ".join(sign.word for sign in (*scene.signs, *scene.lines))


def phrase(thing: Thing) -> str:
    """ "a red house", or "a house" if it is an icon."""
    return with_article(full_name(thing))


def full_name(thing: Thing) -> str:
    return f"{thing.colour_name} {thing.name}" if thing.colour_name else thing.name


def reference(thing: Thing, things: Sequence[Thing]) -> str | None:
    """What to call one of the things so that no other is meant: "cat", "red circle"; None where nothing does."""
    if [other.name for other in things].count(thing.name) == 1:
        return thing.name
    if [full_name(other) for other in things].count(full_name(thing)) == 1:
        return full_name(thing)
    return None


def sentence(words: str) -> str:
    return f"{words[0].upper()}{words[1:]}."


def enumerate_words(parts: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    return ", ".join(parts[:-1]) + " and " + parts[-1] if len(parts) > 1 else parts[0]


def _alike(things: Sequence[Thing], called: Callable[[Thing], str]) -> list[str]:
    """ "three red stars", "a red star", and by name alone "two fish" of different colours; the larger group first."""
    groups: dict[str, list[Thing]] = {}
    for thing in things:
        groups.setdefault(called(thing), []).append(thing)
    return [_group(group) for group in sorted(groups.values(), key=len, reverse=True)]


def _group(things: Sequence[Thing]) -> str:
    if len(things) == 1:
        return phrase(things[0])
    colours = {thing.colour_name for thing in things}
    colour = f"{things[0].colour_name} " if len(colours) == 1 and None not in colours else ""
    return f"{NUMBERS[len(things)]} {colour}{plural(things[0].name)}"
