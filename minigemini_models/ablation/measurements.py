"""Evaluate variants on the same questions, with numbers that are held out from training."""

from itertools import chain
from pathlib import Path

from minigemini.evaluation.evaluate import evaluate
from minigemini.evaluation.local_backend import LocalAnswerer
from minigemini.evaluation.response_cache import ResponseCache
from minigemini.inference.engine import Engine

from ..evaluation.answer_matching import characters_in_place, objects_matched
from ..evaluation.skills import Skill
from ..evaluation.synthetic_tasks import SyntheticTask
from ..scenes.splits import SMALL_DOMAIN, evaluation

_UNSEEN = evaluation("texts", base=SMALL_DOMAIN)
COLUMNS: dict[str, tuple[Skill, ...]] = {
    "reading": (
        Skill("digits of the number on a sign, each in its place", "sign", "read", characters_in_place, _UNSEEN),
    ),
    "yes or no": (
        Skill("is there …?", "few", "exists", domain=_UNSEEN),
        Skill("is it left of …?", "few", "related", domain=_UNSEEN),
    ),
    "the rest": (
        Skill("describe: things named with their colours", "few", "describe", objects_matched, _UNSEEN),
        Skill("colour of one among several", "few", "colour", domain=_UNSEEN),
        Skill("count one to five", "count", "count", domain=_UNSEEN),
        Skill("what is left of …?", "few", "beside", domain=_UNSEEN),
    ),
}
"""Skills by column; the columns stand for TextVQA, MME and MM-Vet."""
BATCH_SIZE = 25

ColumnScores = dict[str, float]
"""Accuracy in percent by column, averaged over its skills."""


class AblationTask(SyntheticTask):
    """The questions of all columns as an evaluation task."""

    name, title, skills = "ablation", "Small synthetic scenes", tuple(chain.from_iterable(COLUMNS.values()))


def measure(checkpoint: Path, questions: int, folder: Path) -> ColumnScores:
    """Evaluate a checkpoint with `questions` per skill; answers are cached in `folder`."""
    task, cache = AblationTask(), ResponseCache(folder)
    try:
        answerer = LocalAnswerer(Engine.load(str(checkpoint)), workers=0)
        result = evaluate(task, task.questions(None, questions), answerer, cache, batch_size=BATCH_SIZE)
    finally:
        cache.close()
    scores = {measured.name: figure.score for measured, figure in zip(result.measures, result.figures, strict=True)}
    return {column: sum(scores[skill.name] for skill in skills) / len(skills) for column, skills in COLUMNS.items()}
