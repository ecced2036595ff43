"""Evaluate variants on the same questions, with numbers that are held out from training."""

from collections.abc import Mapping
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
SKILLS: dict[str, Skill] = {
    "digits": Skill("digits of the number on a sign, each in its place", "sign", "read", characters_in_place, _UNSEEN),
    "presence": Skill("is there …?", "few", "exists", domain=_UNSEEN),
    "relations": Skill("is it left of …?", "few", "related", domain=_UNSEEN),
    "descriptions": Skill("describe: things named with their colours", "few", "describe", objects_matched, _UNSEEN),
    "colors": Skill("colour of one among several", "few", "colour", domain=_UNSEEN),
    "counts": Skill("count one to five", "count", "count", domain=_UNSEEN),
    "places": Skill("what is left of …?", "few", "beside", domain=_UNSEEN),
}
"""Skills by their short names."""
COLUMNS: dict[str, tuple[str, ...]] = {
    "reading": ("digits",),
    "yes or no": ("presence", "relations"),
    "the rest": ("descriptions", "colors", "counts", "places"),
}
"""Skills by column, which is their average; the columns stand for TextVQA, MME and MM-Vet."""
BATCH_SIZE = 25

Scores = Mapping[str, float]
"""Accuracy in percent by the short name of a skill."""


class AblationTask(SyntheticTask):
    """The questions of all skills as an evaluation task."""

    name, title, skills = "ablation", "Small synthetic scenes", tuple(SKILLS.values())


def measure(checkpoint: Path, questions: int, folder: Path) -> dict[str, float]:
    """Evaluate a checkpoint with `questions` per skill; answers are cached in `folder`. Returns `Scores`."""
    task, cache = AblationTask(), ResponseCache(folder)
    try:
        answerer = LocalAnswerer(Engine.load(str(checkpoint)), workers=0)
        result = evaluate(task, task.questions(None, questions), answerer, cache, batch_size=BATCH_SIZE)
    finally:
        cache.close()
    scores = {measured.name: figure.score for measured, figure in zip(result.measures, result.figures, strict=True)}
    return {name: scores[skill.name] for name, skill in SKILLS.items()}
