"""Validation of a source in one pass: every record and image is read once, in parallel, and a few numbers are kept."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ...data.readers import Reader
from ..parallel import run_tasks
from .evaluation_overlap import EvaluationSet
from .image_index import ImageIndex, near_duplicate_groups
from .issues import Issue, IssueKind
from .record_checks import ImageChecker, RecordChecker, TokenCounter, concatenate, spans

RECORDS_PER_TASK, IMAGES_PER_TASK = 2000, 64


@dataclass
class Validation:
    """Result of validating a source.

    Attributes:
        name: name of the source.
        rows: number of records.
        references: references to images in records; an image used by several records counts each time.
        images: number of distinct images.
        issues: all issues, ordered by row.
        characters: (rows,) int32, characters of text of each sample; 0 for an invalid record.
        tokens: by model family, (rows,) int32; 0 for an invalid or refused record.
        repeated_ids: samples whose id an earlier sample has.
    """

    name: str
    rows: int
    references: int = 0
    images: int = 0
    issues: list[Issue] = field(default_factory=list)
    characters: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int32))
    tokens: dict[str, np.ndarray] = field(default_factory=dict)
    repeated_ids: int = 0

    @property
    def counts(self) -> Counter[str]:
        """Number of samples with each kind of issue."""
        return Counter(kind for kind, _ in {(issue.kind, issue.row) for issue in self.issues})

    @property
    def excluded(self) -> list[int]:
        """Rows that are excluded from training, in ascending order."""
        return sorted({issue.row for issue in self.issues if issue.excludes})


def validate(
    reader: Reader,
    *,
    evaluation: Sequence[EvaluationSet] = (),
    counters: Mapping[str, TokenCounter] | None = None,
    workers: int = 1,
    ray: str | None = None,
    quiet: bool = False,
) -> Validation:
    """Validate a source.

    Args:
        reader: the source.
        evaluation: evaluation sets whose images it must not contain.
        counters: token counters by model family.
        workers: number of processes.
        ray: address of a Ray cluster to use instead of local processes.
        quiet: hide progress bars.

    Returns:
        The result. Memory use is some 40 bytes per record, plus the issues and the paths of distinct images.

    Raises:
        ParallelError: A worker was killed, or the cluster cannot be reached.
    """
    result, images = Validation(reader.name, len(reader)), ImageIndex(reader)
    ids, characters = [], []
    tokens: dict[str, list[np.ndarray]] = {name: [] for name in counters or {}}
    tasks = spans(len(reader), RECORDS_PER_TASK)
    with tqdm(total=len(reader), desc="records", unit=" records", disable=quiet or None, delay=2) as bar:
        for chunk in run_tasks(RecordChecker(reader, counters or {}), tasks, workers, ray):
            result.issues += chunk.issues
            images.add(chunk)
            ids.append(chunk.ids)
            characters.append(chunk.characters)
            for name, counts in chunk.tokens.items():
                tokens[name].append(counts)
            bar.update(len(chunk.ids))
    result.characters, result.tokens = concatenate(characters), {n: concatenate(of) for n, of in tokens.items()}
    known = concatenate(ids)
    result.repeated_ids = int((known != 0).sum() - len(np.unique(known[known != 0])))
    paths = list(images.files)
    batches = [paths[first:end] for first, end in spans(len(paths), IMAGES_PER_TASK)]
    with tqdm(total=len(paths), desc="images", unit=" images", disable=quiet or None, delay=2) as bar:
        for batch in run_tasks(ImageChecker(), batches, workers, ray):
            images.add_files(batch)
            bar.update(len(batch))
    images.close()
    result.references, result.images = images.references, len(images)
    result.issues += [*_image_issues(images), *_near_duplicates(images)]
    for one in evaluation:
        result.issues += _evaluation_overlap(one, images)
    result.issues.sort(key=lambda issue: (issue.row, issue.kind))
    return result


def _image_issues(images: ImageIndex) -> Iterator[Issue]:
    for image, checked in images.noted:
        for row, id in images.users(image):
            yield Issue(row, id, str(checked.kind), checked.reason, images.name(image), checked.instead)


def _near_duplicates(images: ImageIndex) -> Iterator[Issue]:
    groups = near_duplicate_groups(images.hashes)
    for image in np.flatnonzero(groups != np.arange(len(groups))).tolist():
        name = images.name(image)
        reason = f"{Path(name).name} is nearly identical to {images.name(int(groups[image]))}"
        for row, id in images.users(image):
            yield Issue(row, id, IssueKind.NEAR_DUPLICATE.value, reason, name)


def _evaluation_overlap(one: EvaluationSet, images: ImageIndex) -> Iterator[Issue]:
    """Match images by hash or by file name. The evaluation set's hashes come first, so groups get their numbers."""
    count = len(one.hashes)
    groups = near_duplicate_groups(np.concatenate([one.hashes, images.hashes]))[count:]
    for image in range(len(images)):
        name, match = images.name(image), int(groups[image])
        if match < count:
            reason = f"nearly identical to {Path(one.paths[match]).name} of {one.name}"
        elif Path(name).stem in one.stems:
            reason = f"{one.name} has an image of the same name"
        else:
            continue
        for row, id in images.users(image):
            yield Issue(row, id, IssueKind.EVALUATION.value, f"{Path(name).name}: {reason}", name)
