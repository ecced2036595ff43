"""Captions of scenes and phrases for their objects. The same scene always gives the same words."""

from collections.abc import Callable, Sequence

from ..scenes.concepts import plural, with_article
from ..scenes.scene import Scene, SceneObject

NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def describe(scene: Scene) -> str:
    """Return the caption: one sentence that names everything, signs first.

    Objects are in reading order, or counted, the most frequent first.
    """
    match scene.kind:
        case "words":
            return f"The words {all_text(scene)}." if scene.signs else "Nothing."
        case "lines" | "text":
            return f"The text {all_text(scene)}."
        case "chart":
            return f"A bar chart: {enumerate_words([f'{bar.label.word} {bar.value.word}' for bar in scene.bars])}."
        case "table":
            return f"A table: {'; '.join(' '.join(cell.word for cell in row) for row in scene.cells)}."
    parts = [f"a sign that says {sign.word}" for sign in scene.signs]
    match scene.kind:
        case "count":
            parts += _count_phrases(scene.objects, lambda obj: obj.name)
        case "painting":
            parts += _count_phrases(scene.objects, full_name)
        case _:
            parts += [phrase(obj) for obj in scene.objects]
    return sentence(enumerate_words(parts)) if parts else "Nothing."


def all_text(scene: Scene) -> str:
    """Return all signs and lines of text from top to bottom, joined by spaces."""
    return " ".join(sign.word for sign in (*scene.signs, *scene.lines))


def phrase(obj: SceneObject) -> str:
    """ "a red house", or "a house" if it is an icon."""
    return with_article(full_name(obj))


def full_name(obj: SceneObject) -> str:
    """Return "red house", or "house" for an icon."""
    return f"{obj.color_name} {obj.name}" if obj.color_name else obj.name


def reference(obj: SceneObject, objects: Sequence[SceneObject]) -> str | None:
    """Return an unambiguous name among `objects`, such as "cat" or "red circle"; None if there is none."""
    if [other.name for other in objects].count(obj.name) == 1:
        return obj.name
    if [full_name(other) for other in objects].count(full_name(obj)) == 1:
        return full_name(obj)
    return None


def sentence(words: str) -> str:
    """Capitalize the first letter and add a full stop."""
    return f"{words[0].upper()}{words[1:]}."


def enumerate_words(parts: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    return ", ".join(parts[:-1]) + " and " + parts[-1] if len(parts) > 1 else parts[0]


def _count_phrases(objects: Sequence[SceneObject], key: Callable[[SceneObject], str]) -> list[str]:
    """Return phrases such as "three red stars", or "two fish" for different colors; the largest group first."""
    groups: dict[str, list[SceneObject]] = {}
    for obj in objects:
        groups.setdefault(key(obj), []).append(obj)
    return [_count_phrase(group) for group in sorted(groups.values(), key=len, reverse=True)]


def _count_phrase(objects: Sequence[SceneObject]) -> str:
    if len(objects) == 1:
        return phrase(objects[0])
    colors = {obj.color_name for obj in objects}
    color = f"{objects[0].color_name} " if len(colors) == 1 and None not in colors else ""
    return f"{NUMBERS[len(objects)]} {color}{plural(objects[0].name)}"
