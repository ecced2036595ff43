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
from .image_index import Album
from .issues import Find, Kind
from .near_duplicates import groups_of
from .record_checks import PictureWork, RecordWork, TokenCounter, lengths_of, stretches

RECORDS_AT_ONCE, PICTURES_AT_ONCE = 2000, 64


@dataclass
class Diagnosis:
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
    pictures: int = 0
    finds: list[Find] = field(default_factory=list)
    characters: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int32))
    tokens: dict[str, np.ndarray] = field(default_factory=dict)
    repeated_ids: int = 0

    @property
    def counts(self) -> Counter[str]:
        """Samples by what was found with them."""
        return Counter(kind for kind, _ in {(find.kind, find.row) for find in self.finds})

    @property
    def excluded(self) -> list[int]:
        """Rows that are of no use, in rising order."""
        return sorted({find.row for find in self.finds if find.excludes})


def diagnose(
    reader: Reader,
    *,
    evaluation: Sequence[EvaluationSet] = (),
    counters: Mapping[str, TokenCounter] | None = None,
    workers: int = 1,
    ray: str | None = None,
    quiet: bool = False,
) -> Diagnosis:
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
    found, album = Diagnosis(reader.name, len(reader)), Album(reader)
    ids, characters = [], []
    tokens: dict[str, list[np.ndarray]] = {name: [] for name in counters or {}}
    spans = stretches(len(reader), RECORDS_AT_ONCE)
    with tqdm(total=len(reader), desc="records", unit=" records", disable=quiet or None, delay=2) as bar:
        for stretch in run_tasks(RecordWork(reader, counters or {}), spans, workers, ray):
            found.finds += stretch.finds
            album.add(stretch)
            ids.append(stretch.ids)
            characters.append(stretch.characters)
            for name, counts in stretch.tokens.items():
                tokens[name].append(counts)
            bar.update(len(stretch.ids))
    found.characters, found.tokens = lengths_of(characters), {name: lengths_of(of) for name, of in tokens.items()}
    known = lengths_of(ids)
    found.repeated_ids = int((known != 0).sum() - len(np.unique(known[known != 0])))
    paths = list(album.files)
    batches = [paths[first:end] for first, end in stretches(len(paths), PICTURES_AT_ONCE)]
    with tqdm(total=len(paths), desc="pictures", unit=" pictures", disable=quiet or None, delay=2) as bar:
        for batch in run_tasks(PictureWork(), batches, workers, ray):
            album.add_files(batch)
            bar.update(len(batch))
    album.close()
    found.references, found.pictures = album.references, len(album)
    found.finds += [*_of_pictures(album), *_near_duplicates(album)]
    for one in evaluation:
        found.finds += _of_evaluation(one, album)
    found.finds.sort(key=lambda find: (find.row, find.kind))
    return found


def _of_pictures(album: Album) -> Iterator[Find]:
    for picture, seen in album.noted:
        for row, id in album.users(picture):
            yield Find(row, id, str(seen.kind), seen.reason, album.name(picture), seen.instead)


def _near_duplicates(album: Album) -> Iterator[Find]:
    groups = groups_of(album.hashes)
    for picture in np.flatnonzero(groups != np.arange(len(groups))).tolist():
        name = album.name(picture)
        reason = f"{Path(name).name} is nearly {album.name(int(groups[picture]))}"
        for row, id in album.users(picture):
            yield Find(row, id, Kind.NEAR_DUPLICATE.value, reason, name)


def _of_evaluation(one: EvaluationSet, album: Album) -> Iterator[Find]:
    """Its pictures come first, so that a group which has one of them is called by it."""
    theirs = len(one.hashes)
    groups = groups_of(np.concatenate([one.hashes, album.hashes]))[theirs:]
    for picture in range(len(album)):
        name, like = album.name(picture), int(groups[picture])
        if like < theirs:
            reason = f"nearly {Path(one.paths[like]).name} of {one.name}"
        elif Path(name).stem in one.stems:
            reason = f"{one.name} has a picture of this name"
        else:
            continue
        for row, id in album.users(picture):
            yield Find(row, id, Kind.EVALUATION.value, f"{Path(name).name}: {reason}", name)
