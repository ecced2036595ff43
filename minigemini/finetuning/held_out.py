"""Asks a model the held-out questions, before and after training, and scores its answers."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from tqdm import tqdm

from ..data.readers import Reader
from ..data.sample_media import messages_with_media
from ..data.schema import Sample, text_of
from ..evaluation.scorers.text_match import SCORES, answer_budget
from ..images.decoders import open_isolated, open_video
from ..images.safe_images import ImageError
from ..inference.engine import Engine
from ..inference.sampling import Sampling
from ..io.atomic_write import atomic_write
from ..io.errors import RequestError


@dataclass(frozen=True)
class HeldOutAnswer:
    """The answer to the last question of a held-out sample.

    Attributes:
        row: the sample.
        question: the question, without images.
        expected: the sample's answer.
        answer: the model's answer.
        failure: why there is no answer; empty if there is one.
    """

    row: int
    question: str
    expected: str
    answer: str
    failure: str = ""

    @property
    def shown(self) -> str:
        """The answer, or why there is none."""
        return self.failure or self.answer or "(nothing)"

    @property
    def scores(self) -> dict[str, float]:
        """All scores; a failure scores 0."""
        return {name: 0.0 if self.failure else score(self.answer, self.expected) for name, score in SCORES.items()}


def answers_of(model: Path | str, reader: Reader, rows: Sequence[int], saved: Path, title: str) -> list[HeldOutAnswer]:
    """Answer the held-out questions, greedily; answers that were saved before are not asked again.

    Args:
        model: name or path of the model.
        reader: the source of the samples.
        rows: the held-out rows.
        saved: file of the answers.
        title: title of the progress bar.

    Raises:
        CheckpointError: The model cannot be loaded.
    """
    if (known := _read(saved)) and [one.row for one in known] == list(rows):
        return known
    engine = Engine.load(model)
    sampling = Sampling(max_new_tokens=answer_budget(text_of(reader[row].messages[-1]) for row in rows))
    asked = [ask(engine, reader[row], row, sampling) for row in tqdm(rows, desc=title, unit=" questions", delay=2)]
    with atomic_write(saved) as partial:
        partial.write_text(json.dumps([asdict(one) for one in asked], indent=1, ensure_ascii=False), encoding="utf-8")
    return asked


def ask(engine: Engine, sample: Sample, row: int, sampling: Sampling) -> HeldOutAnswer:
    """Ask the last question of a sample, after its earlier turns as they are in the data."""
    question, expected = text_of(sample.messages[-2]).strip(), text_of(sample.messages[-1]).strip()
    try:
        open_clip = partial(open_video, sampling=engine.processor.video_sampling)
        opened = messages_with_media(sample, sample.messages[:-1], open_isolated, open_clip)
        text = "".join(engine.stream(opened, sampling))
    except (RequestError, ImageError) as error:
        return HeldOutAnswer(row, question, expected, "", str(error))
    return HeldOutAnswer(row, question, expected, text.strip())


def mean_scores(answers: Iterable[HeldOutAnswer]) -> dict[str, float]:
    """The mean of each score, 0 to 1."""
    each = [answer.scores for answer in answers]
    return {name: round(sum(scores[name] for scores in each) / len(each), 4) for name in SCORES}


def _read(path: Path) -> list[HeldOutAnswer]:
    """Answers that were saved; none if the file is missing or not ours."""
    try:
        return [HeldOutAnswer(**one) for one in json.loads(path.read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError):
        return []
