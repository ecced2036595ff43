"""Cycle accuracy: generate an image from a request, and compare the image with the request.

`shape_detector`, which is not a neural network, finds the objects in the image. With a model, the model also describes
the image.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from itertools import islice

from PIL import Image
from tqdm import tqdm

from minigemini.evaluation.statistics import wilson
from minigemini.inference import Conversation, Engine, GenerationSettings, ImageGenerator, RequestError

from ..samples.descriptions import NUMBERS
from ..samples.image_plans import KINDS, ImagePlan, PlanItem, sample_planned_image
from ..samples.image_requests import sample_plain_request
from ..samples.request_phrases import DRAW
from ..scenes.colors import COLORS
from ..scenes.concepts import COLORED_NAMES, plural
from ..scenes.splits import EVALUATION_STREAM, evaluation
from .shape_detector import Verdict, detect_objects, judge

NO_MATCH = Verdict(False, False, False, False)
QUESTION = "What is in the picture?"
COUNTS = {"a": 1, "an": 1} | {word: number for number, word in enumerate(NUMBERS) if number}
NAMES = {form: name for name in COLORED_NAMES for form in (name, plural(name))}
PHRASE = re.compile(rf"\b({'|'.join(COUNTS)}) (?:({'|'.join(COLORS)}) )?({'|'.join(NAMES)})\b")
"""Number, color and name of described objects: "a red star", "two stars"."""


@dataclass(frozen=True)
class CycleResult:
    """One request and its outcome.

    Attributes:
        plan: the requested contents.
        kind: kind of the plan.
        caption: the caption given to the generator; None if the model wrote none.
        image: the generated image; None if there is none.
        verdict: which aspects of the image are right.
        answer: the model's description of the image; None if no model was used.
    """

    plan: ImagePlan
    kind: str
    caption: str | None
    image: Image.Image | None
    verdict: Verdict
    answer: str | None = None

    @property
    def recognized(self) -> bool:
        """Whether the description has every requested object, as often as requested and in its color, if it has one."""
        described = PHRASE.findall((self.answer or "").lower())

        def count(item: PlanItem) -> int:
            alike = (
                COUNTS[number]
                for number, color, name in described
                if NAMES[name] == item.name and item.color in (None, color)
            )
            return sum(alike)

        return all(count(item) == item.count for item in self.plan.items)


def draw_captions(
    generator: ImageGenerator, samples: int, settings: GenerationSettings | None = None
) -> list[CycleResult]:
    """Generate images from captions of new plans, cycling through all kinds, with one seed per image."""
    return list(
        tqdm(
            _captions(generator, samples, settings or GenerationSettings()), total=samples, desc="captions", leave=False
        )
    )


def draw_requests(
    engine: Engine, generator: ImageGenerator, samples: int, settings: GenerationSettings | None = None
) -> list[CycleResult]:
    """Request new plans in everyday words: the model writes the caption, and describes the generated image."""
    requests = _requests(engine, generator, samples, settings or GenerationSettings())
    return list(tqdm(requests, total=samples, desc="cycle", leave=False))


def results_table(results: Sequence[CycleResult]) -> str:
    """Format accuracies as a Markdown table with one row per kind of plan and one for all."""
    names = [field.name for field in fields(Verdict)]
    asked = any(result.answer is not None for result in results)
    rows = [f"| kind | {' | '.join(names)} | all of it |{' and recognized |' if asked else ''}"]
    rows.append("|---" * (len(names) + 2 + asked) + "|")
    for kind in (*KINDS, None):
        those = [result for result in results if kind in (None, result.kind)]
        if not those:
            continue
        counts = [sum(getattr(result.verdict, name) for result in those) for name in (*names, "right")]
        counts += [sum(result.verdict.right and result.recognized for result in those)] if asked else []
        cells = [f"{count / len(those):.1%}" for count in counts]
        if kind is None:
            low, high = wilson(counts[len(names)], len(those))
            cells[len(names)] += f" ({low:.1%} to {high:.1%})"
        rows.append(f"| {kind or 'all'}, n={len(those)} | {' | '.join(cells)} |")
    return "\n".join(rows)


def _plans() -> Iterator[tuple[int, str]]:
    seed = 0
    while True:
        yield from ((seed, kind) for kind in KINDS)
        seed += 1


def _captions(generator: ImageGenerator, samples: int, settings: GenerationSettings) -> Iterator[CycleResult]:
    for number, (seed, kind) in enumerate(islice(_plans(), samples)):
        plan, _ = sample_planned_image(seed, kind, EVALUATION_STREAM)
        image = generator.draw(plan.caption(), replace(settings, seed=number), progress=False)[0].image
        yield CycleResult(plan, kind, plan.caption(), image, judge(plan, detect_objects(image)))


def _requests(
    engine: Engine, generator: ImageGenerator, samples: int, settings: GenerationSettings
) -> Iterator[CycleResult]:
    for number, (seed, kind) in enumerate(islice(_plans(), samples)):
        plan, asked = sample_plain_request(seed, kind, evaluation())
        conversation = Conversation(engine)
        try:
            with conversation.request(asked.removesuffix(DRAW).strip()) as stream:
                reply = stream.draw(generator, replace(settings, seed=number), progress=False)
        except RequestError:  # the caption has words that the generator does not know
            yield CycleResult(plan, kind, None, None, NO_MATCH, "")
            continue
        if not reply.images:
            yield CycleResult(plan, kind, None, None, NO_MATCH, "")
            continue
        image = reply.images[0].image
        answer = conversation.ask(QUESTION).text
        yield CycleResult(plan, kind, reply.captions[-1], image, judge(plan, detect_objects(image)), answer)
