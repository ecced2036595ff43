"""One pass over a source: every record and picture is read once, in parallel; of each a few numbers are kept."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ...data.readers import Reader
from ..parallel import run_tasks
from .evaluation_overlap import EvaluationSet
from .image_index import ImageIndex
from .issues import Issue, IssueKind
from .near_duplicates import groups_of
from .record_checks import ImageWork, RecordWork, TokenCounter, lengths_of, record_chunks

RECORDS_AT_ONCE, IMAGES_AT_ONCE = 2000, 64


@dataclass
class Validation:
    """What a source is like.

    Attributes:
        name: of the source.
        rows: its records.
        references: pictures that they show; a picture that several show counts each time.
        pictures: different ones.
        finds: all that was found, by row.
        characters: (rows,) int32, text of each sample.
        tokens: by family of models, (rows,) int32; 0 where a sample is faulty.
        repeated_ids: samples whose id another sample had before.
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
        """Samples by what was found with them."""
        return Counter(kind for kind, _ in {(issue.kind, issue.row) for issue in self.issues})

    @property
    def excluded(self) -> list[int]:
        """Rows that are of no use, in rising order."""
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
    """Examine a source.

    Args:
        reader: of what.
        evaluation: sets whose pictures it must not show.
        counters: families of models for which tokens are counted, by name.
        workers: processes.
        ray: address of a Ray cluster, in place of processes here.
        quiet: show no progress.

    Returns:
        What was found. Memory holds some 40 bytes a record, the finds, and the paths of different pictures.

    Raises:
        TasksError: Workers were killed, or there is no cluster.
    """
    found, image_index = Validation(reader.name, len(reader)), ImageIndex(reader)
    ids, characters = [], []
    tokens: dict[str, list[np.ndarray]] = {name: [] for name in counters or {}}
    spans = record_chunks(len(reader), RECORDS_AT_ONCE)
    with tqdm(total=len(reader), desc="records", unit=" records", disable=quiet or None, delay=2) as bar:
        for chunk in run_tasks(RecordWork(reader, counters or {}), spans, workers, ray):
            found.issues += chunk.issues
            image_index.add(chunk)
            ids.append(chunk.ids)
            characters.append(chunk.characters)
            for name, counts in chunk.tokens.items():
                tokens[name].append(counts)
            bar.update(len(chunk.ids))
    found.characters, found.tokens = lengths_of(characters), {name: lengths_of(of) for name, of in tokens.items()}
    known = lengths_of(ids)
    found.repeated_ids = int((known != 0).sum() - len(np.unique(known[known != 0])))
    paths = list(image_index.files)
    batches = [paths[first:end] for first, end in record_chunks(len(paths), IMAGES_AT_ONCE)]
    with tqdm(total=len(paths), desc="pictures", unit=" pictures", disable=quiet or None, delay=2) as bar:
        for batch in run_tasks(ImageWork(), batches, workers, ray):
            image_index.add_files(batch)
            bar.update(len(batch))
    image_index.close()
    found.references, found.images = image_index.references, len(image_index)
    found.issues += [*_of_images(image_index), *_near_duplicates(image_index)]
    for one in evaluation:
        found.issues += _of_evaluation(one, image_index)
    found.issues.sort(key=lambda issue: (issue.row, issue.kind))
    return found


def _of_images(image_index: ImageIndex) -> Iterator[Issue]:
    for image, seen in image_index.noted:
        for row, id in image_index.users(image):
            yield Issue(row, id, str(seen.kind), seen.reason, image_index.name(image), seen.instead)


def _near_duplicates(image_index: ImageIndex) -> Iterator[Issue]:
    groups = groups_of(image_index.hashes)
    for image in np.flatnonzero(groups != np.arange(len(groups))).tolist():
        name = image_index.name(image)
        reason = f"{Path(name).name} is nearly {image_index.name(int(groups[image]))}"
        for row, id in image_index.users(image):
            yield Issue(row, id, IssueKind.NEAR_DUPLICATE.value, reason, name)


def _of_evaluation(one: EvaluationSet, image_index: ImageIndex) -> Iterator[Issue]:
    """Its pictures come first, so that a group which has one of them is called by it."""
    theirs = len(one.hashes)
    groups = groups_of(np.concatenate([one.hashes, image_index.hashes]))[theirs:]
    for image in range(len(image_index)):
        name, like = image_index.name(image), int(groups[image])
        if like < theirs:
            reason = f"nearly {Path(one.paths[like]).name} of {one.name}"
        elif Path(name).stem in one.stems:
            reason = f"{one.name} has a picture of this name"
        else:
            continue
        for row, id in image_index.users(image):
            yield Issue(row, id, IssueKind.EVALUATION.value, f"{Path(name).name}: {reason}", name)
