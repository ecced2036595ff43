"""Building: all shards, in any order and on any machines; then the index, the list of faults and the card.

A build that was stopped goes on: shards that are whole are kept, and what comes out is byte for byte the same.
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
from .ocr_strings import OCR_SOURCES, ReadStrings
from .shards import DONE, ShardWork
from .target import Target

FAULTS, CARD = "faults.jsonl", "README.md"
STARTED = f"{DONE}/plan"
"""Which build was begun here: its shards are kept, and those of any other are not mixed with them."""


@dataclass(frozen=True)
class ExportedData:
    """What was built.

    Attributes:
        index: as `index.json` has it.
        faults: samples left out, by kind.
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
    readers: Callable[[], ReadStrings] | None = None,
    workers: int = 1,
    ray: str | None = None,
    quiet: bool = False,
) -> ExportedData:
    """Build a recipe.

    Args:
        recipe: what.
        url: where to: a folder, or a URL that fsspec writes to.
        data: the folder of data, for declared sources.
        form: `parquet`, or `webdataset` tar files.
        inside: put pictures inside the shards; else keep them by their paths.
        trusted: do not decode pictures to see whether they are whole.
        shard_samples: samples of a shard.
        readers: makes what reads strings in pictures, in each process; questions of the paper's OCR sources get them.
            A stopped build goes on with one of the same name, or of the same `repr` where it has none.
        workers: processes.
        ray: address of a Ray cluster whose workers see the same paths.
        quiet: show no progress.

    Raises:
        BuildError: The recipe cannot be built so, or another build lies there.
        FolderInUseError: Another process builds there; of a URL nobody knows.
        TasksError: Workers were killed, or there is no cluster.
    """
    if form == "webdataset" and not inside:
        raise BuildError("webdataset shards have their pictures inside; give --form parquet, or leave --reference out")
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
    readers: Callable[[], ReadStrings] | None,
) -> tuple[ShardWork, Path]:
    mixture, root = recipe.open(data)
    read = frozenset(n for n, part in enumerate(recipe.parts) if readers and part.source in OCR_SOURCES)
    by = getattr(readers, "__qualname__", None) or repr(readers) if read else None
    of = [recipe.name, recipe.seed, mixture.fingerprint(), form, inside, trusted, shard_samples, sorted(read), VERSION]
    plan = hashlib.sha256(repr([*of, by]).encode()).hexdigest()[:16]
    # Paths that every process understands, whatever its working directory.
    target = Target(url if "://" in url else os.path.abspath(url))
    licences = tuple(part.licence for part in recipe.parts)
    order, kept = mixture.epoch(0), None if inside else root
    work = ShardWork(mixture, order, licences, shard_samples, form, kept, trusted, target, plan, readers, read)
    return work, root


def _check_target(url: str) -> None:
    """Ask for what writes there before anything is read."""
    if "://" not in url:
        return
    import fsspec

    try:
        fsspec.core.url_to_fs(url)
    except (ImportError, ValueError) as error:
        raise BuildError(f"{url}: {error}") from None


def _finished(work: ShardWork) -> ExportedData | None:
    """What lies there, if it is this build and whole.

    Raises:
        BuildError: Something else lies there, with which these shards would be mixed.
    """
    written = work.target.read(INDEX)
    if written is None:
        begun = work.target.read(STARTED)
        if begun is None and (foreign := [name for name in work.target.names() if not name.startswith(".")]):
            raise BuildError(f"{work.target.url} has {foreign[0]} in it, and no build; name an empty place")
        if begun not in (None, work.plan.encode()):
            raise BuildError(
                f"{work.target.url} has another build, begun and not finished; name another place, or remove it"
            )
        return None
    try:
        index = json.loads(written)
        theirs, shards = index["fingerprint"], index["shards"]
    except (ValueError, KeyError, TypeError):
        raise BuildError(f"{work.target.url}/{INDEX} is no index of shards; name another place, or remove it") from None
    if theirs != work.plan:
        raise BuildError(f"{work.target.url} has another build ({theirs}); name another place, or remove it")
    if any(work.target.size(shard["file"]) != shard["bytes"] for shard in shards):
        return None
    lines = (work.target.read(FAULTS) or b"").splitlines()
    return ExportedData(index, Counter(json.loads(line)["fault"] for line in lines))


def _finish(
    recipe: BuildRecipe, work: ShardWork, notes: Sequence[Mapping[str, Any]], root: Path | None
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
    work.target.write_text(FAULTS, lines)
    work.target.write_text(CARD, card(index, by_kind))
    work.target.write_text(INDEX, json.dumps(index, indent=1, ensure_ascii=False) + "\n")
    work.target.remove(DONE)
    for name in work.target.names():
        if name.startswith(".shard-") and name.endswith(".partial"):  # of a process that was killed
            work.target.remove(name)
    return ExportedData(index, by_kind)


def _from_target(root: Path | None, target: Target) -> str | None:
    if root is None:
        return None
    return Path(os.path.relpath(root, target.url)).as_posix() if target.is_local else str(root)
