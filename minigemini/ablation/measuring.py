"""What every variant is asked: the same fresh questions, of numbers that training never wrote."""

from pathlib import Path

from ..evaluation.grading import Score, things_named
from ..evaluation.measuring import measure
from ..evaluation.skills import Skill
from ..inference.engine import Engine
from ..world.material import SMALL_WORLD, evaluation

_UNSEEN = evaluation("texts", base=SMALL_WORLD)
COLUMNS: dict[str, tuple[Skill, ...]] = {
    "reading": (Skill("the number on a sign", "sign", "read", material=_UNSEEN),),
    "yes or no": (
        Skill("is there …?", "few", "exists", material=_UNSEEN),
        Skill("is it left of …?", "few", "related", material=_UNSEEN),
    ),
    "the rest": (
        Skill("describe: things named with their colours", "few", "describe", things_named, _UNSEEN),
        Skill("colour of one among several", "few", "colour", material=_UNSEEN),
        Skill("count one to five", "count", "count", material=_UNSEEN),
        Skill("what is left of …?", "few", "beside", material=_UNSEEN),
    ),
}
"""Skills by what they stand for: TextVQA, MME, MM-Vet. A column is the mean of its skills."""

Measured = dict[str, list[Score]]


def ask(checkpoint: Path, questions: int) -> Measured:
    """Scores of a checkpoint, by column; so many questions per skill."""
    engine = Engine.load(str(checkpoint))
    return {column: [measure(engine, skill, questions) for skill in skills] for column, skills in COLUMNS.items()}


def share(scores: list[Score]) -> float:
    """A column's figure, in percent."""
    return 100 * sum(score.share for score in scores) / len(scores)
