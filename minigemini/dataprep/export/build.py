"""Builds all shards in parallel, then writes the index, the list of excluded samples and the dataset card.

An interrupted build can be resumed: complete shards are kept, and the result is identical byte for byte.
"""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ...data.readers.shard_folder import INDEX, VERSION
from ...io.folder_lock import folder_lock
from ..parallel import run_tasks
from .build_recipe import BuildError, BuildRecipe
from .dataset_card import card
from .shards import DONE, OCR_SOURCES, ReadText, ShardWriter
from .target import Target

EXCLUDED, CARD = "faults.jsonl", "README.md"
STARTED = f"{DONE}/plan"
"""Fingerprint of the build in progress, so that shards of different builds are not mixed."""


@dataclass(frozen=True)
class ExportedData:
    """Result of a build.

    Attributes:
        index: content of `index.json`.
        issues: number of excluded samples by kind of issue.
    """

    index: Mapping[str, Any]
    issues: Mapping[str, int]


def build(
    recipe: BuildRecipe,
    url: str,
    *,
    data: Path = Path("data"),
    form: str = "parquet",
    inside: bool = True,
    trusted: bool = False,
    shard_samples: int = 5000,
    readers: Callable[[], ReadText] | None = None,
    workers: int = 1,
    ray: str | None = None,
    quiet: bool = False,
) -> ExportedData:
    """Build a recipe.

    Args:
        recipe: the recipe.
        url: a folder, or a URL that fsspec can write to.
        data: the data folder, for declared sources.
        form: `parquet`, or `webdataset` for tar files.
        inside: store images in the shards instead of their paths.
        trusted: do not decode images to check them.
        shard_samples: samples per shard.
        readers: creates an OCR function in each process, whose text is added to questions of the paper's OCR sources.
            An interrupted build resumes only with a factory of the same name, or the same `repr` if it has none.
        workers: number of processes.
        ray: address of a Ray cluster whose workers see the same paths.
        quiet: hide the progress bar.

    Raises:
        BuildError: The recipe or the options are invalid, or the target contains something else.
        FolderInUseError: Another process builds into the folder; not detected for URLs.
        ParallelError: A worker was killed, or the cluster cannot be reached.
    """
    if form == "webdataset" and not inside:
        raise BuildError("webdataset shards always contain their images; give --form parquet, or omit --reference")
    _check_target(url)
    work, root = _work(recipe, url, data, form, inside, trusted, shard_samples, readers)
    with folder_lock(Path(work.target.url)) if work.target.is_local else nullcontext():
        if (built := _finished(work)) is not None:
            return built
        work.target.write_text(STARTED, work.plan)
        notes = []
        with tqdm(total=len(work.order), desc="build", unit=" samples", disable=quiet or None, delay=2) as bar:
            for note in run_tasks(work, range(len(work)), workers, ray):
                notes.append(note)
                bar.update(note["rows"] + len(note["faults"]))
        return _finish(recipe, work, notes, None if inside else root)


def _work(
    recipe: BuildRecipe,
    url: str,
    data: Path,
    form: str,
    inside: bool,
    trusted: bool,
    shard_samples: int,
    readers: Callable[[], ReadText] | None,
) -> tuple[ShardWriter, Path]:
    mixture, root = recipe.open(data)
    read = frozenset(n for n, part in enumerate(recipe.parts) if readers and part.source in OCR_SOURCES)
    by = getattr(readers, "__qualname__", None) or repr(readers) if read else None
    of = [recipe.name, recipe.seed, mixture.fingerprint(), form, inside, trusted, shard_samples, sorted(read), VERSION]
    plan = hashlib.sha256(repr([*of, by]).encode()).hexdigest()[:16]
    # Absolute, because workers may have another working directory.
    target = Target(url if "://" in url else os.path.abspath(url))
    licences = tuple(part.licence for part in recipe.parts)
    order, kept = mixture.epoch(0), None if inside else root
    work = ShardWriter(mixture, order, licences, shard_samples, form, kept, trusted, target, plan, readers, read)
    return work, root


def _check_target(url: str) -> None:
    """Check that fsspec can write to a URL before reading anything."""
    if "://" not in url:
        return
    import fsspec

    try:
        fsspec.core.url_to_fs(url)
    except (ImportError, ValueError) as error:
        raise BuildError(f"{url}: {error}") from None


def _finished(work: ShardWriter) -> ExportedData | None:
    """Return the result if this build is already complete.

    Raises:
        BuildError: The target contains another build or other files.
    """
    written = work.target.read(INDEX)
    if written is None:
        begun = work.target.read(STARTED)
        if begun is None and (foreign := [name for name in work.target.names() if not name.startswith(".")]):
            raise BuildError(f"{work.target.url} contains {foreign[0]}, but no build; give an empty folder")
        if begun not in (None, work.plan.encode()):
            raise BuildError(
                f"{work.target.url} has another build, begun and not finished; give another folder, or remove it"
            )
        return None
    try:
        index = json.loads(written)
        theirs, shards = index["fingerprint"], index["shards"]
    except (ValueError, KeyError, TypeError):
        raise BuildError(
            f"{work.target.url}/{INDEX} is not an index of shards; give another folder, or remove it"
        ) from None
    if theirs != work.plan:
        raise BuildError(f"{work.target.url} has another build ({theirs}); give another folder, or remove it")
    if any(work.target.size(shard["file"]) != shard["bytes"] for shard in shards):
        return None
    lines = (work.target.read(EXCLUDED) or b"").splitlines()
    return ExportedData(index, Counter(json.loads(line)["fault"] for line in lines))


def _finish(
    recipe: BuildRecipe, work: ShardWriter, notes: Sequence[Mapping[str, Any]], root: Path | None
) -> ExportedData:
    counts: Counter[tuple[str, str]] = Counter()
    for note in notes:
        for key, count in note["counts"]:
            counts[tuple(key)] += count
    issues = [issue for note in notes for issue in note["faults"]]
    index = {
        "version": VERSION,
        "name": recipe.name,
        "form": work.form,
        "pictures": "inside" if root is None else "reference",
        "images": _from_target(root, work.target),
        "seed": recipe.seed,
        "fingerprint": work.plan,
        "rows": sum(note["rows"] for note in notes),
        "faulty": len(issues),
        "sources": [{"source": s, "licence": licence, "samples": n} for (s, licence), n in sorted(counts.items())],
        "shards": [{name: note[name] for name in ("file", "rows", "bytes", "sha256")} for note in notes],
    }
    by_kind = Counter(issue["fault"] for issue in issues)
    lines = "".join(json.dumps(issue, ensure_ascii=False) + "\n" for issue in issues)
    work.target.write_text(EXCLUDED, lines)
    work.target.write_text(CARD, card(index, by_kind))
    work.target.write_text(INDEX, json.dumps(index, indent=1, ensure_ascii=False) + "\n")
    work.target.remove(DONE)
    for name in work.target.names():
        if name.startswith(".shard-") and name.endswith(".partial"):  # left by a killed process
            work.target.remove(name)
    return ExportedData(index, by_kind)


def _from_target(root: Path | None, target: Target) -> str | None:
    if root is None:
        return None
    return Path(os.path.relpath(root, target.url)).as_posix() if target.is_local else str(root)
