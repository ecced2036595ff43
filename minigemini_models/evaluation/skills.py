"""Skills that evaluation measures, each on assets that training uses or that are held out."""

from dataclasses import dataclass, replace

from ..scenes.lexicon import LETTERS, TextSampler
from ..scenes.splits import ANY_LETTERS_DOMAIN, BASIC_DOMAIN, TRAINING, SceneDomain, evaluation
from .answer_matching import AnswerMatcher, characters_in_place, exact_match, objects_matched, same_name

UNSEEN_TEXTS = evaluation("texts")


@dataclass(frozen=True)
class Skill:
    """One row of a results table: a kind of scene, a kind of question and a scoring rule.

    Attributes:
        name: name in reports.
        kind: one of `composition.KINDS`, `documents.PAGE_KINDS` or `dialogs.PAIR_KINDS`.
        turn_skill: `Turn.skill` of the question; earlier turns are given with their right answers.
        grade: scoring rule; by default an exact match.
        domain: domain of the scenes, see `splits.evaluation`.
        aim: percent that nano was meant to reach; None without an aim.
    """

    name: str
    kind: str
    turn_skill: str
    grade: AnswerMatcher = exact_match
    domain: SceneDomain = UNSEEN_TEXTS
    aim: int | None = None


def _basic(*held_out: str, texts: TextSampler | None = None) -> SceneDomain:
    return evaluation(*held_out, base=BASIC_DOMAIN, texts=texts)


_SHORT_WORD = replace(BASIC_DOMAIN.texts, strings=0.0)
_SHORT_STRING = TextSampler(words=0.0, numbers=0.0, characters=LETTERS, lengths=(3, 6))

BASIC_SKILLS = (
    Skill("read a word never seen in training", "sign", "read", domain=_basic("texts", texts=_SHORT_WORD)),
    Skill("its letters, each in its place", "sign", "read", characters_in_place, _basic("texts", texts=_SHORT_WORD)),
    Skill("read random letters", "sign", "read", domain=_basic("texts", texts=_SHORT_STRING)),
    Skill("read a word, unseen fonts", "sign", "read", domain=_basic("texts", "fonts", texts=_SHORT_WORD)),
    Skill("name the thing", "single", "name", same_name, _basic()),
    Skill("name its colour", "single", "colour", domain=_basic(), aim=98),
    Skill("count one to five", "count", "count", domain=_basic()),
    Skill("colour of one among several", "few", "colour", domain=_basic()),
    Skill("thing of a colour among several", "few", "find", domain=_basic()),
    Skill("is there …? yes or no", "few", "exists", domain=_basic()),
    Skill("describe two or three things: each named with its colour", "few", "describe", objects_matched, _basic()),
)
"""Skills on simple scenes: capital letters, colored objects, up to five copies."""

_LENGTHS = (4, 8)
WORD = TextSampler(words=1.0, numbers=0.0, strings=0.0, lengths=_LENGTHS)
NUMBER = TextSampler(words=0.0, numbers=1.0, strings=0.0, lengths=_LENGTHS)
STRING = TextSampler(words=0.0, numbers=0.0, strings=1.0, lengths=_LENGTHS)


def _reading_skill(
    what: str, texts: TextSampler, *also: str, base: SceneDomain = TRAINING, aim: int | None = None
) -> Skill:
    axes = f", unseen {' and '.join(also)}" if also else ""
    domain = evaluation("texts", *also, base=base, texts=texts)
    return Skill(f"read {what}{axes}", "sign", "read", domain=domain, aim=aim)


_ANY_LETTERS = "a word of 8 to 64 pixels, in capitals or not"
"""The height is that of capitals, and lower where a word would not fit; all answers are in capitals."""


SKILLS = (
    _reading_skill("a word of 4 to 8 letters", WORD, aim=90),
    _reading_skill("a number of 4 to 8 digits", NUMBER, aim=85),
    _reading_skill("4 to 8 random characters", STRING, aim=70),
    _reading_skill("a word of 4 to 8 letters", WORD, "fonts", aim=75),
    _reading_skill("a word of 4 to 8 letters", WORD, "layouts"),
    _reading_skill("4 to 8 random characters", STRING, "fonts"),
    _reading_skill("a word of 4 to 8 letters", WORD, "fonts", "layouts"),
    _reading_skill(_ANY_LETTERS, WORD, base=ANY_LETTERS_DOMAIN, aim=80),
    _reading_skill(_ANY_LETTERS, WORD, "fonts", base=ANY_LETTERS_DOMAIN, aim=75),
    Skill("read several words from top to bottom", "words", "read_all", aim=60),
    Skill("name an object", "single", "object", aim=90),
    Skill("name an object, unseen styles", "single", "object", domain=evaluation("styles"), aim=75),
    Skill("colour of one among several", "few", "colour", aim=98),
    Skill("colour of one among several, unseen layouts", "few", "colour", domain=evaluation("layouts")),
    Skill("shape of a colour among several", "few", "shape", aim=98),
    Skill("shape of a colour among several, unseen layouts", "few", "shape", domain=evaluation("layouts")),
    Skill("count one to eight", "count", "count", aim=85),
    Skill("count one to eight, unseen layouts", "count", "count", domain=evaluation("layouts")),
    Skill("what is left of, right of, above, below", "few", "beside", aim=90),
    Skill("what is left of …, unseen layouts", "few", "beside", domain=evaluation("layouts")),
    Skill("is it left of …? yes or no", "few", "related", aim=90),
    Skill("is it left of …? yes or no, unseen layouts", "few", "related", domain=evaluation("layouts")),
    Skill("is there …? yes or no", "few", "exists", aim=95),
    Skill("is there …? yes or no, unseen styles", "few", "exists", domain=evaluation("styles")),
    Skill("describe two to four things: each named", "few", "describe", objects_matched),
    Skill("follow-up: and the one beside it, and the other colour", "few", "follow_up"),
    Skill("two pictures: which has more", "more", "more", aim=85),
    Skill("two pictures: as many in both? yes or no", "more", "as_many", aim=85),
    Skill("two pictures: what changed its colour", "changed", "changed", aim=85),
    Skill("two pictures: the same things? yes or no", "changed", "same", aim=85),
    Skill("two pictures: which shows it", "which", "which_picture", aim=85),
    Skill("says that it cannot tell, about things", "few", "unknown", aim=90),
    Skill("says that it cannot tell, about a sign", "sign", "unknown", aim=90),
)
"""Skills on images of 256 pixels. All text is held out from training."""

DOCUMENT_SKILLS = (
    Skill("read a text of one to three lines", "lines", "read_all"),
    Skill("read one line of several", "lines", "read_line", aim=60),
    Skill("read one line of several, unseen fonts", "lines", "read_line", domain=evaluation("texts", "fonts")),
    Skill("value of a label in a chart", "chart", "value", aim=40),
    Skill("label of a value in a chart", "chart", "label", aim=40),
    Skill("label of a value in a chart, unseen layouts", "chart", "label", domain=evaluation("texts", "layouts")),
    Skill("largest or smallest bar", "chart", "extreme"),
    Skill("cell of a table by row and column", "table", "cell", aim=40),
    Skill("cell of a table, unseen layouts", "table", "cell", domain=evaluation("texts", "layouts")),
    Skill("row of a table", "table", "row"),
    Skill("follow-up in a chart", "chart", "follow_up"),
    Skill("follow-up in a table", "table", "follow_up"),
    Skill("says that it cannot tell, about a chart", "chart", "unknown"),
    Skill("says that it cannot tell, about a table", "table", "unknown"),
)
"""Skills on documents of 512 pixels, for checkpoints with 2 x 2 tiles."""
