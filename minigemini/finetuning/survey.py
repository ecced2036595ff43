"""Looks at data before training: faults, lengths, images, and how its answers are distributed."""

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..data.readers import Reader, SourceError, SubsetReader, lacks_images, open_reader
from ..data.readers.opening import image_root_of
from ..data.schema import SampleIssue, text_of
from ..dataprep.page_elements import length_summary
from ..dataprep.validate import validate
from ..dataprep.validate.issues import IssueKind
from ..dataprep.validate.record_checks import TemplateTokens
from ..dataprep.validate.validation import Validation
from ..dataprep.validate.validation_report import exclusions
from ..evaluation.scorers.text_match import AnswerType, ScoreName, answer_type, normalize, suitable_score
from ..modeling import MiniGeminiProcessor
from .split import HELD_OUT_RATIO, Split, keys_of, split

ALSO_EXCLUDED = (SampleIssue.REFUSED.value,)
"""Kinds of issues that exclude a sample although other models might train on it."""


@dataclass(frozen=True)
class Survey:
    """What was found in the data.

    Attributes:
        reader: the samples.
        image_root: folder that image paths are relative to.
        found: the result of validation, with token counts under `model`.
        parts: rows to train on and rows that are held out.
        answers: the last answer of each usable sample.
        model: name of the model.
    """

    reader: Reader
    image_root: Path | None
    found: Validation
    parts: Split
    answers: tuple[str, ...]
    model: str

    @property
    def tokens(self) -> np.ndarray:
        """(usable,) int32, tokens of each usable sample with its images."""
        rows = sorted((*self.parts.train, *self.parts.held_out))
        return self.found.tokens[self.model][rows]

    @cached_property
    def answer_type(self) -> AnswerType:
        return answer_type(self.answers)

    @property
    def score(self) -> ScoreName:
        """The score that suits the answers."""
        return suitable_score(self.answer_type)

    def rows(self) -> list[tuple[str, str]]:
        """The findings as names and values."""
        excluding = {issue.kind for issue in self.found.issues if issue.excludes or issue.kind in ALSO_EXCLUDED}
        counts = self.found.counts
        left_out = "; ".join(f"{count:,} {kind}" for kind, count in counts.most_common() if kind in excluding)
        near = counts[IssueKind.NEAR_DUPLICATE.value]
        shared = self.parts.shared
        overlap = f"{shared:,} share an image with training" if shared else "no image of training in it"
        answers = Counter(map(normalize, self.answers))
        ((common, count),) = answers.most_common(1)
        share = f"{count / len(self.answers):.0%} are {_short(common)!r}"
        return [
            (
                "samples",
                f"{self.found.rows:,}, usable {len(self.answers):,}" + (f"; left out: {left_out}" * bool(left_out)),
            ),
            (
                "images",
                f"{self.found.images:,} in {self.found.references:,} places; {near:,} nearly the same as others",
            ),
            ("tokens", f"{length_summary(self.tokens)} (images included)"),
            (
                "answers",
                f"{self.answer_type}: {len(answers):,} different, {share}",
            ),
            ("held out", f"{len(self.parts.held_out):,}, {overlap}; scored by {self.score}"),
        ]


def survey(data: Path, images: Path | None, model: str, processor: MiniGeminiProcessor) -> Survey:
    """Read all of the data once and split it.

    Args:
        data: file or folder of samples.
        images: folder that image paths are relative to; the folder of the data if None.
        model: name of the model, whose tokenizer and chat template count tokens.
        processor: the model's processor.

    Raises:
        SourceError: The data cannot be read, or fewer than ten samples are usable.
        ModuleNotFoundError: The package that reads the format is not installed.
    """
    reader = open_reader(data, images, skip_broken=True)
    root = images or image_root_of(data)
    if images is None and lacks_images(reader):
        root = data if data.is_dir() else data.parent
        reader = open_reader(data, root, skip_broken=True)
    found = validate(reader, counters={model: TemplateTokens(processor)})
    excluded = {line["row"]: line for line in exclusions(found, root, ALSO_EXCLUDED) if "fault" in line}
    usable = [row for row in range(len(reader)) if row not in excluded]
    if len(usable) < HELD_OUT_RATIO:
        example: Any = next(iter(excluded.values()), None)
        reason = f"; e.g. row {example['row']}: {example['fault']}: {example['reason']}" if example else ""
        raise SourceError(f"{data}: {len(usable)} of {len(reader)} samples are usable, at least 10 are needed{reason}")
    reader = SubsetReader(reader, np.arange(len(reader)), _moved(found))
    samples = (reader[row] for row in usable)
    keys, answers = zip(*((keys_of(sample), text_of(sample.messages[-1])) for sample in samples), strict=True)
    return Survey(reader, root, found, split(usable, keys), answers, model)


def _moved(found: Validation) -> dict[int, dict[Path, Path]]:
    """New paths of images that were found under another extension, by row and old path."""
    moved: dict[int, dict[Path, Path]] = {}
    for issue in found.issues:
        if issue.instead and issue.image:
            moved.setdefault(issue.row, {})[Path(issue.image)] = Path(issue.instead)
    return moved


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:40]}…"
